"""Windows: every sample once, whatever the blocks; silence told by its level."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit import errors
from seqkit.audio import windows


@settings(deadline=None)
@given(st.lists(st.integers(0, 70), max_size=12), st.floats(0.5, 4.0))
def test_every_sample_is_in_one_window(sizes: list[int], seconds: float) -> None:
    whole = np.arange(sum(sizes), dtype=np.float32)
    blocks = np.split(whole, np.cumsum(sizes)[:-1]) if sizes else []
    found = list(windows.windows(blocks, rate=10, seconds=seconds))
    joined = np.concatenate([one.wave_S for one in found]) if found else np.zeros(0)
    np.testing.assert_array_equal(joined, whole)
    assert [one.start for one in found[1:]] == [one.end for one in found[:-1]]
    assert all(len(one.wave_S) == round(seconds * 10) for one in found[:-1])
    if len(found) > 1:
        assert len(found[-1].wave_S) >= 10


def test_memory_holds_a_window() -> None:
    def endless():  # type: ignore[no-untyped-def]
        while True:
            yield np.zeros(1000, np.float32)

    coming = windows.windows(endless(), rate=100, seconds=10.0)
    for number in range(50):
        assert next(coming).start == 10.0 * number


def test_levels_are_decibels_of_full_scale() -> None:
    sine = np.sin(np.arange(16_000) / 5).astype(np.float32)
    assert windows.level(sine) == pytest.approx(-3.01, abs=0.02)
    assert windows.level(sine * 0.001) == pytest.approx(-63.01, abs=0.02)
    assert windows.level(np.zeros(5, np.float32)) == -np.inf
    assert windows.level(np.zeros(0, np.float32)) == -np.inf


def test_empty_windows_are_refused() -> None:
    with pytest.raises(errors.UsageError, match="--window"):
        next(windows.windows([np.zeros(9, np.float32)], rate=10, seconds=0.0))
