"""The one pooling there is, a mean over chosen positions, on numbers that can be checked by hand."""

import numpy as np
import pytest
import torch

from inbedder_utils.pooling import kept_answer, masked_mean, positions

HIDDEN = torch.tensor([[[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]], [[0.0, 1.0], [4.0, 3.0], [5.0, 7.0]]])


def chosen(*rows: str) -> torch.Tensor:
    """'.x' marks: one string per row."""
    return torch.tensor([[mark == "x" for mark in row] for row in rows])


def test_masked_mean_averages_the_chosen_positions():
    assert masked_mean(HIDDEN, chosen("xxx", ".xx")).tolist() == [[3.0, 30.0], [4.5, 5.0]]
    assert masked_mean(HIDDEN, chosen("..x", "x..")).tolist() == [[6.0, 60.0], [0.0, 1.0]]
    assert masked_mean(HIDDEN, chosen("x.x", "x.x")).tolist() == [[3.5, 35.0], [2.5, 4.0]]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("filler", [7.0, float("nan"), float("inf"), -float("inf")])
def test_padding_has_no_influence_whatever_stands_there(side, filler):
    padding = torch.full((2, 2, 2), filler)
    hidden = torch.cat([padding, HIDDEN] if side == "left" else [HIDDEN, padding], dim=1)
    where = chosen("..xxx", "..x.x") if side == "left" else chosen("xxx..", "x.x..")
    assert masked_mean(hidden, where).tolist() == [[3.0, 30.0], [2.5, 4.0]]


def test_masked_mean_sums_in_float32_whatever_comes_in():
    ones = torch.ones(1, 4097, 1, dtype=torch.bfloat16)  # summed in bfloat16 this would stick at 256
    ones[0, 0] = 3.0
    mean = masked_mean(ones, torch.ones(1, 4097, dtype=torch.bool))
    assert mean.dtype == torch.float32
    assert mean.item() == pytest.approx(4099 / 4097, abs=1e-6)


def test_masked_mean_names_the_row_without_a_position():
    with pytest.raises(ValueError, match="row 1 of 2 has no position to pool"):
        masked_mean(HIDDEN, chosen("x..", "..."))


def test_masked_mean_changes_neither_input():
    hidden, where = HIDDEN.clone(), chosen("xx.", ".xx")
    masked_mean(hidden, where)
    assert torch.equal(hidden, HIDDEN) and torch.equal(where, chosen("xx.", ".xx"))


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


def test_positions_marks_half_open_ranges():
    marked = positions([[(0, 2), (3, 4)], [], [(1, 4)]], torch.zeros(3, 4))
    assert marked.dtype == torch.bool
    np.testing.assert_array_equal(marked.int(), [[1, 1, 0, 1], [0, 0, 0, 0], [0, 1, 1, 1]])
