"""Windows of variants, and their effects beside those put together by hand."""

from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from seqkit import errors
from seqkit.genomics.likelihood import laws, sequences, variants
from seqkit.genomics.tokens import records
from seqkit.genomics.tokens.files import reverse_complement
from seqkit.io.variants import Variant, read_variants
from seqkit.models import genomic

HEAD = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
CHROMOSOME = "".join("ACGT"[int(n)] for n in np.random.default_rng(1).integers(0, 4, 200))


def _letters(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def _variant(pos: int, ref: str, alt: str) -> Variant:
    return Variant(chrom="c", pos=pos, id=".", ref=ref, alt=alt, record=f"c:{pos}")


@hypothesis.given(
    size=st.integers(1, 90),
    place=st.integers(0, 1000),
    span=st.integers(1, 12),
    alt=st.text(alphabet="ACGT", min_size=1, max_size=12),
    window=st.integers(16, 60),
    frames=st.sampled_from([1, 3, 6]),
)
def test_windows_are_pieces_of_the_two_chromosomes(
    size: int, place: int, span: int, alt: str, window: int, frames: int
) -> None:
    chromosome = CHROMOSOME[:size]
    place %= size
    ref = chromosome[place : place + span]
    changed = chromosome[:place] + alt + chromosome[place + len(ref) :]
    pairs = variants.haplotypes(
        _variant(place + 1, ref, alt), _letters(chromosome), window=window, frames=frames
    )
    assert 1 <= len(pairs) <= frames
    for reference_L, alternative_L in pairs:
        reference, alternative = reference_L.tobytes().decode(), alternative_L.tobytes().decode()
        assert 0 < len(reference) == len(alternative) <= window
        assert reference in chromosome
        assert alternative in changed
        if len(reference) > 2 * (len(ref) + len(alt) + frames):
            assert (reference != alternative) == (ref != alt)


def test_frames_put_the_variant_in_every_place_of_a_token() -> None:
    pairs = variants.haplotypes(_variant(100, CHROMOSOME[99], "A"), _letters(CHROMOSOME), window=60, frames=6)
    starts = [CHROMOSOME.index(reference.tobytes().decode()) for reference, _ in pairs]
    assert sorted((99 - start) % 6 for start in starts) == [0, 1, 2, 3, 4, 5]
    assert {reference.size % 6 for reference, _ in pairs} == {0}


def test_an_insertion_at_the_end_is_scored() -> None:
    last = CHROMOSOME[-1]
    pairs = variants.haplotypes(_variant(200, last, last + "GGG"), _letters(CHROMOSOME), window=30, frames=1)
    assert pairs[0][1].tobytes().decode() == (CHROMOSOME + "GGG")[-30:]
    assert pairs[0][0].tobytes().decode() == CHROMOSOME[-30:]


@pytest.mark.parametrize(
    "kind", [("decoder", "6mer"), ("decoder", "letters"), ("encoder", "3mer-overlapping")]
)
@pytest.mark.parametrize("both", [False, True])
def test_effects_are_differences_of_scores(
    tiny_genomic: Callable[..., Path], tmp_path: Path, kind: tuple[str, str], both: bool
) -> None:
    model = genomic.load(str(tiny_genomic(*kind)), device="cpu")
    ref = CHROMOSOME[99]
    alt = "A" if ref != "A" else "C"
    vcf, fasta = tmp_path / "v.vcf", tmp_path / "r.fa"
    fasta.write_text(f">other\nACGT\n>c\n{CHROMOSOME.lower()}\n")
    deleted, inserted = CHROMOSOME[49:53], f"{CHROMOSOME[149]}GATTACA"
    vcf.write_text(
        f"{HEAD}c\t100\trs1\t{ref}\t{alt},<DEL>,*\n"
        f"c\t50\t.\t{deleted}\t{deleted[0]}\n"
        f"c\t150\t.\t{CHROMOSOME[149]}\t{inserted}\n"
    )
    with variants.score_file(model, vcf, fasta, laws.Options(), window=30, both_strands=both) as found:
        effects = list(found.effects)
    assert found.skipped == 2
    assert [(e.variant.pos, e.variant.alt) for e in effects] == [
        (100, alt),
        (50, deleted[0]),
        (150, inserted),
    ]
    for effect in effects:
        pairs = variants.haplotypes(
            effect.variant, _letters(CHROMOSOME), window=30, frames=sequences.frames_of(model)
        )
        differences = []
        for pair in pairs:
            strands = [pair, tuple(reverse_complement(letters_L) for letters_L in pair)][: 2 if both else 1]
            for reference_L, alternative_L in strands:
                made = [records.tokenize(model, "r", letters_L) for letters_L in (reference_L, alternative_L)]
                low, high = sequences.score(model, made, laws.Options())
                differences.append(high.log_likelihood - low.log_likelihood)
        assert effect.effect == pytest.approx(np.mean(differences), abs=1e-3)
        assert effect.bases == 30


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("c\t100\t.\tGG{}\tA", "line 3 (c:100): REF is"),
        ("c\t201\t.\tA\tC", "has the end, 200 bases long there"),
        ("d\t1\t.\tA\tC", "no chromosome 'd'"),
        ("c\t0\t.\tA\tC", "POS '0'"),
        ("c\tx\t.\tA\tC", "POS 'x'"),
        ("c\t1\t.\t\tC", "REF ''"),
        ("c\t1\t.\tA?\tC", "REF 'A?'"),
        ("c\t1\t.\tA", "has 4 columns"),
    ],
)
def test_records_that_do_not_fit_are_named(
    tiny_genomic: Callable[..., Path], tmp_path: Path, line: str, words: str
) -> None:
    model = genomic.load(str(tiny_genomic("decoder", "letters")), device="cpu")
    vcf, fasta = tmp_path / "v.vcf", tmp_path / "r.fa"
    fasta.write_text(f">c\n{CHROMOSOME}\n")
    wrong = "T" if CHROMOSOME[101] != "T" else "A"
    vcf.write_text(HEAD + line.format(wrong) + "\n")
    with (
        pytest.raises(errors.DataError) as caught,
        variants.score_file(model, vcf, fasta, laws.Options(), window=30),
    ):
        pass
    assert words in str(caught.value)
    assert str(vcf) in str(caught.value)
    assert "line 3" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b">c\nACGT\n", b"BCF\x02\x02", b"##fileformat=VCFv4.2\r#CHROM\rc\t1\t.\tA\tC\r"],
)
def test_what_is_no_vcf_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "v.vcf"
    path.write_bytes(content)
    with pytest.raises(errors.DataError, match="v.vcf"):
        list(read_variants(path))


def test_a_window_that_is_too_small_is_refused(tiny_genomic: Callable[..., Path], tmp_path: Path) -> None:
    model = genomic.load(str(tiny_genomic("decoder", "letters")), device="cpu")
    with (
        pytest.raises(errors.UsageError, match="--window 3"),
        variants.score_file(model, tmp_path / "v.vcf", tmp_path / "r.fa", laws.Options(), window=3),
    ):
        pass


def _files(folder: Path, lines: list[str], newline: str = "\n") -> tuple[Path, Path]:
    """A VCF of some lines, and a reference of two chromosomes."""
    vcf, fasta = folder / "v.vcf", folder / "r.fa"
    vcf.write_bytes((HEAD + "".join(f"{line}\n" for line in lines)).replace("\n", newline).encode())
    fasta.write_text(f">c\n{CHROMOSOME}\n>d\n{CHROMOSOME[::-1]}\n>unused\nACGT\n")
    return vcf, fasta


def _snp(chrom: str, pos: int) -> str:
    letters = CHROMOSOME if chrom == "c" else CHROMOSOME[::-1]
    return f"{chrom}\t{pos}\t.\t{letters[pos - 1]}\t{'A' if letters[pos - 1] != 'A' else 'C'}"


def test_the_order_of_the_file_stays_whatever_that_of_the_reference(
    tiny_genomic: Callable[..., Path], tmp_path: Path
) -> None:
    model = genomic.load(str(tiny_genomic("decoder", "letters")), device="cpu")
    asked = [("d", 20), ("c", 30), ("d", 10), ("c", 90)]
    vcf, fasta = _files(tmp_path, [_snp(*each) for each in asked])
    with variants.score_file(model, vcf, fasta, laws.Options(), window=20) as found:
        effects = list(found.effects)
    assert [(each.variant.chrom, each.variant.pos) for each in effects] == asked
    alone, _ = _files(tmp_path, [_snp("c", 90)])
    with variants.score_file(model, alone, fasta, laws.Options(), window=20) as found:
        (last,) = found.effects
    assert effects[3].effect == pytest.approx(last.effect, abs=1e-4)


@pytest.mark.parametrize("wrong", ["d\t9999\t.\tA\tC", "nowhere\t1\t.\tA\tC", "d\tx\t.\tA\tC"])
def test_everything_is_checked_before_anything_is_scored(
    tiny_genomic: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    model = genomic.load(str(tiny_genomic("decoder", "letters")), device="cpu")
    vcf, fasta = _files(tmp_path, [_snp("c", 30)] * 99 + [wrong])
    monkeypatch.setattr(laws, "_causal", lambda *given: pytest.fail("something was scored"))
    with (
        pytest.raises(errors.DataError, match="line 102"),
        variants.score_file(model, vcf, fasta, laws.Options(batch_tokens=1), window=20) as found,
    ):
        next(found.effects)


def test_effects_come_while_the_file_is_read(
    tiny_genomic: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = genomic.load(str(tiny_genomic("decoder", "letters")), device="cpu")
    vcf, fasta = _files(tmp_path, [_snp("c", 30)] * 500)
    taken = []
    haplotypes = variants.haplotypes
    monkeypatch.setattr(
        variants, "haplotypes", lambda *given, **asked: taken.append(1) or haplotypes(*given, **asked)
    )
    with variants.score_file(model, vcf, fasta, laws.Options(batch_tokens=50), window=20) as found:
        next(found.effects)
        assert len(taken) < 50


def test_carriage_returns_before_newlines_change_nothing(
    tiny_genomic: Callable[..., Path], tmp_path: Path
) -> None:
    model = genomic.load(str(tiny_genomic("decoder", "letters")), device="cpu")
    found = []
    for newline in ("\n", "\r\n"):
        vcf, fasta = _files(tmp_path, [_snp("c", 30)], newline)
        with variants.score_file(model, vcf, fasta, laws.Options(), window=20) as scored:
            found.append([(effect.variant, effect.effect) for effect in scored.effects])
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", [("encoder", "3mer-overlapping"), ("encoder", "letters")])
def test_a_model_that_knows_nothing_finds_no_effect(
    tiny_genomic: Callable[..., Path], tmp_path: Path, kind: tuple[str, str]
) -> None:
    model = genomic.load(str(tiny_genomic(*kind)), device="cpu")
    for weight in model.network.parameters():
        weight.data.zero_()
    inserted = f"c\t50\t.\t{CHROMOSOME[49]}\t{CHROMOSOME[49]}GATTACA"
    vcf, fasta = _files(tmp_path, [_snp("c", 30), _snp("c", 1), _snp("d", 200), inserted])
    with variants.score_file(model, vcf, fasta, laws.Options(), window=30) as found:
        for effect in found.effects:
            assert effect.effect == pytest.approx(0, abs=1e-4)
            assert effect.reference == pytest.approx(
                -30 * np.log(model.network.config.vocab_size) / (3 if "3mer" in kind[1] else 1), abs=1e-3
            )
