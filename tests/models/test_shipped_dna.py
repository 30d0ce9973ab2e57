"""The nucleotide model that comes with the package: small, whole, and it knows more than composition."""

from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from seqkit.cli import main
from seqkit.models import genomic

SHIPPED = Path(genomic.__file__).with_name("shipped") / genomic.DEFAULT
GENOME = Path(__file__).parents[2] / "examples" / "sarscov2.fa"


def test_it_is_small_and_without_pickles() -> None:
    held = {path.name for path in SHIPPED.iterdir()}
    assert held == {
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "recipe.json",
        "tokenizer.json",
    }
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 20_000_000


def test_its_card_names_the_command_that_makes_it() -> None:
    assert "seqkit pretrain --recipe dna-small" in (SHIPPED / "README.md").read_text()


def test_it_embeds_a_genome_at_once(tmp_path: Path) -> None:
    out = tmp_path / "vectors.npy"
    result = CliRunner().invoke(main.app, ["embed", str(GENOME), "-o", str(out)])
    assert result.exit_code == 0, result.output
    vectors = np.load(out)
    assert vectors.shape == (1, 128)
    assert np.isfinite(vectors).all()
    assert vectors.std() > 0
