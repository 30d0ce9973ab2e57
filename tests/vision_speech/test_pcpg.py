"""PCPG: rewards against plain edit distances, and the two cases whose gradient is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit import errors
from seqkit.vision_speech import pcpg, recipe
from seqkit.vision_speech.pcpg import PcpgConfig

ids = st.lists(st.integers(3, 6), max_size=7)


def edit_distance(one: list[int], other: list[int]) -> int:
    """Straight from the definition."""
    if not one or not other:
        return len(one) + len(other)
    if one[0] == other[0]:
        return edit_distance(one[1:], other[1:])
    return 1 + min(
        edit_distance(one[1:], other), edit_distance(one, other[1:]), edit_distance(one[1:], other[1:])
    )


@settings(deadline=None, max_examples=60)
@given(ids, ids)
def test_distances_of_all_prefixes(text: list[int], truth: list[int]) -> None:
    expected = [edit_distance(text[:length], truth) for length in range(len(text) + 1)]
    assert pcpg.distances(text, truth).tolist() == expected


@settings(deadline=None, max_examples=30)
@given(ids, ids)
def test_rewards_add_up_to_what_is_gained(text: list[int], truth: list[int]) -> None:
    gained = (len(truth) - edit_distance(text, truth)) / max(1, len(truth))
    assert pcpg.rewards(text, truth).sum() == pytest.approx(gained)


def test_nothing_is_learnt_where_the_draw_is_the_greedy_text() -> None:
    logits = torch.randn(1, 4, 7, requires_grad=True)
    loss = pcpg.policy_loss(logits, [[3, 4, 5]], [[3, 4, 5]], [[3, 3]], PcpgConfig())
    assert loss.item() == 0
    assert not loss.requires_grad


def test_a_window_of_one_is_plain_policy_gradient() -> None:
    torch.manual_seed(0)
    drawn, greedy, truth = [3, 4, 4, 5], [3, 5, 5], [3, 4, 5]
    logits = torch.randn(1, 4, 7, requires_grad=True)
    config = PcpgConfig(window=1, stride=1, gamma=0.9, weight=1.0)
    pcpg.policy_loss(logits, [drawn], [greedy], [truth], config).backward()
    own = pcpg.returns(pcpg.rewards(drawn, truth), 0.9)
    best = np.append(pcpg.returns(pcpg.rewards(greedy, truth), 0.9), 0.0)
    shares = logits.detach().softmax(dim=-1)[0]
    expected = torch.stack(
        [
            (shares[place] - torch.nn.functional.one_hot(torch.tensor(number), 7)) * advantage / 4
            for place, (number, advantage) in enumerate(zip(drawn, own - best, strict=True))
        ]
    )
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad[0], expected.float())


def test_padding_and_other_texts_change_nothing() -> None:
    logits = torch.randn(2, 6, 7)
    config = PcpgConfig(weight=1.0)
    texts, greedy, truth = [[3, 4], [5, 6, 3, 3]], [[4], [5]], [[3], [6, 6]]
    together = pcpg.policy_loss(logits, texts, greedy, truth, config)
    apart = [
        pcpg.policy_loss(
            logits[row : row + 1, : len(texts[row])],
            texts[row : row + 1],
            greedy[row : row + 1],
            truth[row : row + 1],
            config,
        )
        for row in range(2)
    ]
    torch.testing.assert_close(together, (apart[0] + apart[1]) / 2)


def test_better_draws_become_more_likely() -> None:
    torch.manual_seed(1)
    logits = torch.zeros(1, 3, 7, requires_grad=True)
    optimizer = torch.optim.SGD([logits], lr=1.0)
    for _ in range(20):
        loss = pcpg.policy_loss(logits, [[3, 4, 5]], [[6, 6, 6]], [[3, 4, 5]], PcpgConfig(weight=1.0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert logits[0].argmax(dim=-1).tolist() == [3, 4, 5]


@pytest.mark.parametrize("wrong", [{"window": 0}, {"stride": 9}, {"gamma": 1.5}, {"weight": -1.0}])
def test_wrong_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(errors.UsageError):
        PcpgConfig(**wrong)  # type: ignore[arg-type]


def test_its_options_are_changed_in_every_stage() -> None:
    chosen = recipe.load_recipe(
        "speech-small", objective="pcpg", pcpg_window=3, pcpg_stride=2, pcpg_weight=0.5
    )
    assert {stage.pcpg for stage in chosen.stages} == {PcpgConfig(window=3, stride=2, weight=0.5)}
    plain = recipe.load_recipe("speech-small", objective="pcpg")
    assert {stage.pcpg for stage in plain.stages} == {PcpgConfig()}
    assert chosen.text != plain.text


def test_its_options_need_the_objective() -> None:
    with pytest.raises(errors.UsageError, match="--pcpg-window is of the objective pcpg"):
        recipe.load_recipe("speech-small", pcpg_window=3)
    with pytest.raises(errors.UsageError, match="stride between"):
        recipe.load_recipe("speech-small", objective="pcpg", pcpg_window=3, pcpg_stride=4)
