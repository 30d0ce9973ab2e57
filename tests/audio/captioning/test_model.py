"""The captioning model: padding and missing parts change nothing but what they should."""

import pytest
import torch

from seqkit import errors
from seqkit.audio.captioning import objective
from seqkit.audio.captioning.conformer import ConformerAdapter
from seqkit.audio.captioning.folder import Parts
from seqkit.audio.captioning.model import CaptionConfig, Source
from seqkit.audio.captioning.sentences import distillation_loss


def source(parts: Parts, clips: int = 2, frames: int = 12, seed: int = 0) -> Source:
    generator = torch.Generator().manual_seed(seed)
    width = parts.model.config.frame_width
    return Source(
        probabilities_BC=torch.rand(clips, parts.model.config.classes, generator=generator),
        frames_BUD=torch.randn(clips, frames, width, generator=generator),
        real_BU=torch.ones(clips, frames, dtype=torch.bool),
        vector_BD=torch.randn(clips, width, generator=generator),
    )


@torch.no_grad()
def test_padding_changes_nothing(parts: Parts) -> None:
    whole = source(parts)
    assert whole.frames_BUD is not None and whole.real_BU is not None
    longer = Source(
        probabilities_BC=whole.probabilities_BC,
        frames_BUD=torch.cat([whole.frames_BUD, torch.randn(2, 9, whole.frames_BUD.shape[2])], dim=1),
        real_BU=torch.cat([whole.real_BU, torch.zeros(2, 9, dtype=torch.bool)], dim=1),
        vector_BD=whole.vector_BD,
    )
    ids = torch.tensor([[1, 7, 8, 9], [1, 4, 4, 4]])
    torch.testing.assert_close(
        parts.model.spell(longer, ids), parts.model.spell(whole, ids), atol=1e-5, rtol=1e-4
    )


@torch.no_grad()
def test_parts_may_be_missing_and_count_where_they_are(parts: Parts) -> None:
    whole, ids = source(parts), torch.tensor([[1, 7], [1, 4]])
    assert whole.real_BU is not None and whole.vector_BD is not None
    told = parts.model.spell(whole, ids)
    without_frames = Source(
        probabilities_BC=whole.probabilities_BC,
        frames_BUD=whole.frames_BUD,
        real_BU=torch.zeros_like(whole.real_BU),
        vector_BD=whole.vector_BD,
    )
    left_out = Source(probabilities_BC=whole.probabilities_BC, vector_BD=whole.vector_BD)
    torch.testing.assert_close(parts.model.spell(without_frames, ids), parts.model.spell(left_out, ids))
    assert not torch.allclose(told, parts.model.spell(left_out, ids))
    nothing = Source(probabilities_BC=torch.zeros_like(whole.probabilities_BC))
    assert torch.isfinite(parts.model.spell(nothing, ids)).all()
    with pytest.raises(errors.UsageError, match="no vector"):
        parts.model.place(nothing)


def test_the_adapter_thins_and_ignores_padding() -> None:
    torch.manual_seed(0)
    adapter = ConformerAdapter(6, 8, blocks=2, heads=2, kernel=5, stride=3).eval()
    frames, real = torch.randn(1, 7, 6), torch.ones(1, 7, dtype=torch.bool)
    longer = torch.cat([frames, torch.randn(1, 8, 6)], dim=1)
    mask = torch.cat([real, torch.zeros(1, 8, dtype=torch.bool)], dim=1)
    with torch.no_grad():
        short, short_real = adapter(frames, real)
        long, long_real = adapter(longer, mask)
    assert short_real.tolist() == [[True, True, True]]
    assert long_real.tolist() == [[True, True, True, False, False]]
    torch.testing.assert_close(long[:, :3], short, atol=1e-5, rtol=1e-4)


def test_infonce_is_the_plain_formula() -> None:
    torch.manual_seed(1)
    clips, texts = (torch.nn.functional.normalize(torch.randn(5, 4), dim=-1) for _ in range(2))
    heat, total = 0.2, 0.0
    for row in range(5):
        there = [float(clips[row] @ texts[column]) / heat for column in range(5)]
        back = [float(clips[column] @ texts[row]) / heat for column in range(5)]
        for scores in (there, back):
            total -= scores[row] - torch.tensor(scores).logsumexp(0).item()
    assert objective.info_nce(clips, texts, heat).item() == pytest.approx(total / 10, rel=1e-5)
    with pytest.raises(errors.UsageError):
        objective.info_nce(clips, texts, 0.0)


def test_padding_of_captions_does_not_count() -> None:
    logits, targets = torch.randn(1, 3, 9), torch.tensor([[4, 2, 0]])
    longer = torch.cat([logits, torch.randn(1, 2, 9)], dim=1)
    padded = torch.tensor([[4, 2, 0, 0, 0]])
    one, other = objective.caption_loss(logits, targets, 0.1), objective.caption_loss(longer, padded, 0.1)
    torch.testing.assert_close(one, other)


def test_distillation_is_least_at_the_teacher() -> None:
    torch.manual_seed(2)
    teacher, other = (torch.nn.functional.normalize(torch.randn(6, 5), dim=-1) for _ in range(2))
    assert distillation_loss(teacher, teacher).item() == pytest.approx(0, abs=1e-6)
    assert distillation_loss(other, teacher).item() > 0.1


def test_wrong_sizes_are_refused() -> None:
    for wrong in ({"d_model": 0}, {"dropout": 1.0}, {"shown": 0}):
        with pytest.raises(errors.UsageError):
            CaptionConfig(**wrong)  # type: ignore[arg-type]
