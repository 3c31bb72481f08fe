"""Muon in float32 does what that of torch does in bfloat16."""

import pytest
import torch
from torch import nn

from inbedder_utils.training.muon import Muon, MuonWithAdam, orthogonalize

SHAPES = [(24, 24), (16, 48), (48, 16)]


@pytest.mark.parametrize("shape", SHAPES)
def test_all_directions_of_an_update_weigh_about_the_same(shape):
    torch.manual_seed(0)
    matrix = torch.randn(min(shape), max(shape))
    found = orthogonalize(matrix[None])[0]
    left, values, right = torch.linalg.svd(found, full_matrices=False)
    strong = torch.linalg.svdvals(matrix) > 0.1 * torch.linalg.matrix_norm(matrix, 2)
    assert found.shape == matrix.shape and 0.6 < values[strong].min() and values.max() < 1.3


def test_nothing_stays_nothing():
    assert orthogonalize(torch.zeros(2, 4, 6)).equal(torch.zeros(2, 4, 6))


def test_matrices_taken_together_are_what_they_are_alone():
    torch.manual_seed(0)
    start = [torch.randn(shape) for shape in (*SHAPES, *SHAPES)]
    gradients = [torch.randn_like(matrix) for matrix in start]
    together, alone = ([nn.Parameter(matrix.clone()) for matrix in start] for _ in range(2))
    for matrix, gradient in zip(together + alone, gradients * 2, strict=True):
        matrix.grad = gradient
    for optimizer in (Muon(together, 1e-2), *(Muon([matrix], 1e-2) for matrix in alone)):
        optimizer.step()
    for one, other, before in zip(together, alone, start, strict=True):
        torch.testing.assert_close(one - before, other - before, rtol=0.05, atol=1e-4)


def test_bfloat16_is_used_only_where_it_is_computed_in(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "inbedder_utils.training.muon.orthogonalize", lambda stacked: seen.append(stacked.dtype) or stacked
    )
    for fast in (True, False):
        monkeypatch.setattr("inbedder_utils.training.muon.bfloat16_is_fast", lambda device, fast=fast: fast)
        matrix = nn.Parameter(torch.randn(4, 6))
        matrix.grad = torch.randn(4, 6)
        Muon([matrix], 1e-2).step()
    assert seen == [torch.bfloat16, torch.float32]


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


def linear_with(dtype):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 8)).to(dtype)


def steps(model, optimizer, n):
    for _ in range(n):
        model(torch.ones(2, 8, dtype=model[0].weight.dtype)).float().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def test_steps_that_bfloat16_could_not_hold_add_up():
    small, exact = linear_with(torch.bfloat16), linear_with(torch.bfloat16).float()
    before = small[0].weight.detach().clone()
    for model in (small, exact):
        steps(model, MuonWithAdam(model, 1e-5), 100)
    assert small[0].weight.dtype == torch.bfloat16 and not small[0].weight.equal(before)
    for ours, wanted in zip(small.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(ours.float(), wanted, atol=4e-3, rtol=0)


def test_no_gradient_is_left_behind():
    model = linear_with(torch.bfloat16)
    steps(model, MuonWithAdam(model, 1e-3), 1)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_resumed_optimizer_goes_on_as_if_it_had_not_stopped():
    whole, parted = linear_with(torch.bfloat16), linear_with(torch.bfloat16)
    steps(whole, MuonWithAdam(whole, 1e-4), 20)
    first = MuonWithAdam(parted, 1e-4)
    steps(parted, first, 10)
    second = MuonWithAdam(parted, 1e-4)
    second.load_state_dict(first.state_dict())
    steps(parted, second, 10)
    assert all(a.equal(b) for a, b in zip(whole.parameters(), parted.parameters(), strict=True))


def test_a_run_is_not_resumed_with_weights_of_another_type():
    begun = MuonWithAdam(linear_with(torch.bfloat16), 1e-4).state_dict()
    with pytest.raises(ValueError, match="begun with weights of another type than those here: start anew"):
        MuonWithAdam(linear_with(torch.float32), 1e-4).load_state_dict(begun)
