"""Low-rank updates: nothing at first, trained alone, and gone once merged."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from seqkit import errors
from seqkit.backbone import lora
from seqkit.backbone.sequence import SequenceModel

IDS = torch.tensor([[4, 5, 6, 7, 8], [9, 10, 4, 4, 5]])


def adapted(make: Callable[..., SequenceModel], rank: int = 2) -> SequenceModel:
    model = make("encoder")
    lora.attach(model, rank=rank, alpha=8.0, generator=torch.Generator().manual_seed(1))
    return model


def states(model: SequenceModel) -> torch.Tensor:
    with torch.no_grad():
        return model.states(IDS, torch.ones_like(IDS))


def train(model: SequenceModel) -> None:
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    for _ in range(5):
        optimizer.zero_grad()
        model.states(IDS, torch.ones_like(IDS))[..., :4].mean().backward()
        optimizer.step()


def test_an_update_begins_as_nothing(make: Callable[..., SequenceModel]) -> None:
    assert torch.equal(states(adapted(make)), states(make("encoder")))


def test_only_the_updates_are_trained(make: Callable[..., SequenceModel]) -> None:
    model, before = adapted(make), make("encoder").state_dict()
    train(model)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained and all(name.endswith(("inner_RI", "outer_OR")) for name in trained)
    lora_free = {name.replace(".base.", "."): value for name, value in model.state_dict().items()}
    assert all(torch.equal(lora_free[name], value) for name, value in before.items())


def test_merged_is_what_was_trained(make: Callable[..., SequenceModel]) -> None:
    model = adapted(make)
    train(model)
    before = states(model)
    assert not torch.allclose(before, states(make("encoder")), atol=1e-3)
    lora.merge(model)
    torch.testing.assert_close(states(model), before, atol=1e-6, rtol=0)
    assert set(model.state_dict()) == set(make("encoder").state_dict())


def test_attach_counts_layers_and_merge_without_any_is_nothing() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Sequential(nn.Linear(4, 2)))
    lora.merge(module)
    assert lora.attach(module, rank=1, alpha=1.0, generator=torch.Generator()) == 2


def test_what_makes_no_sense_is_refused() -> None:
    generator = torch.Generator()
    with pytest.raises(errors.UsageError, match="rank of 0"):
        lora.LowRankLinear(nn.Linear(2, 2), rank=0, alpha=1.0, generator=generator)
    with pytest.raises(errors.UsageError, match="no linear layer"):
        lora.attach(nn.LayerNorm(3), rank=1, alpha=1.0, generator=generator)
