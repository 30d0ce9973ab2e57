"""What is said in general: a broad class that is sure, and nothing otherwise."""

import pytest
import torch

from seqkit.audio import classes
from seqkit.audio.captioning import general
from seqkit.audio.captioning.words import classes_in
from seqkit.audio.evaluation import fluency


@pytest.mark.parametrize("name", sorted(general.BROAD))
def test_a_sentence_names_its_class(name: str) -> None:
    heard_C = torch.zeros(527)
    [place] = classes.indices([name])
    heard_C[place] = 0.5
    said = general.sentence(heard_C)
    assert place in classes_in(said)
    assert not fluency.faults(said)
    assert general.sentence(heard_C * 0.99) == general.GENERAL


def test_the_surest_is_told_and_narrow_classes_are_not() -> None:
    heard_C = torch.zeros(527)
    heard_C[classes.indices(["Animal", "Vehicle", "Chainsaw"])] = torch.tensor([0.6, 0.7, 0.9])
    assert general.sentence(heard_C) == general.BROAD["Vehicle"]
