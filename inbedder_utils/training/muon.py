"""Muon for the matrices of a small model, Adam for the rest: about half the steps of Adam alone."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

MOMENTUM = 0.95
QUINTIC = (3.4445, -4.7750, 2.0315)  # of Jordan et al., https://kellerjordan.github.io/posts/muon/


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether a device computes in bfloat16; others take hundreds of times as long for it."""
    return torch.ops.mkldnn._is_mkldnn_bf16_supported() if device.type == "cpu" else device.type == "cuda"


def orthogonalize(matrices: Tensor, steps: int = 5) -> Tensor:
    """Bring the singular values of matrices (k, n, m), n <= m, near to 1, by Newton-Schulz steps in their own dtype.

    After five, those that weren't tiny lie between about 0.7 and 1.2.
    """
    a, b, c = QUINTIC
    matrices = matrices / torch.linalg.matrix_norm(matrices, keepdim=True).clamp(min=1e-7)  # (k, n, m)
    for _ in range(steps):
        gram = matrices @ matrices.mT  # (k, n, n)
        matrices = torch.baddbmm(matrices, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), matrices, beta=a)
    return matrices


class Muon(Optimizer):
    """Momentum whose update is made orthogonal, and scaled to the size of Adam's (RMS of about 0.2).

    Other than that of torch it takes matrices of one shape together, which saves threads their waiting for each other,
    and computes in float32 where bfloat16 would be slow.
    """

    def __init__(self, matrices: Iterable[nn.Parameter], learning_rate: float) -> None:
        super().__init__(matrices, {"lr": learning_rate})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Take a step."""
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[nn.Parameter]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike.setdefault((min(matrix.shape), max(matrix.shape)), []).append(matrix)
            for (n, m), matrices in alike.items():
                updates = orthogonalize(torch.stack([self._wide_update(matrix) for matrix in matrices]))  # (k, n, m)
                for matrix, update in zip(matrices, updates, strict=True):
                    update = update.mT if len(matrix) > n else update
                    matrix.sub_(update, alpha=group["lr"] * 0.2 * m**0.5)

    def _wide_update(self, matrix: nn.Parameter) -> Tensor:
        """The momentum of a matrix, lying on its side if it is tall, in the type to compute in."""
        state = self.state[matrix]
        if not state:
            state["average"] = torch.zeros_like(matrix)
        state["average"].lerp_(matrix.grad, 1 - MOMENTUM)
        update = matrix.grad.lerp(state["average"], MOMENTUM)
        update = update.mT if len(matrix) > matrix.shape[1] else update
        return update.bfloat16() if bfloat16_is_fast(matrix.device) else update


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
