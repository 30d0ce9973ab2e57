"""Blocks of reads: any layout and block size reads as a slow reader reads it, and every defect is named."""

import gzip
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit import errors
from seqkit.io import reads


def unpack(block):
    quality = (block.quality(index) for index in range(len(block)))
    return [
        (
            block.name(index),
            block.sequence(index).tobytes().decode(),
            q if q is None else q.tobytes().decode(),
        )
        for index, q in enumerate(quality)
    ]


def read(path, **limits):
    return [record for block in reads.read_blocks(path, **limits) for record in unpack(block)]


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="reads.fq"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write_file


def read_slowly(content):
    """Read as the format's description says, a line at a time, for comparison."""
    lines = [line.removesuffix("\r") for line in content.decode().split("\n")]
    if content.lstrip().startswith(b">"):
        for record in "\n".join(lines).lstrip().removeprefix(">").split("\n>"):
            header, _, sequence = record.partition("\n")
            yield header.split()[0], sequence.replace("\n", "").upper().replace("U", "T"), None
        return
    filled = iter(lines)
    for header in filled:
        if header:
            sequence, _, quality = (next(filled, "") for _ in range(3))
            yield header[1:].split()[0], sequence.upper().replace("U", "T").replace(".", "N"), quality


NAME = st.from_regex(r"\A[!-~]{1,20}\Z").filter(lambda name: not name.startswith((">", "@")))
QUALITY = st.characters(min_codepoint=33, max_codepoint=126)


@st.composite
def fastq_files(draw):
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    content = ""
    for _ in range(draw(st.integers(1, 12))):
        name, comment = draw(NAME), draw(st.sampled_from(["", " 1:N:0", "\tx @y"]))
        sequence = draw(st.text("ACGTNacgtuRY.", max_size=40))
        quality = draw(st.text(QUALITY, min_size=len(sequence), max_size=len(sequence)))
        plus = "+" + draw(st.sampled_from(["", name]))
        content += newline.join(["@" + name + comment, sequence, plus, quality, ""])
    end = draw(st.sampled_from(["keep", "blank", "cut"]))
    if end == "cut":
        content = content.removesuffix(newline)
    return (content + newline * (end == "blank")).encode()


@st.composite
def fasta_files(draw):
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    content = ""
    for _ in range(draw(st.integers(1, 12))):
        sequence, width = draw(st.text("ACGTNacgtuRY", max_size=60)), draw(st.integers(1, 70))
        lines = [sequence[at : at + width] for at in range(0, len(sequence), width)]
        content += newline.join([">" + draw(NAME) + draw(st.sampled_from(["", " > x"])), *lines, ""])
    return (content.removesuffix(newline) if draw(st.booleans()) else content).encode()


@settings(max_examples=150, deadline=None)
@given(content=st.one_of(fastq_files(), fasta_files()), data=st.data())
def test_any_layout_and_block_size(tmp_path_factory, content, data):
    path = tmp_path_factory.mktemp("reads") / "reads"
    path.write_bytes(content)
    max_records, max_bases = data.draw(st.integers(1, 15)), data.draw(st.integers(1, 200))
    expected = list(read_slowly(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reads, "CHUNK_BYTES", data.draw(st.integers(1, 100)))
        blocks = list(reads.read_blocks(path, max_records=max_records, max_bases=max_bases))
    assert [record for block in blocks for record in unpack(block)] == expected
    assert [block.first_record for block in blocks] == [
        0,
        *itertools.accumulate(len(block) for block in blocks[:-1]),
    ]
    for block in blocks:
        assert len(block) <= max_records
        assert block.lengths[:-1].sum() < max_bases or len(block) == 1


def test_blocks_end_where_the_limits_say(write):
    path = write(b"".join(b"@r%d\nACGT\n+\nIIII\n" % number for number in range(10)))
    sizes = [len(block) for block in reads.read_blocks(path, max_records=4)]
    assert sizes == [4, 4, 2]
    sizes = [len(block) for block in reads.read_blocks(path, max_bases=9)]
    assert sizes == [3, 3, 3, 1]


def test_blocks_do_not_change_later(write, monkeypatch):
    monkeypatch.setattr(reads, "CHUNK_BYTES", 16)
    path = write(b"".join(b"@r%d\nACGT\n+\nIIII\n" % number for number in range(50)))
    blocks = list(reads.read_blocks(path, max_records=3))
    assert [name for block in blocks for name, _, _ in unpack(block)] == [f"r{n}" for n in range(50)]


@pytest.mark.parametrize(
    ("name", "paired"),
    [("r/1", "r"), ("r/2", "r"), ("r/3", "r/3"), ("r", "r"), ("/1", "/1"), ("a/1/2", "a/1")],
)
def test_mate_suffix(write, name, paired):
    block = next(reads.read_blocks(write(f"@{name} x\nA\n+\nI\n".encode())))
    assert (block.name(0), block.name(0, paired=True)) == (name, paired)


def test_a_record_longer_than_a_chunk(write, monkeypatch):
    monkeypatch.setattr(reads, "CHUNK_BYTES", 1000)
    sequence = b"ACGTA" * 20_000
    path = write(b"@long\n%s\n+\n%s\n@r\nA\n+\nI\n" % (sequence, b"I" * len(sequence)))
    assert [len(record[1]) for record in read(path)] == [100_000, 1]


@pytest.mark.parametrize(
    "content", [b"@r1\nACGT\n+\nIIII\n", b"@r1\r\nACGT\r\n+\r\nIIII\r\n", b">r1\nACGT\n"]
)
def test_a_byte_order_mark_is_no_content(write, content):
    assert read(write(b"\xef\xbb\xbf" + content)) == read(write(content))


FINE = b"@r1\nACGT\n+\nIIII\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "reads.fq: is empty: there are no reads in it"),
        (b"\n\n", "reads.fq: is empty: there are no reads in it"),
        (b"ACGT\n", "reads.fq: is neither FASTA ('>name') nor FASTQ ('@name')"),
        (b">r1\rACGT\r>r2\rAC\r", "reads.fq: line ends are bare carriage returns (convert it with mac2unix)"),
        (b"@r1\rACGT\r+\rIIII\r", "reads.fq: line ends are bare carriage returns"),
        (b"@HD\tVN:1.6\n", "reads.fq: is a SAM file (samtools fastq turns it into FASTQ)"),
        (b"BAM\1" + bytes(50), "reads.fq: is a BAM or CRAM file (samtools fastq turns it into FASTQ)"),
        (FINE + b"@r2\n", "reads.fq: r2 (record 2): the file ends within this record (is the file whole?)"),
        (FINE + b"@r2", "reads.fq: r2 (record 2): the file ends within this record"),
        (FINE + b"@r2\nAC", "reads.fq: r2 (record 2): the file ends within this record"),
        (FINE + b"@r2\nAC\n+", "reads.fq: r2 (record 2): the file ends within this record"),
        (
            FINE + b"@r2\nACG\n+\nII",
            "the quality is shorter than the sequence (2 characters, 3 bases) (is the file whole?)",
        ),
        (
            FINE + b"@r2\nACG\n+\nIIII\n" + FINE,
            "r2 (record 2): the quality is longer than the sequence (4 characters, 3 bases)",
        ),
        (
            FINE + b"@r2\nACG\n\n+\nIII\n",
            "r2 (record 2): the line after the sequence must begin with '+', not ''",
        ),
        (
            FINE + b"@r2\nACG\nIII\n",
            "r2 (record 2): the line after the sequence must begin with '+', not 'III'",
        ),
        (
            FINE + b"@r2\nACG\nTTT\n+\nIIIIII\n",
            "the sequence goes on over several lines (FASTQ with wrapped lines is not supported)",
        ),
        (FINE + b"@r2\nACEG\n+\nIIII\n", "r2 (record 2): 'E' in the sequence is no nucleotide code"),
        (FINE + b"@r2\nAC G\n+\nIIII\n", "r2 (record 2): ' ' in the sequence is no nucleotide code"),
        (FINE + b"@r2\nACG\n+\nI I\n", "r2 (record 2): the quality holds characters outside '!' to '~'"),
        (FINE + b"@\nACG\n+\nIII\n", "reads.fq: record 2: the header has no name"),
        (
            FINE + b"r2\nACG\n+\nIII\n",
            "reads.fq: record 2: must begin with '@' (FASTQ) or '>' (FASTA), not 'r2'",
        ),
        (b">r1\nAC\nGX\nT\n", "reads.fq: r1 (record 1): 'X' in the sequence is no nucleotide code"),
        (b">r1\nAC\n>\nGT\n", "reads.fq: record 2: the header has no name"),
        (gzip.compress(FINE * 1000)[:-12], "reads.fq: the gzip file is cut short"),
    ],
)
def test_defects(write, content, message):
    with pytest.raises(errors.DataError) as caught:
        read(write(content))
    assert message in str(caught.value)


def fastq(*names):
    return "".join(f"@{name}\nACGT\n+\nIIII\n" for name in names).encode()


def pairs(blocks):
    return [(a[0], b[0]) for one, two in blocks for a, b in zip(unpack(one), unpack(two), strict=True)]


@pytest.mark.parametrize("limits", [{}, {"max_records": 1}, {"max_records": 2}, {"max_bases": 5}])
def test_pairs(write, limits):
    path1 = write(fastq("a/1", "b/1 x", "c/1"), "1.fq")
    path2 = write(gzip.compress(fastq("a/2", "b/2 y", "c/2")), "2.fq")
    expected = [("a/1", "a/2"), ("b/1", "b/2"), ("c/1", "c/2")]
    assert pairs(reads.paired_blocks(path1, path2, **limits)) == expected
    both = write(fastq("a/1", "a/2", "b/1", "b/2", "c/1", "c/2"))
    assert pairs(reads.interleaved_blocks(both, **limits)) == expected


def test_pairs_count_in_pairs(write):
    path = write(fastq("a", "a", "b", "b", "c", "c"))
    blocks = list(reads.interleaved_blocks(path, max_records=2))
    assert [(one.first_record, two.first_record) for one, two in blocks] == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            ["a", "b"],
            ["a", "c"],
            "2.fq: c (record 2): does not pair up with 'b' of {folder}/1.fq: the names differ "
            "(mates must stand in the same order)",
        ),
        (["a/1", "b/1"], ["a/2"], "1.fq: b/1 (record 2): has no mate: {folder}/2.fq has fewer records"),
        (["a", "b", "c"], ["a", "c"], "2.fq: c (record 2): does not pair up with 'b' of {folder}/1.fq"),
        (["a"], ["a", "b"], "2.fq: b (record 2): has no mate: {folder}/1.fq has fewer records"),
    ],
)
def test_mates_that_do_not_pair_up(write, tmp_path, first, second, message):
    path1, path2 = write(fastq(*first), "1.fq"), write(fastq(*second), "2.fq")
    with pytest.raises(errors.DataError) as caught:
        pairs(reads.paired_blocks(path1, path2))
    assert message.format(folder=tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "a", "b"], "reads.fq: b (record 3): the last record has no mate (is the file interleaved?)"),
        (["a", "b"], "reads.fq: b (record 2): does not pair up with 'a': the names differ"),
        (["a", "a", "b", "c"], "reads.fq: c (record 4): does not pair up with 'b': the names differ"),
    ],
)
def test_interleaving_that_does_not_pair_up(write, names, message):
    with pytest.raises(errors.DataError) as caught:
        pairs(reads.interleaved_blocks(write(fastq(*names))))
    assert message in str(caught.value)


def test_example_pairs(examples):
    found = pairs(reads.paired_blocks(examples / "reads_1.fq.gz", examples / "reads_2.fq.gz"))
    assert len(found) == 200


@pytest.mark.needs_dev_data
def test_real_pairs(dev_data):
    folder = dev_data / "genomics" / "reads"
    paths = sorted(folder.glob("yeast_SRR5204809*R[12].fastq.gz"))
    blocks = list(reads.paired_blocks(*paths, max_records=30_000))
    assert [len(one) for one, _ in blocks] == [30_000, 30_000, 30_000, 10_000]
    assert {50} == {int(n) for one, two in blocks for block in (one, two) for n in set(block.lengths)}
