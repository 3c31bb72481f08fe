"""The one pooling there is, a mean over chosen places, on numbers that can be checked by hand."""

import numpy as np
import pytest
import torch

from inbedder_utils.pooling import kept_answer, mean_at, places_in

HIDDEN = torch.tensor([[[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]], [[0.0, 1.0], [4.0, 3.0], [5.0, 7.0]]])


def places(*marks: str) -> list[np.ndarray]:
    """'.x' marks, one string per prompt, all as long as all states together."""
    return [np.flatnonzero([mark == "x" for mark in some]) for some in marks]


def test_mean_at_averages_the_chosen_states():
    assert mean_at(HIDDEN, places("xxx...", "....xx")).tolist() == [[3.0, 30.0], [4.5, 5.0]]
    assert mean_at(HIDDEN, places("..x...", "...x..")).tolist() == [[6.0, 60.0], [0.0, 1.0]]
    assert mean_at(HIDDEN, places("x.x...", "...x.x")).tolist() == [[3.5, 35.0], [2.5, 4.0]]


def test_prompts_may_share_states_and_stand_in_one_row():
    one_row = HIDDEN.view(1, 6, 2)
    assert mean_at(one_row, places("xx....", "x.x...", "x....x")).tolist() == [[1.5, 15.0], [3.5, 35.0], [3.0, 8.5]]


@pytest.mark.parametrize("filler", [7.0, float("nan"), float("inf"), -float("inf")])
def test_other_states_have_no_influence_whatever_they_are(filler):
    hidden = torch.cat([HIDDEN, torch.full((2, 2, 2), filler)], dim=1)
    assert mean_at(hidden, places("xxx.......", ".....x.x..")).tolist() == [[3.0, 30.0], [2.5, 4.0]]


def test_mean_at_sums_in_float32_whatever_comes_in():
    ones = torch.ones(1, 4097, 1, dtype=torch.bfloat16)  # summed in bfloat16 this would stick at 256
    ones[0, 0] = 3.0
    mean = mean_at(ones, [np.arange(4097)])
    assert mean.dtype == torch.float32
    assert mean.item() == pytest.approx(4099 / 4097, abs=1e-6)


def test_mean_at_names_the_prompt_without_a_state():
    with pytest.raises(ValueError, match="row 1 of 2 has no position to pool"):
        mean_at(HIDDEN, places("x.....", "......"))


def test_mean_at_does_not_change_the_states():
    hidden = HIDDEN.clone()
    mean_at(hidden, places("xx....", "....xx"))
    assert torch.equal(hidden, HIDDEN)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ([5, 6, 7], [0, 1]),  # the last token predicts nothing that was generated
        ([5, 6, 2], [0]),  # ... and the end does not count as predicted
        ([5, 2, 1, 1], [0]),  # nothing counts: the first token stands in
        ([5], [0]),
        ([2], [0]),
        ([2, 2], [0]),
        ([2, 5, 6], [0, 1]),  # what counts is the token that follows, not the one read
        ([5, 1, 6, 7], [1, 2]),
    ],
)
def test_kept_answer_keeps_the_states_that_predict_an_ordinary_token(answer, kept):
    assert kept_answer(answer, frozenset({1, 2})) == kept


def test_ranges_are_counted_in_each_prompts_own_tokens():
    found = places_in([np.array([4, 5, 6]), np.array([0, 1, 7, 8])], [[(0, 1), (2, 3)], [(1, 4)]])
    assert [some.tolist() for some in found] == [[4, 6], [1, 7, 8]]
