"""A captioning model made on the spot, with random weights."""

import pytest
import torch

from seqkit.audio.captioning.folder import Parts
from seqkit.audio.captioning.model import CaptionConfig, CaptionModel
from seqkit.audio.captioning.sentences import SentenceConfig, SentenceEncoder
from seqkit.audio.encoders.conv import ConvConfig, ConvEncoder
from seqkit.tokenizers.subword import SubwordTokenizer

LINES = ["a dog barks", "rain falls on a roof", "a clock is ticking", "a car drives by while a dog barks"]


@pytest.fixture(scope="session")
def parts() -> Parts:
    """The smallest whole model."""
    torch.manual_seed(0)
    tokenizer = SubwordTokenizer.train(LINES * 20, vocab_size=300)
    size = tokenizer.vocab_size
    encoder = ConvEncoder(ConvConfig(multiplier=0.25, width=16)).eval()
    model = CaptionModel(
        CaptionConfig(
            vocab_size=size,
            d_model=16,
            heads=2,
            decoder_layers=1,
            adapter_blocks=1,
            frame_width=encoder.width,
            shown=4,
            sentence_width=12,
        )
    ).eval()
    sentences = SentenceEncoder(
        SentenceConfig(vocab_size=size, d_model=16, heads=2, layers=1, width=12)
    ).eval()
    return Parts(encoder=encoder, model=model, sentences=sentences, tokenizer=tokenizer)
