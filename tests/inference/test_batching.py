"""Batches: each row once, longest first, within the budget, smaller when memory runs out."""

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inbedder_utils.inference.batching import Budget, Reading, Way, one_ahead, pad, run_batches

CPU = torch.device("cpu")
MANY = list(range(1, 40)) + [3] * 20


def of_lengths(lengths) -> list[Reading]:
    return [Reading([i], [], [[7] * n]) for i, n in enumerate(lengths)]


def indices_of(lengths, step=len, **options) -> list[list[int]]:
    batches = run_batches(of_lengths(lengths), step, Budget(**options))
    return [[i for reading in batch for i in reading.indices] for batch, _ in batches]


def fits(most: int, calls: list[int] | None = None):
    """A step that runs out of memory above `most` rows."""

    def step(batch: list[Reading]) -> int:
        n = sum(len(reading.rests) for reading in batch)
        if calls is not None:
            calls.append(n)
        if n > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return sum(i for reading in batch for i in reading.indices)

    return step


@given(
    st.lists(st.integers(0, 50), max_size=40),
    st.integers(1, 120),
    st.one_of(st.none(), st.integers(1, 9)),
    st.sampled_from(Way),
)
def test_every_row_comes_once_longest_first_within_the_budget(lengths, max_tokens, batch_size, way):
    batches = indices_of(lengths, max_tokens=max_tokens, batch_size=batch_size, way=way)
    flat = [i for batch in batches for i in batch]
    assert sorted(flat) == list(range(len(lengths)))
    assert [lengths[i] for i in flat] == sorted(lengths, reverse=True)
    for batch in batches:
        own = [lengths[i] for i in batch]
        tokens = sum(own) if way is Way.PACKED else max(own) * len(own)
        assert len(batch) == 1 or (len(batch) <= batch_size if batch_size else tokens <= max_tokens)


def test_batches_are_as_full_as_the_budget_allows():
    assert indices_of([2, 9, 3, 4, 1], max_tokens=9) == [[1], [3, 2], [0, 4]]
    assert indices_of([2, 9, 3, 4, 1], max_tokens=9, way=Way.PACKED) == [[1], [3, 2, 0], [4]]
    assert indices_of([5, 5, 5, 5, 5], max_tokens=1, batch_size=2) == [[0, 1], [2, 3], [4]]


def test_results_of_the_step_come_with_the_batch_it_was_given():
    pairs = list(run_batches(of_lengths(MANY), fits(99), Budget(50)))
    assert len(pairs) > 3
    assert all(result == sum(reading.indices[0] for reading in batch) for batch, result in pairs)


def test_no_rows_make_no_batch():
    assert indices_of([], max_tokens=10) == []


@pytest.mark.parametrize(
    "options", [{"max_tokens": 2_000}, {"max_tokens": 900, "way": Way.PACKED}, {"max_tokens": 1, "batch_size": 32}]
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


def test_a_text_whose_questions_do_not_fit_together_is_read_with_half_of_them_at_a_time():
    calls = []
    rests = [[7, i] for i in range(12)]
    readings = [Reading(list(range(10)), [5] * 20, rests[:10]), *(Reading([i], [], [rests[i]]) for i in (10, 11))]
    batches = list(run_batches(readings, fits(3, calls), Budget(1, way=Way.PACKED)))
    assert calls == [10, 5, 2, 3, 5, 2, 3, 1, 1]
    pairs = [pair for batch, _ in batches for part in batch for pair in zip(part.indices, part.rests, strict=True)]
    assert sorted(pairs) == list(enumerate(rests))


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


def test_one_item_is_prepared_ahead_and_errors_come_through():
    made = []

    def items():
        for i in range(3):
            made.append(i)
            yield i
        raise ValueError("broken")

    ahead = one_ahead(items())
    assert next(ahead) == 0 and next(ahead) == 1
    assert next(ahead) == 2 and made == [0, 1, 2]
    with pytest.raises(ValueError, match="broken"):
        next(ahead)


@pytest.mark.parametrize("said", ["MPS backend out of memory (MPS allocated: 17 GB)", "not enough memory: you tried"])
def test_memory_that_runs_out_elsewhere_than_on_cuda_halves_batches_too(said):
    def step(batch):
        if len(batch) > 2:
            raise RuntimeError(said)
        return None

    with pytest.warns(UserWarning, match="out of memory with 5 texts at once; going on with 2"):
        assert indices_of([5, 4, 3, 2, 1], step, max_tokens=100) == [[0, 1], [2], [3], [4]]
    with pytest.raises(RuntimeError, match="a bug"):
        indices_of([5, 4], lambda batch: (_ for _ in ()).throw(RuntimeError("a bug")), max_tokens=100)
