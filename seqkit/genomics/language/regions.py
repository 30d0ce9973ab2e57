"""Regions of named records, from text or BED files, to be left out.

This file knows names and places; it does not know why they are left out.

Shape suffixes: L letters.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from seqkit import errors
from seqkit.io import compression

__all__ = ["Regions", "read"]

_REGION = re.compile(r"(.+):([\d,]+)-([\d,]+)")


class Regions:
    """Regions by the name of their record.

    Parameters
    ----------
    regions : name, first letter (from 0), one past the last; None for the end of the record.
    """

    def __init__(self, regions: Iterable[tuple[str, int, int | None]]) -> None:
        self._of: dict[str, list[tuple[int, int | None]]] = {}
        for name, start, end in regions:
            self._of.setdefault(name, []).append((start, end))
        self._missing = set(self._of)

    def clear(self, name: str, allowed_L: np.ndarray) -> None:
        """Set to False what of a record is in one of the regions."""
        self._missing.discard(name)
        for start, end in self._of.get(name, ()):
            allowed_L[start:end] = False

    def require_all_found(self) -> None:
        """Refuse regions of records that were never seen: most likely a name is wrong.

        Raises
        ------
        DataError
            naming one of them.
        """
        if self._missing:
            raise errors.DataError(
                "the regions to leave out name this record, which is in none of the files",
                record=min(self._missing),
                hint="--exclude",
            )


def read(texts: Iterable[str]) -> Regions:
    """Regions from "name", "name:start-end" (from 1, the end included) or paths of BED files.

    Raises
    ------
    UsageError
        when a region ends before it begins.
    DataError
        when a BED file has a line that is no region.

    Examples
    --------
    >>> allowed = np.ones(6, dtype=bool)
    >>> read(["chr1:2-3"]).clear("chr1", allowed)
    >>> allowed.tolist()
    [True, False, False, True, True, True]
    """
    found: list[tuple[str, int, int | None]] = []
    for text in texts:
        if Path(text).is_file():
            found.extend(_read_bed(text))
        elif match := _REGION.fullmatch(text):
            start, end = (int(match[group].replace(",", "") or 0) for group in (2, 3))
            if not 1 <= start <= end:
                raise errors.UsageError(f"region {text!r} ends before it begins", hint="--exclude")
            found.append((match[1], start - 1, end))
        else:
            found.append((text, 0, None))
    return Regions(found)


def _lines(path: str) -> list[str]:
    with compression.open_input(path) as file:
        content = file.read()
    try:
        return content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise errors.DataError("not a BED file: not text", file=path) from error


def _read_bed(path: str) -> Iterable[tuple[str, int, int | None]]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        try:
            start, end = int(fields[1]), int(fields[2])
        except (IndexError, ValueError) as error:
            raise errors.DataError(
                "not a region: name, start and end are expected", file=path, record=f"line {number}"
            ) from error
        if not 0 <= start < end:
            raise errors.DataError("the region is empty", file=path, record=f"line {number}")
        yield fields[0], start, end
