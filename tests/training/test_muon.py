"""Muon in float32 does what that of torch does in bfloat16."""

import pytest
import torch
from torch import nn

from inbedder_utils.training.muon import Muon, orthogonalize

SHAPES = [(24, 24), (16, 48), (48, 16)]


@pytest.mark.parametrize("shape", SHAPES)
def test_all_directions_of_an_update_weigh_about_the_same(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    found = orthogonalize(matrix)
    left, values, right = torch.linalg.svd(found, full_matrices=False)
    strong = torch.linalg.svdvals(matrix) > 0.1 * torch.linalg.matrix_norm(matrix, 2)
    assert found.shape == matrix.shape and 0.6 < values[strong].min() and values.max() < 1.3


def test_nothing_stays_nothing():
    assert orthogonalize(torch.zeros(4, 6)).equal(torch.zeros(4, 6))


@pytest.mark.parametrize("shape", SHAPES)
def test_some_steps_lead_where_those_of_torch_lead(shape):
    torch.manual_seed(0)
    start = torch.randn(shape)
    mine, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizers = Muon([mine], 1e-2), torch.optim.Muon([theirs], 1e-2, 0.0, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        gradient = torch.randn(shape)
        for matrix, optimizer in zip((mine, theirs), optimizers, strict=True):
            matrix.grad = gradient.clone()
            optimizer.step()
    assert (mine - theirs).norm() < 0.03 * (theirs - start).norm()  # bfloat16 has three digits
