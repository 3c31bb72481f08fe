"""Batches of similar length, as large as a budget of tokens allows, halved when memory runs out."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass
class Budget:
    """What a batch may hold; it shrinks when memory runs out, and stays so.

    Attributes:
        max_tokens: most tokens in a batch; a single longer row still runs.
        batch_size: if given, rows per batch, instead of `max_tokens`.
        padded: whether every row takes as many tokens as the longest of its batch.
        shrunk: whether memory has run out.
    """

    max_tokens: int
    batch_size: int | None = None
    padded: bool = True
    shrunk: bool = False

    def rows(self, lengths: np.ndarray) -> int:
        """How many of the first rows make one batch, at least one; `lengths` fall."""
        if self.batch_size:
            return min(self.batch_size, len(lengths))
        if self.padded:
            return max(1, self.max_tokens // max(1, int(lengths[0])))
        return max(1, int(np.searchsorted(lengths.cumsum(), self.max_tokens, side="right")))

    def halve(self, lengths: np.ndarray) -> None:
        """Ask for half of a batch that did not fit."""
        half = len(lengths) // 2
        if not self.shrunk:
            warnings.warn(f"out of memory with {len(lengths)} texts at once; going on with {half}", stacklevel=3)
        tokens = half * int(lengths[0]) if self.padded else int(lengths.sum()) // 2
        self.batch_size, self.max_tokens, self.shrunk = half if self.batch_size else None, tokens, True


def run_batches(
    lengths: Sequence[int], step: Callable[[np.ndarray], Any], budget: Budget
) -> Iterator[tuple[np.ndarray, Any]]:
    """Call `step` on batches of row indices, longest rows first.

    Args:
        lengths: (n,) tokens per row.
        step: takes the indices of one batch; its result is passed on.
        budget: what a batch may hold.

    Yields:
        (indices, result of `step`); every row occurs once.

    Raises:
        torch.OutOfMemoryError: if a single row does not fit. A larger batch that does not fit is halved, with one
            warning, and so are all after it.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    lengths, start = np.asarray(lengths)[order], 0
    while start < len(order):
        n = budget.rows(lengths[start:])
        indices = order[start : start + n]
        try:
            result = step(indices)
        except torch.OutOfMemoryError:
            if len(indices) == 1:
                raise
            budget.halve(lengths[start : start + n])
        else:
            yield indices, result
            start += len(indices)
            continue
        torch.cuda.empty_cache()  # outside the handler, where the failed step's tensors are gone


def pad(
    rows: Sequence[Sequence[int]], value: int, *, side: str = "right", device: torch.device
) -> tuple[Tensor, Tensor]:
    """Bring rows to one length.

    Returns:
        ids and attention mask, both (B, T) int64.
    """
    width = max(map(len, rows))
    ids = np.full((len(rows), width), value, dtype=np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(rows):
        span = slice(0, len(row)) if side == "right" else slice(width - len(row), width)
        ids[i, span], mask[i, span] = row, 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)
