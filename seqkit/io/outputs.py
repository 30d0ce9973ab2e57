"""Output files as their names ask for: compressed where they end in `.gz`.

Knows suffixes; how a file appears whole or not at all is `atomic`'s business.
"""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from seqkit import errors
from seqkit.io import atomic

__all__ = ["output_file"]

#: Compressions that are read but not written.
_NOT_WRITTEN = (".bz2", ".xz", ".zst")
_LEVEL = 6


@contextmanager
def output_file(path: str | Path) -> Iterator[BinaryIO]:
    """As `atomic.output_file`, and what is written to a `.gz` is compressed.

    Raises
    ------
    UsageError
        when the name ends in another compression's suffix.
    OutputError
        as `atomic.output_file`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with output_file(f"{folder}/a.tsv.gz") as file:
    ...         _ = file.write(b"whole")
    ...     gzip.decompress(Path(f"{folder}/a.tsv.gz").read_bytes())
    b'whole'
    """
    suffix = Path(path).suffix.lower()
    if suffix in _NOT_WRITTEN:
        raise errors.UsageError(
            f"{suffix} is not written", file=str(path), hint="--out FILE.gz, or no suffix"
        )
    with atomic.output_file(path) as file:
        if suffix != ".gz":
            yield file
            return
        # Without a name and a time in it, the same content is the same file.
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=_LEVEL, mtime=0) as packed:
            yield cast(BinaryIO, packed)
