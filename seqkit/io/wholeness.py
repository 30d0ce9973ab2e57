"""Whether a media file ends before its own header says it does.

Decoders stop at the end of what is there and say nothing; half a download would pass for
a whole recording. Knows the sizes that containers state (RIFF, AIFF, Ogg, Matroska, MP4,
MP3); not what they hold. A file of another kind, or one whose size is not stated, as in what
was written to a pipe, is taken as whole.
"""

import os
from collections.abc import Callable
from typing import BinaryIO

__all__ = ["missing"]

#: Sizes from here on mean "not known", in files that were written to a pipe.
UNKNOWN = 0x7FFFF000
#: Writers that count their own header differently are off by a few bytes.
SLACK = 64
LARGEST_PAGE = 65_307


def missing(file: BinaryIO) -> int:
    """How many bytes a file lacks, at least; 0 where nothing says that any is missing.

    Parameters
    ----------
    file : seekable; it is left anywhere.

    Examples
    --------
    >>> import io
    >>> missing(io.BytesIO(b"RIFF" + (1036).to_bytes(4, "little") + b"WAVE" + bytes(1032)))
    0
    >>> missing(io.BytesIO(b"RIFF" + (1036).to_bytes(4, "little") + b"WAVE" + bytes(532)))
    500
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    for matches, stated in KINDS:
        if matches(head):
            lacking = stated(file, size) - size
            return lacking if lacking > SLACK else 0
    return 0


def _riff(file: BinaryIO, size: int) -> int:
    """WAV and AVI. Larger than 4 GiB they have another header, whose size is not looked at."""
    return _stated(file, "little")


def _aiff(file: BinaryIO, size: int) -> int:
    return _stated(file, "big")


def _stated(file: BinaryIO, order: str) -> int:
    file.seek(4)
    told = int.from_bytes(file.read(4), "little" if order == "little" else "big")
    return 8 + told if told < UNKNOWN else 0


def _ogg(file: BinaryIO, size: int) -> int:
    """The end of the last page that begins."""
    start = max(0, size - LARGEST_PAGE)
    file.seek(start)
    tail = file.read()
    place = tail.rfind(b"OggS")
    if place < 0 or len(tail) < place + 27:
        return 0
    count = tail[place + 26]
    sizes = tail[place + 27 : place + 27 + count]
    # Where even the list of sizes is cut off, what it would have listed is missing as well.
    listed = sum(sizes) if len(sizes) == count else 2 * SLACK
    return start + place + 27 + count + listed


def _matroska(file: BinaryIO, size: int) -> int:
    """The end of the segment, which holds all there is."""
    file.seek(4)
    header = _vint(file)
    if header is None:
        return 0
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    segment = _vint(file)
    return 0 if segment is None else file.tell() + segment


def _vint(file: BinaryIO) -> int | None:
    """A number of EBML, which states its own length; None where it means "not known"."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(length - 1), "big") & ((1 << 7 * length) - 1)
    return None if value == (1 << 7 * length) - 1 else value


def _mp4(file: BinaryIO, size: int) -> int:
    """The end of the last box at the top."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        box = file.read(16)
        length = int.from_bytes(box[:4], "big")
        if length == 1:
            length = int.from_bytes(box[8:16], "big")
        if length < 8:
            return 0  # 0 is "to the end"; others are no boxes.
        place += length
    return place


def _mp3(file: BinaryIO, size: int) -> int:
    """The end of the frames, which encoders of a variable rate write into the first one."""
    start = _after_tag(file)
    file.seek(start)
    frame = file.read(200)
    for name in (b"Xing", b"Info"):
        place = frame.find(name)
        if place > 0:
            flags = int.from_bytes(frame[place + 4 : place + 8], "big")
            counts = place + 8 + (4 if flags & 1 else 0)
            return start + int.from_bytes(frame[counts : counts + 4], "big") if flags & 2 else 0
    return 0


def _after_tag(file: BinaryIO) -> int:
    """Where the frames of an MP3 start."""
    file.seek(0)
    head = file.read(10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    sevens = [byte & 0x7F for byte in head[6:10]]
    return 10 + (sevens[0] << 21 | sevens[1] << 14 | sevens[2] << 7 | sevens[3])


def _is_mp3(head: bytes) -> bool:
    return head[:3] == b"ID3" or (head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE6 == 0xE2)


KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO, int], int]], ...] = (
    (lambda head: head[:4] == b"RIFF", _riff),
    (lambda head: head[:4] == b"FORM", _aiff),
    (lambda head: head[:4] == b"OggS", _ogg),
    (lambda head: head[:4] == b"\x1a\x45\xdf\xa3", _matroska),
    (lambda head: head[4:8] in (b"ftyp", b"moov", b"mdat"), _mp4),
    (_is_mp3, _mp3),
)
"""Kinds of files by their first bytes, and how many bytes one states."""
