"""What is said of a sound that no caption tells well: its surest broad class, if that is sure enough.

Knows AudioSet's broad classes, and a sentence for each; not captions or their scores.

Shape suffixes: C classes, G broad classes.
"""

import torch

from seqkit.audio import classes

__all__ = ["BROAD", "GENERAL", "sentence"]

#: What is said where no broad class is sure either.
GENERAL = "a sound that is hard to tell"
#: Broad classes and what is said of them.
BROAD = {
    "Speech": "someone is heard, perhaps speaking",
    "Music": "music of some kind is heard",
    "Animal": "an animal of some kind is heard",
    "Bird": "a bird of some kind is heard",
    "Insect": "an insect of some kind is heard",
    "Vehicle": "a vehicle of some kind is heard",
    "Aircraft": "an aircraft of some kind is heard",
    "Engine": "an engine of some kind is heard",
    "Tools": "a tool of some kind is heard",
    "Water": "water of some kind is heard",
    "Wind": "wind or moving air is heard",
    "Bell": "a bell of some kind is heard",
    "Alarm": "an alarm of some kind is heard",
}
#: Least probability of a broad class that is told.
SURE = 0.5


def sentence(probabilities_C: torch.Tensor) -> str:
    """A sentence for the most probable of `BROAD`, or `GENERAL`.

    Parameters
    ----------
    probabilities_C : of AudioSet's classes.

    Examples
    --------
    >>> heard = torch.zeros(527)
    >>> sentence(heard)
    'a sound that is hard to tell'
    >>> heard[classes.indices(["Animal", "Dog"])] = torch.tensor([0.6, 0.4])
    >>> sentence(heard)
    'an animal of some kind is heard'
    """
    broad_G = probabilities_C[classes.indices(BROAD)]
    surest = int(broad_G.argmax())
    return list(BROAD.values())[surest] if broad_G[surest] >= SURE else GENERAL
