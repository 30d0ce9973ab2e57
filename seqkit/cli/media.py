"""What commands over sounds and videos share: which files are meant, and one failing alone.

Also the group that takes `seqkit caption clip.wav` beside `seqkit caption train`. Knows
names of files and streams of segments; not how segments are made.
"""

import contextlib
import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
import typer.core

from seqkit import errors

__all__ = ["SUFFIXES", "PathsGroup", "expand", "on_disk", "write_all"]

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
            args = [RUN, *(args or ["--help"])]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of a name; `run` has none in usage lines."""
        name, command, rest = super().resolve_command(ctx, args)
        return "" if name == RUN else name, command, rest


def expand(paths: Sequence[str], *, recursive: bool = False) -> list[str]:
    """Files that are meant by files, folders, patterns and `-`, each once, in order.

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
            if file.suffix.lower() in SUFFIXES and file.is_file()
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
    output_dir : instead, a file for each input, named after it.
    skip_existing : with `output_dir`, leave inputs out whose output is there.

    Raises
    ------
    PartialFailureError
        if some inputs failed and others did not.
    DataError
        if all failed.
    """
    failed: list[errors.SeqkitError] = []
    if output_dir is not None:
        _each(files, segments_of, form, Path(output_dir), skip_existing, failed, advance)
    else:
        _together(files, segments_of, form, out, failed, advance)
    if not failed:
        return
    told = f"{len(failed)} of {len(files)} files could not be read"
    if len(failed) == len(files):
        raise errors.DataError(told) if len(files) > 1 else failed[0]
    raise errors.PartialFailureError(told)


def _together(
    files: Sequence[str],
    segments_of: Callable[[str], Iterable[Any]],
    form: str,
    out: str | None,
    failed: list[errors.SeqkitError],
    advance: Callable[[float], None],
) -> None:
    from seqkit.io import atomic, segments

    def coming() -> Iterator[Any]:
        for file in files:
            # A file's segments appear whole or not at all.
            yield from _of(file, segments_of, failed, tell=len(files) > 1)
            advance(1)

    if out in (None, "-"):
        for piece in segments.write(coming(), form):
            sys.stdout.write(piece)
        return
    assert out is not None
    with atomic.atomic_file(out) as stream:
        for piece in segments.write(coming(), form):
            stream.write(piece.encode())
        if len(failed) == len(files):
            raise failed[0] if len(files) == 1 else errors.DataError("no file could be read")


def _each(
    files: Sequence[str],
    segments_of: Callable[[str], Iterable[Any]],
    form: str,
    folder: Path,
    skip_existing: bool,
    failed: list[errors.SeqkitError],
    advance: Callable[[float], None],
) -> None:
    from seqkit.io import atomic, segments

    folder.mkdir(parents=True, exist_ok=True)
    outputs = [folder / f"{'stdin' if file == '-' else Path(file).stem}.{form}" for file in files]
    doubled = {output for output in outputs if outputs.count(output) > 1}
    if doubled:
        raise errors.UsageError(
            f"several inputs would be written to {sorted(doubled)[0]}", hint="--output-dir"
        )
    for file, output in zip(files, outputs, strict=True):
        if not (skip_existing and output.exists()):
            found = list(_of(file, segments_of, failed, tell=len(files) > 1))
            if found:
                with atomic.atomic_file(output) as stream:
                    stream.write("".join(segments.write(found, form)).encode())
        advance(1)


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
