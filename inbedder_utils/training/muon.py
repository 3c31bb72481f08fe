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
    if device.type == "cpu":
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


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

    Muon takes the weight matrices between the embeddings and the output; Adam takes embeddings and norms. Of weights in
    bfloat16, to which small steps would be lost, both change a copy in float32, which the weights then follow.
    """

    def __init__(self, model: nn.Module, learning_rate: float) -> None:
        embeddings = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        parameters = [p for p in model.parameters() if p.requires_grad]
        self.copies = [(p, nn.Parameter(p.detach().float())) for p in parameters if p.dtype == torch.bfloat16]
        copy_of = {id(p): copy for p, copy in self.copies}
        in_matrices = [p.ndim == 2 and id(p) not in embeddings for p in parameters]
        changed = [copy_of.get(id(p), p) for p in parameters]
        matrices = [p for p, is_matrix in zip(changed, in_matrices, strict=True) if is_matrix]
        rest = [p for p, is_matrix in zip(changed, in_matrices, strict=True) if not is_matrix]
        adam = AdamW(rest, lr=learning_rate, weight_decay=0.0, betas=(0.9, 0.98))
        self.parts: list[Optimizer] = [Muon(matrices, learning_rate), adam]
        super().__init__([group for part in self.parts for group in part.param_groups], defaults={})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Take a step with both."""
        for weights, copy in self.copies:
            copy.grad = None if weights.grad is None else weights.grad.float()
        for part in self.parts:
            part.step()
        for weights, copy in self.copies:
            weights.copy_(copy)
            copy.grad = None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, those of weights that have a copy too."""
        super().zero_grad(set_to_none)
        for weights, _ in self.copies:
            weights.grad = None

    def state_dict(self) -> dict[str, Any]:
        """The state of both, and the copies."""
        return {"parts": [part.state_dict() for part in self.parts], "copies": [copy.data for _, copy in self.copies]}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of both, and the copies."""
        if len(state_dict.get("copies", [])) != len(self.copies):
            fix = "start anew in another output, or where bfloat16 is as fast as it was"
            raise ValueError(f"this run was begun with weights of another type than those here: {fix}")
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        for (_, copy), kept in zip(self.copies, state_dict["copies"], strict=True):
            copy.copy_(kept)
        self.param_groups = [group for part in self.parts for group in part.param_groups]
