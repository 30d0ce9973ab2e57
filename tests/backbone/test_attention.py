"""Attention that is written out in training is the fused one, forth and back."""

import pytest
import torch

from seqkit.backbone import attention
from seqkit.backbone.sights import Sight

ROWS, HEADS, NEW, SIZE = 3, 4, 21, 8


def sights() -> dict[str, Sight]:
    lowest = torch.finfo(torch.float32).min
    padding = torch.zeros(ROWS, 1, 1, NEW)
    padding[1, ..., 15:] = lowest
    padding[2] = lowest  # a row of padding alone, which must still be numbers
    return {
        "everything": Sight(),
        "what came before": Sight(is_causal=True),
        "padding": Sight(mask=padding),
        "a bias for every head": Sight(mask=torch.randn(1, HEADS, NEW, NEW)),
    }


@pytest.mark.parametrize("groups", [4, 2, 1])
@pytest.mark.parametrize("kind", list(sights()))
def test_written_out_is_the_fused_attention(kind: str, groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    sight = sights()[kind]
    given = [torch.randn(ROWS, heads, NEW, SIZE, requires_grad=True) for heads in (HEADS, groups, groups)]
    turn = torch.randn(ROWS, NEW, HEADS * SIZE)
    found = {}
    for most in (0, 10**9):
        monkeypatch.setattr(attention, "WRITTEN_OUT", most)
        with torch.autocast("cpu", torch.bfloat16):
            assert attention._trains_short(given[0], given[1]) is bool(most)
            output = attention._attend(*given, sight, 0.0)
        (output.float() * turn)[:2].sum().backward()
        found[most] = [output.detach().float(), *(x.grad.clone() for x in given)]
        for x in given:
            x.grad = None
    for fused, written in zip(found[0], found[10**9], strict=True):
        assert torch.isfinite(written).all()
        torch.testing.assert_close(written[:2], fused[:2], atol=0.06, rtol=0.05)


def test_only_short_training_in_bfloat16_is_written_out() -> None:
    q = torch.randn(1, 2, 5, 4, requires_grad=True)
    assert not attention._trains_short(q, q)
    with torch.autocast("cpu", torch.bfloat16):
        assert attention._trains_short(q, q)
        long = torch.empty(1, 2, 600, 4, requires_grad=True)
        assert not attention._trains_short(long, long)
        with torch.no_grad():
            assert not attention._trains_short(q, q)


def test_weights_are_dropped_in_training() -> None:
    torch.manual_seed(0)
    q = torch.randn(2, 1, 30, 4, requires_grad=True)
    v = torch.ones(2, 1, 30, 4)
    with torch.autocast("cpu", torch.bfloat16):
        output = attention._attend(q, q, v, Sight(), 0.5)
    assert output.std() > 0.05
    assert output.mean().item() == pytest.approx(1.0, abs=0.1)
