"""A file or folder that appears whole or not at all.

Everything is written beside its final place, flushed to the disk, and renamed.
Knows paths and why writing fails; does not know formats.
"""

import errno
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from seqkit import errors

__all__ = [
    "atomic_directory",
    "atomic_file",
    "atomic_path",
    "move_into_place",
    "naming",
    "naming_full_disk",
    "output_file",
    "output_error",
]

REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than allowed",
    errno.ENOENT: "the folder does not exist",
    errno.ENOTDIR: "the folder does not exist",
    errno.EISDIR: "is a folder, not a file",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EROFS: "the disk is read-only",
}

WRITING_FAILED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Reasons that only writing has: within a block, any other `OSError` may be about another file."""


def output_error(error: OSError, path: str | Path) -> errors.OutputError:
    """Describe why `path` could not be written."""
    reason = REASONS.get(error.errno or 0) or f"cannot be written: {error.strerror or error}"
    return errors.OutputError(reason, file=str(path))


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a path to write to; when the block succeeds, what is there becomes `path`.

    A device or a pipe (`/dev/null`) is given as it is: there is nothing to rename. A symbolic link
    stays one, and the file it points to is replaced.

    Raises
    ------
    OutputError : the folder is missing or not permitted, or the disk is full. Nothing is left behind
        then, nor when the block raises anything else; what was at `path` before is untouched.
    """
    final = Path(os.path.realpath(path))
    if final.is_dir():
        raise errors.OutputError("is a folder, not a file", file=str(path))
    if final.exists() and not final.is_file():
        with naming_full_disk(path):
            yield final
        return
    aside = _beside(final)
    try:
        _touch(aside, path)
        mode = aside.stat().st_mode
        with naming_full_disk(path):
            yield aside
        # Writers of weights replace the file by one that only its owner may read.
        aside.chmod(mode)
        move_into_place(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def move_into_place(aside: Path, path: str | Path) -> None:
    """Flush a finished file to the disk and rename it to `path`, on the same file system.

    Raises
    ------
    OutputError : as `atomic_path`.
    """
    final = Path(os.path.realpath(path))
    with naming(path):
        _flush(aside)
        os.replace(aside, final)
        _flush(final.parent)


@contextmanager
def atomic_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for writing bytes that appears at `path` only when the block succeeds.

    Raises
    ------
    OutputError : as `atomic_path`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_file(f"{folder}/a.txt") as file:
    ...         _ = file.write(b"whole")
    ...     Path(f"{folder}/a.txt").read_bytes()
    b'whole'
    """
    with atomic_path(path) as aside:
        with naming(path):
            file = open(aside, "wb", buffering=1 << 20)
        with file:
            yield file


@contextmanager
def output_file(path: str | Path) -> Iterator[BinaryIO]:
    """As `atomic_file`; "-" is standard output.

    Raises
    ------
    OutputError : as `atomic_path`; and when standard output cannot take it.
    """
    if str(path) != "-":
        with atomic_file(path) as file:
            yield file
        return
    with naming_full_disk("-"):
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()


@contextmanager
def atomic_directory(path: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Give an empty folder to fill; when the block succeeds it becomes `path`.

    Parameters
    ----------
    path : the folder to make.
    replace : whether a folder that is there already is replaced (and removed) at the end.

    Raises
    ------
    OutputError : something is at `path` already, or as `atomic_path`.
    """
    final = Path(os.path.realpath(path))
    if final.exists() and not (replace and final.is_dir()):
        raise errors.OutputError("exists already", file=str(path))
    aside = _beside(final)
    with naming(path):
        aside.mkdir()
    try:
        with naming_full_disk(path):
            yield aside
        with naming(path):
            for file in (*aside.rglob("*"), aside):
                if file.is_file():
                    file.chmod(aside.stat().st_mode & 0o666)
                _flush(file)
            _swap(aside, final)
            _flush(final.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _swap(aside: Path, final: Path) -> None:
    """Put a folder in its place, and remove the one that was there."""
    if not final.exists():
        aside.rename(final)
        return
    old = _beside(final)
    final.rename(old)
    try:
        aside.rename(final)
    except OSError:
        old.rename(final)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _beside(final: Path) -> Path:
    # The suffix stays last: writers that choose a format by it see the right one.
    return final.with_name(f".{final.stem}.{secrets.token_hex(4)}.partial{final.suffix}")


def _touch(aside: Path, path: str | Path) -> None:
    """Make the file, so that a missing folder shows before any work is done."""
    with naming(path):
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Say of every `OSError` in the block that it is `path` that could not be written."""
    try:
        yield
    except OSError as error:
        raise output_error(error, path) from error


@contextmanager
def naming_full_disk(path: str | Path) -> Iterator[None]:
    """Say so of those that only writing has; any other passes as it is."""
    try:
        yield
    except OSError as error:
        if error.errno in WRITING_FAILED:
            raise output_error(error, path) from error
        raise
