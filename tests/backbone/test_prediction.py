"""Heads on hidden states: padding never counts."""

import pytest
import torch

from seqkit import errors
from seqkit.backbone.prediction import POOLINGS, PredictionHead


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_never_counts(pooling: str) -> None:
    torch.manual_seed(0)
    head = PredictionHead(4, 3, pooling=pooling)
    states_BnD, real_Bn = torch.randn(2, 5, 4), torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    other_BnD = states_BnD.masked_fill(~real_Bn[:, :, None], torch.nan)
    alone_BC = head(states_BnD[:1, :3], real_Bn[:1, :3])
    torch.testing.assert_close(head(other_BnD, real_Bn), head(states_BnD, real_Bn))
    torch.testing.assert_close(head(states_BnD, real_Bn)[:1], alone_BC)


@pytest.mark.parametrize("pooling", ["mean", "mean+max"])
def test_a_row_without_tokens_has_a_finite_answer(pooling: str) -> None:
    head = PredictionHead(4, 2, pooling=pooling)
    assert head(torch.ones(1, 3, 4), torch.zeros(1, 3).bool()).isfinite().all()


def test_the_mean_and_the_greatest_are_what_the_linear_layer_reads() -> None:
    head = PredictionHead(2, 1, pooling="mean+max")
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 1.0]]))
        head.linear.bias.zero_()
    states_BnD = torch.tensor([[[1.0, 5.0], [3.0, 7.0]]])
    assert head(states_BnD, torch.ones(1, 2).bool()).item() == pytest.approx(2.0 + 7.0)


def test_without_pooling_every_token_has_an_answer() -> None:
    assert PredictionHead(4, 3, pooling="none")(torch.zeros(2, 5, 4), torch.ones(2, 5)).shape == (2, 5, 3)


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(errors.UsageError, match="'max' is none of"):
        PredictionHead(4, 3, pooling="max")
