"""A model's folder in one layout to a folder in another.

Knows folders; what a layout is lives in `foreign`.
"""

from pathlib import Path

from seqkit.io import atomic
from seqkit.models import foreign, genomic, nucleotides

__all__ = ["OWN", "convert"]

OWN = "seqkit"


def convert(model: str, layout: str, out: str, *, offline: bool = False) -> int:
    """Write a model in a layout; the folder appears whole or not at all.

    Parameters
    ----------
    layout : `OWN`, or one of `foreign.LAYOUTS`.

    Returns
    -------
    The number of its parameters.

    Raises
    ------
    UsageError, DataError, OutputError
        when the model cannot be read, expressed, or written.
    """
    loaded = genomic.load(model, device="cpu", dtype="float32", offline=offline)
    card = (
        f"# {Path(out).name}\n\n{Path(model).name}, written in the layout of {layout} by `seqkit convert`.\n"
    )
    with atomic.atomic_directory(out) as folder:
        if layout == OWN:
            genomic.save(folder, loaded.network, loaded.tokenizer, card=card)
        else:
            foreign.save_network(folder, loaded.network, layout)
            nucleotides.save(loaded.tokenizer, folder / nucleotides.FILE)
            (folder / "README.md").write_text(card, encoding="utf-8")
    return sum(weight.numel() for weight in loaded.network.parameters())
