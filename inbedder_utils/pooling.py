"""From hidden states to one vector per text: every pooling is a mean over chosen positions."""

import torch
from torch import Tensor


def masked_mean(hidden: Tensor, where: Tensor) -> Tensor:
    """Average the hidden states of the chosen positions.

    Args:
        hidden: (B, T, H), any float dtype; what stands at other positions, padding included, has no influence.
        where: (B, T) bool, True where a position counts.

    Returns:
        (B, H) float32, not normalized.

    Raises:
        ValueError: if a row has no position to average.
    """
    counts = where.sum(dim=1)  # (B,)
    if not counts.all():
        raise ValueError(f"row {int(counts.argmin())} of {len(where)} has no position to pool")
    rows = where.nonzero()[:, 0]  # (K,)
    sums = torch.zeros(len(where), hidden.shape[-1], device=hidden.device)  # (B, H)
    sums.index_add_(0, rows, hidden[where].float())
    return sums / counts.unsqueeze(1)


def kept_answer(answer: list[int], special_ids: frozenset[int]) -> list[int]:
    """Which states of a causal answer count, as the original code has it.

    The state at answer token j predicts token j + 1; it counts if that token is not special. Where none counts (an
    answer of at most one token), the state at the first answer token stands in.

    Args:
        answer: generated ids, in order; not empty.
        special_ids: end, padding, unknown and other special ids.

    Returns:
        Offsets from the first answer token, rising, never empty.
    """
    return [j for j, following in enumerate(answer[1:]) if following not in special_ids] or [0]


def positions(ranges: list[list[tuple[int, int]]], ids: Tensor) -> Tensor:
    """Mark ranges of positions in a batch.

    Args:
        ranges: per row, (start, stop) pairs.
        ids: (B, T).

    Returns:
        (B, T) bool, on the device of `ids`.
    """
    where = torch.zeros(ids.shape, dtype=torch.bool)
    for row, pieces in zip(where, ranges, strict=True):
        for start, stop in pieces:
            row[start:stop] = True
    return where.to(ids.device)
