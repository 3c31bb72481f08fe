"""Batches: each row once, longest first, within the budget, smaller when memory runs out."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inbedder_utils.inference.batching import Budget, pad, run_batches

CPU = torch.device("cpu")
MANY = list(range(1, 40)) + [3] * 20


def indices_of(lengths, step=len, **options) -> list[list[int]]:
    return [indices.tolist() for indices, _ in run_batches(lengths, step, Budget(**options))]


def fits(most: int, calls: list[int] | None = None):
    """A step that runs out of memory above `most` rows."""

    def step(indices: np.ndarray) -> int:
        if calls is not None:
            calls.append(len(indices))
        if len(indices) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return int(indices.sum())

    return step


@given(
    st.lists(st.integers(0, 50), max_size=40),
    st.integers(1, 120),
    st.one_of(st.none(), st.integers(1, 9)),
    st.booleans(),
)
def test_every_row_comes_once_longest_first_within_the_budget(lengths, max_tokens, batch_size, padded):
    batches = indices_of(lengths, max_tokens=max_tokens, batch_size=batch_size, padded=padded)
    flat = [i for batch in batches for i in batch]
    assert sorted(flat) == list(range(len(lengths)))
    assert [lengths[i] for i in flat] == sorted(lengths, reverse=True)
    for batch in batches:
        own = [lengths[i] for i in batch]
        tokens = max(own) * len(own) if padded else sum(own)
        assert len(batch) == 1 or (len(batch) <= batch_size if batch_size else tokens <= max_tokens)


def test_batches_are_as_full_as_the_budget_allows():
    assert indices_of([2, 9, 3, 4, 1], max_tokens=9) == [[1], [3, 2], [0, 4]]
    assert indices_of([2, 9, 3, 4, 1], max_tokens=9, padded=False) == [[1], [3, 2, 0], [4]]
    assert indices_of([5, 5, 5, 5, 5], max_tokens=1, batch_size=2) == [[0, 1], [2, 3], [4]]


def test_results_of_the_step_come_with_the_indices_it_was_given():
    pairs = list(run_batches(MANY, fits(99), Budget(50)))
    assert len(pairs) > 3
    assert all(result == indices.sum() for indices, result in pairs)


def test_no_rows_make_no_batch():
    assert indices_of([], max_tokens=10) == []


@pytest.mark.parametrize(
    "options", [{"max_tokens": 2_000}, {"max_tokens": 900, "padded": False}, {"max_tokens": 1, "batch_size": 32}]
)
@pytest.mark.parametrize("most", [1, 3, 7])
def test_a_batch_that_does_not_fit_is_halved_with_one_warning_and_no_row_is_lost(most, options):
    calls = []
    with pytest.warns(UserWarning, match=r"out of memory with \d+ texts at once; going on with \d+") as warned:
        batches = indices_of(MANY, fits(most, calls), **options)
    assert len(warned) == 1
    assert sorted(i for batch in batches for i in batch) == list(range(len(MANY)))
    assert max(map(len, batches)) <= most


def test_after_running_out_of_memory_later_batches_stay_small():
    calls = []
    with pytest.warns(UserWarning):
        indices_of([10] * 40, fits(5, calls), max_tokens=160)
    assert calls == [16, 8, 4, *[4] * 9]
    calls.clear()
    with pytest.warns(UserWarning):
        indices_of([10] * 40, fits(5, calls), max_tokens=1, batch_size=16)
    assert calls == [16, 8, 4, *[4] * 9]


def test_a_single_row_that_does_not_fit_is_an_error():
    with pytest.warns(UserWarning), pytest.raises(torch.OutOfMemoryError):
        indices_of([5] * 4, fits(0), max_tokens=20)


def test_other_errors_are_passed_on_at_once():
    def step(indices):
        raise RuntimeError("broken")

    with warnings.catch_warnings(), pytest.raises(RuntimeError, match="broken"):
        warnings.simplefilter("error")
        indices_of(MANY, step, max_tokens=50)


@pytest.mark.parametrize(
    ("side", "ids", "mask"),
    [
        ("right", [[5, 6, 7], [8, 1, 1]], [[1, 1, 1], [1, 0, 0]]),
        ("left", [[5, 6, 7], [1, 1, 8]], [[1, 1, 1], [0, 0, 1]]),
    ],
)
def test_pad_brings_rows_to_one_length(side, ids, mask):
    padded, real = pad([[5, 6, 7], [8]], 1, side=side, device=CPU)
    assert (padded.tolist(), real.tolist()) == (ids, mask)
    assert padded.dtype == real.dtype == torch.int64
