"""Batches of similar length, as large as a budget of tokens allows, halved when memory runs out."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm


def run_batches(
    lengths: Sequence[int],
    step: Callable[[np.ndarray], Any],
    *,
    max_tokens: int,
    batch_size: int | None = None,
    show_progress_bar: bool = False,
) -> Iterator[tuple[np.ndarray, Any]]:
    """Call `step` on batches of row indices, longest rows first.

    Args:
        lengths: (n,) tokens per row.
        step: takes the indices of one batch; its result is passed on.
        max_tokens: most tokens in a batch, padding included; a single longer row still runs.
        batch_size: if given, rows per batch, instead of `max_tokens`.
        show_progress_bar: draw a bar that counts rows.

    Yields:
        (indices, result of `step`); every row occurs once.

    Raises:
        torch.OutOfMemoryError: if a single row does not fit. A larger batch that does not fit is halved, with one
            warning, and so are all after it.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    start, warned = 0, False
    with tqdm(total=len(order), disable=not show_progress_bar, unit="text") as bar:
        while start < len(order):
            longest = max(1, lengths[order[start]])
            indices = order[start : start + (batch_size or max(1, max_tokens // longest))]
            try:
                result = step(indices)
            except torch.OutOfMemoryError:
                if len(indices) == 1:
                    raise
                half = len(indices) // 2
                batch_size, max_tokens = half if batch_size else None, half * longest
                if not warned:
                    warnings.warn(
                        f"out of memory with {len(indices)} texts at once; going on with {half}", stacklevel=2
                    )
                warned = True
            else:
                yield indices, result
                start += len(indices)
                bar.update(len(indices))
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
