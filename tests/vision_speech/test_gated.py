"""Lips attached to a frozen Whisper: unchanged at first, then learning through the gates alone."""

import pytest
import torch
import transformers

from seqkit import errors
from seqkit.vision_speech import gated


@pytest.fixture
def whisper() -> transformers.WhisperForConditionalGeneration:
    torch.manual_seed(0)
    return transformers.WhisperForConditionalGeneration(
        transformers.WhisperConfig(
            vocab_size=40,
            d_model=16,
            encoder_layers=1,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            num_mel_bins=8,
            max_source_positions=20,
            max_target_positions=16,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
        )
    ).eval()


def told(model: transformers.WhisperForConditionalGeneration, ids: torch.Tensor) -> torch.Tensor:
    sound = torch.zeros(len(ids), 8, 40)
    return model(input_features=sound, decoder_input_ids=ids).logits


def test_a_closed_gate_changes_nothing(whisper: transformers.WhisperForConditionalGeneration) -> None:
    ids = torch.tensor([[1, 5, 6], [1, 7, 8]])
    with torch.no_grad():
        before = told(whisper, ids)
        stream = gated.attach(whisper, visual_width=12)
        with stream.seeing(torch.randn(2, 9, 12)):
            torch.testing.assert_close(told(whisper, ids), before)
        for gate in stream.gates:
            gate.attention_gate.fill_(1.0)
        torch.testing.assert_close(told(whisper, ids), before)  # nothing is seen outside the block
        with stream.seeing(torch.randn(2, 9, 12)):
            assert not torch.allclose(told(whisper, ids), before)


def test_only_the_gates_learn_and_they_learn_what_is_seen(
    whisper: transformers.WhisperForConditionalGeneration,
) -> None:
    stream = gated.attach(whisper, visual_width=4)
    kept = {name: weight.clone() for name, weight in whisper.named_parameters()}
    seen = torch.eye(4)[:, None].repeat(1, 3, 1)
    ids, targets = torch.ones(4, 1, dtype=torch.long), torch.tensor([10, 11, 12, 13])
    optimizer = torch.optim.Adam(stream.parameters(), lr=2e-2)
    losses = []
    for _ in range(60):
        with stream.seeing(seen):
            loss = torch.nn.functional.cross_entropy(told(whisper, ids)[:, 0], targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    # The same sound for all four: what falls can only be told by what is seen.
    assert losses[-1] < losses[0] - 0.2
    with torch.no_grad(), stream.seeing(seen):
        among = told(whisper, ids)[:, 0, targets]
    assert among.argmax(dim=-1).tolist() == [0, 1, 2, 3]
    for name, weight in whisper.named_parameters():
        torch.testing.assert_close(weight, kept[name])


def test_padding_is_not_looked_at_and_beams_are_repeated() -> None:
    torch.manual_seed(1)
    layer = gated.GatedCrossAttention(width=8, visual_width=6, heads=2).eval()
    layer.attention_gate.data.fill_(0.7)
    x, seen = torch.randn(1, 3, 8), torch.randn(1, 5, 6)
    longer = torch.cat([seen, torch.randn(1, 4, 6)], dim=1)
    real = torch.arange(9)[None] < 5
    with torch.no_grad():
        torch.testing.assert_close(layer(x, longer, real), layer(x, seen))


def test_other_models_are_refused() -> None:
    with pytest.raises(errors.UsageError, match="Whisper"):
        gated.attach(torch.nn.Linear(2, 2), 4)
