"""What commands over sounds and videos share: which files are meant, and one failing alone.

Also the group that takes `seqkit caption clip.wav` beside `seqkit caption train`. Knows
names of files and streams of segments; not how segments are made.
"""

import collections
import contextlib
import glob
import itertools
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
import typer.core

from seqkit import errors

__all__ = ["SUFFIXES", "PathsGroup", "expand", "on_disk", "require_inputs_stay", "write_all"]

#: What is looked for in folders; a file that is named is read whatever its suffix.
SUFFIXES = frozenset(
    ".aac .aif .aiff .flac .m4a .mp3 .oga .ogg .opus .wav .wma "
    ".avi .m4v .mkv .mov .mp4 .mpeg .mpg .webm".split()
)
RUN = "run"


class PathsGroup(typer.core.TyperGroup):
    """A group whose command `run` is meant where no other is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `run` before anything that is not a command."""
        if not args or args[0] not in self.commands:
            _require_no_dash(args, self.commands[RUN])
            args = [RUN, *(args or ["--help"])]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of a name; `run` has none in usage lines."""
        name, command, rest = super().resolve_command(ctx, args)
        return "" if name == RUN else name, command, rest


def _require_no_dash(args: Sequence[str], command: Any) -> None:
    """Refuse a file whose name would be taken for an option, and say how to name it."""
    options = {name: option for option in command.params for name in (*option.opts, *option.secondary_opts)}
    before = None
    for arg in args:
        if arg == "--":
            return
        takes_it = before is not None and not before.is_flag
        if arg.startswith("-") and arg not in {"-", *options} and not takes_it and os.path.lexists(arg):
            raise errors.UsageError("a file of such a name looks like an option", file=arg, hint=f"./{arg}")
        before = options.get(arg)


def expand(paths: Sequence[str], *, recursive: bool = False) -> list[str]:
    """Files that are meant by files, folders, patterns and `-`, each once, in order.

    In folders, names that begin with a full stop are left out (macOS keeps a `._a.wav` beside
    `a.wav`), and so are the folders below that have such names.

    Raises
    ------
    UsageError
        for a folder or a pattern without any.
    """
    found: dict[str, None] = {}
    for path in paths:
        found.update(dict.fromkeys(_meant(path, recursive)))
    return list(found)


def _meant(path: str, recursive: bool) -> list[str]:
    if path == "-" or (os.path.exists(path) and not os.path.isdir(path)):
        return [path]
    if os.path.isdir(path):
        pattern = "**/*" if recursive else "*"
        inside = sorted(
            str(file)
            for file in Path(path).glob(pattern)
            if file.suffix.lower() in SUFFIXES and not _hidden(file, path) and file.is_file()
        )
        if not inside:
            hint = None if recursive else "--recursive looks into its folders"
            raise errors.UsageError("is a folder without sound or video", file=path, hint=hint)
        return inside
    matching = sorted(glob.glob(path, recursive=recursive)) if glob.has_magic(path) else []
    if glob.has_magic(path) and not matching:
        raise errors.UsageError("matches no file", file=path)
    # A name that does not exist is tried, and fails alone.
    return [file for file in matching if not os.path.isdir(file)] or [path]


def _hidden(file: Path, folder: str) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


@contextlib.contextmanager
def on_disk(file: str) -> Iterator[str]:
    """The path of a file; standard input as a temporary file, because films are read back and forth."""
    if file != "-":
        yield file
        return
    with tempfile.NamedTemporaryFile(prefix="seqkit-") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield copy.name


def write_all(
    files: Sequence[str],
    segments_of: Callable[[str], Iterable[Any]],
    form: str,
    *,
    out: str | None,
    output_dir: str | None,
    skip_existing: bool = False,
    advance: Callable[[float], None] = lambda amount: None,
) -> None:
    """Write the segments of every file; what fails is told on stderr, and at the end by the exit code.

    Parameters
    ----------
    segments_of : segments of a file, or a `SeqkitError` that concerns only it.
    out : one file for all; None or "-" is standard output.
    output_dir : instead, a file for each input, named after it: `A/x.wav` gives `x.srt`. Where several
        inputs would have one name, theirs are the first of `x.wav.srt`, `A/x.srt` and `A/x.wav.srt` that
        keeps them apart.
    skip_existing : with `output_dir`, leave inputs out whose output is there.

    Raises
    ------
    UsageError
        before anything is read: for options that exclude each other, an unknown format, subtitles of
        several files in one, and an output that is one of the inputs.
    PartialFailureError
        if some inputs failed and others did not.
    DataError
        if all failed.
    """
    _check_options(form, several=len(files) > 1, out=out, output_dir=output_dir, skip_existing=skip_existing)
    failed: list[errors.SeqkitError] = []
    if output_dir is not None:
        outputs = _outputs(files, Path(output_dir), form)
        require_inputs_stay(files, outputs)
        _each(dict(zip(files, outputs, strict=True)), segments_of, form, skip_existing, failed, advance)
    else:
        require_inputs_stay(files, [] if out in (None, "-") else [Path(str(out))])
        _together(files, segments_of, form, out or "-", failed, advance)
    if failed:
        raise _verdict(failed, len(files))


def _check_options(
    form: str, *, several: bool, out: str | None, output_dir: str | None, skip_existing: bool
) -> None:
    from seqkit.io import segments

    segments.check_format(form)
    if out is not None and output_dir is not None:
        raise errors.UsageError("--out and --output-dir exclude each other")
    if skip_existing and output_dir is None:
        raise errors.UsageError("--skip-existing needs --output-dir", hint="--output-dir")
    if several and output_dir is None and form in segments.SUBTITLES:
        raise errors.UsageError(f"{form} holds the times of one file only", hint="--output-dir")


def require_inputs_stay(files: Sequence[str], outputs: Sequence[Path]) -> None:
    """Refuse, as `UsageError`, an output that is one of the inputs; "-" among these is standard input."""
    read = {_identity(0 if file == "-" else file) for file in files} - {None}
    for output in outputs:
        if _identity(output) in read:
            raise errors.UsageError("is an input, and would be overwritten", file=str(output))


def _identity(file: str | Path | int) -> tuple[int, int] | None:
    """What two paths to one file have in common; nothing for devices and what is not there."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _outputs(files: Sequence[str], folder: Path, form: str) -> list[Path]:
    """Where the segments of every file are written; longer names where shorter ones are the same."""
    sources = [Path(os.path.abspath("stdin" if file == "-" else file)) for file in files]
    outputs = [folder / f"{source.stem}.{form}" for source in sources]
    longer: tuple[Callable[[Path], Path], ...] = (
        lambda source: folder / f"{source.name}.{form}",
        lambda source: folder / source.parent.name / f"{source.stem}.{form}",
        lambda source: folder / source.parent.name / f"{source.name}.{form}",
    )
    for name in longer:
        doubled = _doubled(outputs)
        outputs = [
            name(source) if output in doubled else output
            for source, output in zip(sources, outputs, strict=True)
        ]
    for output in sorted(_doubled(outputs)):
        hint = "run seqkit once for each, with another --output-dir"
        raise errors.UsageError(f"several inputs would be written to {output}", hint=hint)
    return outputs


def _doubled(outputs: Sequence[Path]) -> set[Path]:
    return {output for output, count in collections.Counter(outputs).items() if count > 1}


def _verdict(failed: Sequence[errors.SeqkitError], count: int) -> errors.SeqkitError:
    told = f"{len(failed)} of {count} files failed"
    if len(failed) < count:
        return errors.PartialFailureError(told)
    return errors.DataError(told) if count > 1 else failed[0]


def _together(
    files: Sequence[str],
    segments_of: Callable[[str], Iterable[Any]],
    form: str,
    out: str,
    failed: list[errors.SeqkitError],
    advance: Callable[[float], None],
) -> None:
    from seqkit.io import atomic, segments

    def coming() -> Iterator[Any]:
        for file in files:
            # A file's segments appear whole or not at all.
            yield from _of(file, segments_of, failed, tell=len(files) > 1)
            advance(1)

    with atomic.output_file(out) as stream:
        found = coming()
        first = list(itertools.islice(found, 1))
        if len(failed) == len(files):
            # Not even a header.
            raise _verdict(failed, len(files))
        for piece in segments.write(itertools.chain(first, found), form, several=len(files) > 1):
            stream.write(_encoded(piece))
            if out == "-":
                stream.flush()


def _each(
    outputs: Mapping[str, Path],
    segments_of: Callable[[str], Iterable[Any]],
    form: str,
    skip_existing: bool,
    failed: list[errors.SeqkitError],
    advance: Callable[[float], None],
) -> None:
    from seqkit.io import atomic, segments

    for folder in {output.parent for output in outputs.values()}:
        folder.mkdir(parents=True, exist_ok=True)
    for file, output in outputs.items():
        if not (skip_existing and output.exists()):
            found = list(_of(file, segments_of, failed, tell=len(outputs) > 1))
            if found:
                with atomic.atomic_file(output) as stream:
                    stream.write(_encoded("".join(segments.write(found, form))))
        advance(1)


def _encoded(text: str) -> bytes:
    """As UTF-8; the name of a file keeps its bytes where these are something else."""
    return text.encode("utf-8", "surrogateescape")


def _of(
    file: str,
    segments_of: Callable[[str], Iterable[Any]],
    failed: list[errors.SeqkitError],
    *,
    tell: bool,
) -> Iterator[Any]:
    try:
        yield from list(segments_of(file))
    except errors.DataError as error:
        failed.append(error)
        if tell:
            print(f"seqkit: error: {error}", file=sys.stderr)
