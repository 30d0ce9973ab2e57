"""Reads of pathogens: where they come from, and that no lineage is in two splits."""

import gzip
import itertools
from pathlib import Path

import numpy as np
import pytest

from seqkit import errors
from seqkit.genomics.tasks import lineages, pathogen, sources
from seqkit.genomics.tasks.pathogen import PathogenConfig, Reads
from seqkit.genomics.tokens.files import reverse_complement
from seqkit.io import sequences
from seqkit.tokenizers import letters


@pytest.fixture
def config(pathogen_data: Path, tmp_path: Path) -> PathogenConfig:
    return PathogenConfig(
        data=pathogen_data, model="none", out=tmp_path / "out", train=200, dev=40, test=80, error=0.0
    )


@pytest.fixture
def pools(config: PathogenConfig) -> list[sources.Pool]:
    return pathogen.read_pools(config.data)


def words(reads: list[np.ndarray]) -> set[int]:
    """32-mers of either strand."""
    parts = [lineages.canonical(letters.codes_of(read), 32)[0] for read in reads]
    return set(np.concatenate(parts).tolist())


def of_source(reads: Reads, name: str) -> list[np.ndarray]:
    number = list(sources.SOURCES).index(name)
    return [read for read, source in zip(reads.letters, reads.sources_N, strict=True) if source == number]


def held(reads: Reads) -> set[tuple[int, int]]:
    return set(zip(reads.sources_N.tolist(), reads.lineages_N.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_no_lineage_is_in_two_splits(config: PathogenConfig, pools: list[sources.Pool], seed: int) -> None:
    made = pathogen.tables(pools, config, "genome", seed)
    for one, other in itertools.combinations(made.values(), 2):
        assert not held(one) & held(other)
        # What the labels say, and what the letters say: variants of a virus or gene share 32-mers.
        for name in ("virus", "resistance"):
            assert not words(of_source(one, name)) & words(of_source(other, name))


def test_a_split_by_read_tests_the_same_reads_and_leaks(
    config: PathogenConfig, pools: list[sources.Pool]
) -> None:
    honest, leaking = (pathogen.tables(pools, config, way, 0) for way in pathogen.WAYS)
    for one, other in zip(honest["test"].letters, leaking["test"].letters, strict=True):
        assert np.array_equal(one, other)
    assert held(leaking["test"]) <= held(leaking["train"])
    clean, leaked = (pathogen.shared(made["train"], made["test"]) for made in (honest, leaking))
    assert clean["virus"] == clean["resistance"] == 0 and leaked["virus"] > 0.5
    own = [
        bool(words([read]) & words(leaking["train"].letters)) for read in of_source(leaking["test"], "human")
    ]
    assert leaked["human"] == np.mean(own)
    assert words(of_source(leaking["test"], "virus")) & words(of_source(leaking["train"], "virus"))


def test_the_same_seed_draws_the_same_and_another_does_not(
    config: PathogenConfig, pools: list[sources.Pool]
) -> None:
    def spelled(seed: int) -> dict[str, list[bytes]]:
        made = pathogen.tables(pools, config, "genome", seed)
        return {name: [read.tobytes() for read in reads.letters] for name, reads in made.items()}

    assert spelled(3) == spelled(3)
    assert spelled(3) != spelled(4)


def test_reads_are_pieces_of_their_source_from_either_strand(
    config: PathogenConfig, pools: list[sources.Pool]
) -> None:
    made = pathogen.tables(pools, config, "genome", 1)
    assert [len(reads.letters) for reads in made.values()] == [200, 40, 80]
    genes = [
        letters_L.tobytes()
        for path in (config.data / "meta" / "resfinder").iterdir()
        for _, letters_L in sequences.read_records(path)
    ]
    reads = of_source(made["train"], "resistance")
    forward = sum(any(read.tobytes() in gene for gene in genes) for read in reads)
    backward = sum(any(reverse_complement(read).tobytes() in gene for gene in genes) for read in reads)
    assert forward + backward == len(reads) == 50
    assert 10 < forward < 40
    assert {example.texts for example in made["test"].examples()[:40]} == {("pathogen",)}
    assert {example.texts for example in made["test"].examples()[40:]} == {("background",)}


def test_background_never_holds_what_a_pathogen_holds(
    config: PathogenConfig, pools: list[sources.Pool]
) -> None:
    gene = next(iter(sequences.read_records(config.data / "meta" / "resfinder" / "g0.fsa")))[1]
    carrier = config.data / "ref" / "salmonella_GCF_000006945.1.fna.gz"
    assert words([gene]) & words([next(iter(sequences.read_records(carrier)))[1]])
    for seed in range(4):
        made = pathogen.tables(pools, config, "read", seed)
        for reads in made.values():
            assert not words(of_source(reads, "bacteria")) & words([gene])
            assert all((letters.codes_of(read) < 4).all() for read in reads.letters)


def test_errors_are_substitutions(config: PathogenConfig, pools: list[sources.Pool]) -> None:
    allowed = np.full(int(pools[0].lineages_U.max()) + 1, True)
    changed = PathogenConfig(data=config.data, model="", out=config.out, error=0.1)
    clean, wrong = (
        pathogen.draw(pools[0], allowed, 60, each, np.random.default_rng(0))[0] for each in (config, changed)
    )
    far = [
        min((one != other).mean(), (one != reverse_complement(other)).mean())
        for one, other in zip(clean, wrong, strict=True)
    ]
    assert 0.07 < float(np.mean(far)) < 0.13


def test_units_are_whole_or_pieces_and_each_once(pathogen_data: Path, pools: list[sources.Pool]) -> None:
    by_name = {pool.name: pool for pool in pools}
    assert np.bincount(by_name["virus"].lineages_U).tolist() == [3] * 4
    assert np.diff(by_name["human"].bounds).tolist() == [100_000, 100_000, 102_000]
    assert by_name["bacteria"].lineages_U.tolist() == [0, 0, 1, 2, 3]
    double = pathogen_data / "meta" / "resfinder" / "g0-again.fsa"
    double.write_bytes((pathogen_data / "meta" / "resfinder" / "g0.fsa").read_bytes())
    again = sources.read(pathogen_data, "resistance", sources.SOURCES["resistance"])
    assert again.bounds.size == by_name["resistance"].bounds.size


def test_damaged_and_missing_data_is_named(pathogen_data: Path, config: PathogenConfig) -> None:
    archive = pathogen_data / "meta" / "nextclade_viruses.tar.gz"
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(errors.DataError, match="no archive that can be read") as caught:
        pathogen.read_pools(pathogen_data)
    assert caught.value.file == str(archive)
    archive.write_bytes(b"no archive")
    with pytest.raises(errors.DataError, match="no archive"):
        pathogen.read_pools(pathogen_data)
    archive.write_bytes(whole)
    gene = pathogen_data / "meta" / "resfinder" / "g1.fsa"
    gene.write_text(">bad\nAC!T\n")
    with pytest.raises(errors.DataError, match=r"no nucleotide code") as caught:
        pathogen.read_pools(pathogen_data)
    assert caught.value.file == str(gene)
    for path in gene.parent.iterdir():
        path.unlink()
    with pytest.raises(errors.DataError, match="no such file"):
        pathogen.read_pools(pathogen_data)


def test_too_few_lineages_are_told_with_their_source(pathogen_data: Path, config: PathogenConfig) -> None:
    short = b">20\n" + b"ACGTTGCA" * 30_000 + b"\n"
    (pathogen_data / "ref" / "hs37_chr20.fa.gz").write_bytes(gzip.compress(short))
    with pytest.raises(errors.DataError, match=r"human: \d lineages? are too few"):
        pathogen.tables(pathogen.read_pools(pathogen_data), config, "genome", 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ways": ("gene",)},
        {"ways": ()},
        {"methods": ("guess",)},
        {"seeds": 0},
        {"minutes": 0.0},
        {"train": 3},
        {"length": 151},
        {"length": 10},
        {"error": 1.0},
    ],
)
def test_what_cannot_be_measured_is_refused(wrong: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError):
        PathogenConfig(data=tmp_path, model="", out=tmp_path, **wrong)  # type: ignore[arg-type]


@pytest.mark.needs_dev_data
def test_real_resistance_genes_fall_into_families(dev_data: Path) -> None:
    genes = sources.Source(files=("meta/resfinder/colistin.fsa",), is_pathogen=True)
    pool = sources.read(dev_data / "genomics", "colistin", genes)
    # mcr-1 to mcr-10; mcr-2 and mcr-6 are close.
    assert 5 <= pool.lineages_U.max() + 1 <= 12
    assert pool.bounds.size - 1 > 40
