"""What a model has read of texts, kept for further questions about them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

States = dict[tuple[nn.Module, int], tuple[Tensor, Tensor]]
"""By attention module, and its call in a pass from 0: keys and values, (1, heads, tokens, head size) each."""


class TextMemory:
    """Keys and values of texts in every attention of a model, up to a certain depth.

    Attributes:
        max_bytes: no more is kept; texts beyond are read again for every question.
        n_bytes: what is kept takes.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.n_bytes = max_bytes, 0
        self._kept: dict[tuple[int, tuple[int, ...]], States] = {}

    @property
    def is_full(self) -> bool:
        """Whether nothing more is kept."""
        return self.n_bytes >= self.max_bytes

    def has(self, text: Sequence[int], depth: int) -> bool:
        """Whether a text, given as ids, was read as deep as that."""
        return (depth, tuple(text)) in self._kept

    def states(self, texts: Sequence[Sequence[int]], depth: int) -> States:
        """Keys and values of texts, behind one another."""
        kept = [self._kept[depth, tuple(text)] for text in texts]
        return {
            call: tuple(torch.cat([states[call][i] for states in kept], dim=2) for i in (0, 1))
            for call in (kept[0] if kept else ())
        }  # (1, heads, past, head size) each

    def keep(self, texts: Sequence[tuple[Sequence[int], slice]], depth: int, states: States) -> None:
        """Keep texts that were just read.

        Args:
            texts: ids, and the tokens of the row that they were.
            depth: how many layers were read.
            states: of the whole row.
        """
        for text, span in texts:
            if self.has(text, depth) or self.is_full:
                continue
            size = sum(both[:, :, span].nbytes for row in states.values() for both in row)
            if self.n_bytes + size > self.max_bytes:
                self.max_bytes = self.n_bytes  # a shorter text may fit, but trying costs memory
            else:
                self._kept[depth, tuple(text)] = {
                    call: tuple(both[:, :, span].clone() for both in row)  # (1, heads, tokens, head size) each
                    for call, row in states.items()
                }
                self.n_bytes += size
