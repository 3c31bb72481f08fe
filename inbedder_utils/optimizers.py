"""Muon for the matrices of a small model, Adam for the rest: about half the steps of Adam alone."""

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import AdamW, Muon, Optimizer


class MuonWithAdam(Optimizer):
    """Two optimizers that act as one.

    Muon takes the weight matrices between the embeddings and the output; Adam takes embeddings and norms. Neither
    decays weights.

    Args:
        model: to be trained.
        learning_rate: of both; Muon's updates are scaled to the size of Adam's.
    """

    def __init__(self, model: nn.Module, learning_rate: float) -> None:
        embeddings = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        parameters = [p for p in model.parameters() if p.requires_grad]
        matrices = [p for p in parameters if p.ndim == 2 and id(p) not in embeddings]
        rest = [p for p in parameters if p.ndim != 2 or id(p) in embeddings]
        self.parts: list[Optimizer] = [
            Muon(matrices, lr=learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
            AdamW(rest, lr=learning_rate, weight_decay=0.0, betas=(0.9, 0.98)),
        ]
        super().__init__([group for part in self.parts for group in part.param_groups], defaults={})

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take a step with both."""
        loss = closure() if closure is not None else None
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The state of both."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of both."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]
