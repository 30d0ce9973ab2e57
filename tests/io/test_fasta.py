"""Reference sequences: every layout reads the same, and every defect is named."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit import errors
from seqkit.io import fasta


def read(path):
    return [(name, text, sequence.tobytes()) for name, text, sequence in fasta.read_sequences(path)]


@pytest.fixture
def write(tmp_path):
    def write_file(content):
        path = tmp_path / "ref.fa"
        path.write_bytes(content)
        return path

    return write_file


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b">a\nACGT\n", [("a", "", b"ACGT")]),
        (b">a\nACGT", [("a", "", b"ACGT")]),
        (b">a first one\nAC\nGT\n>b\nTT\n", [("a", "first one", b"ACGT"), ("b", "", b"TT")]),
        (b">a\r\nAC\r\nGT\r\n", [("a", "", b"ACGT")]),
        (b">a\nacgtn\n", [("a", "", b"ACGTN")]),
        (b">a\nACGU\nu\n", [("a", "", b"ACGTT")]),
        (b">a\nRYSWKMBDHVN\n", [("a", "", b"RYSWKMBDHVN")]),
        (b"\n\n>a\n\nAC\n\nGT\n\n", [("a", "", b"ACGT")]),
        (b">a x -> y > z\nAC\n", [("a", "x -> y > z", b"AC")]),
        (b">a\tb\nA C\tG\n", [("a", "b", b"ACG")]),
        (b"\xef\xbb\xbf>a\nACGT\n", [("a", "", b"ACGT")]),
        (b"\xef\xbb\xbf>a\r\nACGT\r\n", [("a", "", b"ACGT")]),
    ],
)
def test_layouts(write, content, expected):
    assert read(write(content)) == expected
    assert read(write(gzip.compress(content))) == expected


NAMES = st.lists(st.from_regex(r"\A[A-Za-z0-9_.:|]{1,12}\Z"), min_size=1, max_size=5, unique=True)


@settings(max_examples=50, deadline=None)
@given(data=st.data(), names=NAMES)
def test_any_layout_and_chunk(tmp_path_factory, data, names):
    records, content = [], b""
    newline = data.draw(st.sampled_from([b"\n", b"\r\n"]))
    for name in names:
        sequence = data.draw(st.text("ACGTNacgtn", min_size=1, max_size=80))
        width = data.draw(st.integers(1, 90))
        lines = [sequence[at : at + width].encode() for at in range(0, len(sequence), width)]
        content += newline.join([b">" + name.encode() + b" text", *lines, b""])
        records.append((name, "text", sequence.upper().encode()))
    path = tmp_path_factory.mktemp("fasta") / "ref.fa"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fasta, "CHUNK_BYTES", data.draw(st.integers(1, 50)))
        assert read(path) == records


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ref.fa: there is no sequence in it"),
        (b"\n \n", "ref.fa: there is no sequence in it"),
        (b">a\n>b\nAC\n", "ref.fa: a: the record has no sequence"),
        (b">a\n", "ref.fa: a: the record has no sequence"),
        (b">a\nAC\n>a second\nGT\n", "ref.fa: a: the name is used by two records"),
        (b">a\nAC\n>b\nACQT\n", "ref.fa: b: 'Q' at position 3 is no nucleotide code"),
        (b">a\nAC\nG-T\n", "ref.fa: a: '-' at position 4 is no nucleotide code"),
        (b">a\nAC\0GT\n", "ref.fa: a: a NUL byte at position 3 is no nucleotide code"),
        (b">a\0b\nAC\n", "ref.fa: record 1: there is a NUL byte in the header"),
        (b"ACGT\n>a\nAC\n", "ref.fa: does not begin with a FASTA header ('>name')"),
        (b"@r\nACGT\n+\nIIII\n", "ref.fa: looks like FASTQ or SAM, where a FASTA or GenBank file is needed"),
        (b"\x7fELF\0\0\0", "ref.fa: is a binary file, where a FASTA or GenBank file is needed"),
        (b">a\nAC\n> \nGT\n", "ref.fa: record 2: the header has no name"),
        (b"> a\nAC\n", "ref.fa: record 1: the header has no name"),
        (b">a\nAC>b\nGT\n", "ref.fa: a: '>' inside a sequence line"),
        (b">a\rACGT\r", "ref.fa: line ends are bare carriage returns (convert it with mac2unix)"),
        (gzip.compress(b">a\n" + b"ACGT\n" * 999)[:-9], "ref.fa: the gzip file is cut short"),
    ],
)
def test_defects(write, content, message):
    with pytest.raises(errors.DataError) as caught:
        read(write(content))
    assert message in str(caught.value)


GENBANK = b"""LOCUS       TEST1                     12 bp    DNA     linear   UNK 01-JAN-2000
DEFINITION  A test record.
ACCESSION   TEST1
VERSION     TEST1.2
FEATURES             Location/Qualifiers
     source          1..12
ORIGIN
        1 acgtnacgtn gg
//
"""


def test_genbank(write):
    assert read(write(GENBANK)) == [("TEST1.2", "A test record", b"ACGTNACGTNGG")]
    assert read(write(gzip.compress(GENBANK))) == [("TEST1.2", "A test record", b"ACGTNACGTNGG")]


def test_genbank_behind_a_byte_order_mark(write):
    assert read(write(b"\xef\xbb\xbf" + GENBANK))[0][0] == "TEST1.2"


def test_genbank_without_sequence(write):
    content = GENBANK[: GENBANK.index(b"ORIGIN")] + b"CONTIG      join(X1.1:1..12)\n//\n"
    with pytest.raises(errors.DataError, match=r"ref\.fa: TEST1\.2: the GenBank record has no sequence"):
        read(write(content))


def test_damaged_genbank(write):
    with pytest.raises(errors.DataError, match=r"ref\.fa: .*(not valid GenBank|no sequence)"):
        read(write(GENBANK[:60]))


@pytest.mark.needs_dev_data
def test_yeast(dev_data):
    records = read(dev_data / "genomics" / "ref" / "sacCer_R64_genome.fa.gz")
    assert len(records) == 17
    assert sum(len(sequence) for _, _, sequence in records) == 12_157_105
