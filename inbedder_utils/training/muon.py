"""Muon for the matrices of a small model, Adam for the rest: about half the steps of Adam alone."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

MOMENTUM = 0.95
QUINTIC = (3.4445, -4.7750, 2.0315)  # of Jordan et al., https://kellerjordan.github.io/posts/muon/


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    """Bring the singular values of a matrix (n, m) in float32 near to 1, by Newton-Schulz steps.

    After five, those that weren't tiny lie between about 0.7 and 1.2.
    """
    a, b, c = QUINTIC
    tall = len(matrix) > matrix.shape[1]
    wide = matrix.mT if tall else matrix
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = wide @ wide.mT
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.mT if tall else wide


class Muon(Optimizer):
    """Momentum whose update is made orthogonal, in float32, and scaled to the size of Adam's (RMS of about 0.2).

    That of torch computes in bfloat16, which takes hundreds of times as long on processors without it.
    """

    def __init__(self, matrices: Iterable[nn.Parameter], learning_rate: float) -> None:
        super().__init__(matrices, {"lr": learning_rate})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Take a step."""
        for group in self.param_groups:
            for matrix in (p for p in group["params"] if p.grad is not None):
                state = self.state[matrix]
                if not state:
                    state["average"] = torch.zeros_like(matrix)
                state["average"].lerp_(matrix.grad, 1 - MOMENTUM)
                update = orthogonalize(matrix.grad.lerp(state["average"], MOMENTUM))
                matrix.sub_(update, alpha=group["lr"] * 0.2 * max(matrix.shape) ** 0.5)


class MuonWithAdam(Optimizer):
    """Two optimizers that act as one, and neither decays weights.

    Muon takes the weight matrices between the embeddings and the output; Adam takes embeddings and norms.
    """

    def __init__(self, model: nn.Module, learning_rate: float) -> None:
        embeddings = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        parameters = [p for p in model.parameters() if p.requires_grad]
        matrices = [p for p in parameters if p.ndim == 2 and id(p) not in embeddings]
        rest = [p for p in parameters if p.ndim != 2 or id(p) in embeddings]
        adam = AdamW(rest, lr=learning_rate, weight_decay=0.0, betas=(0.9, 0.98))
        self.parts: list[Optimizer] = [Muon(matrices, learning_rate), adam]
        super().__init__([group for part in self.parts for group in part.param_groups], defaults={})

    def step(self, closure: None = None) -> None:
        """Take a step with both."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of both."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of both."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]
