"""From hidden states to one vector per prompt: every pooling is a mean over chosen places."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def mean_at(hidden: Tensor, places: Sequence[np.ndarray]) -> Tensor:
    """Average hidden states.

    Args:
        hidden: (B, T, H), any float dtype; what stands at other places, padding included, has no influence.
        places: for each of n prompts, which of the B * T states to average.

    Returns:
        (n, H) float32, not normalized.

    Raises:
        ValueError: if a prompt has no place to average.
    """
    counts = np.array(list(map(len, places)))  # (n,)
    if not counts.all():
        raise ValueError(f"row {int(counts.argmin())} of {len(places)} has no position to pool")
    wanted = np.concatenate(places)  # (K,)
    if wanted.min() < 0:
        raise RuntimeError("a state that was not computed is wanted: this is a bug")
    prompt_of = np.repeat(np.arange(len(places)), counts)  # (K,)
    states = hidden.flatten(0, 1)[torch.from_numpy(wanted).to(hidden.device)].float()  # (K, H)
    sums = torch.zeros(len(places), hidden.shape[-1], device=hidden.device)  # (n, H)
    sums.index_add_(0, torch.from_numpy(prompt_of).to(hidden.device), states)  # (n, H)
    return sums / torch.from_numpy(counts).to(hidden.device).unsqueeze(1)  # (n, H)


def kept_answer(answer: list[int], special_ids: frozenset[int]) -> list[int]:
    """Which states of a causal answer (generated ids, at least one) count, as the original code has it.

    The state at answer token j predicts token j + 1; it counts if that token is not special. Where none counts (an
    answer of at most one token), the state at the first answer token stands in.

    Returns:
        Offsets from the first answer token, rising, never empty.
    """
    return [j for j, following in enumerate(answer[1:]) if following not in special_ids] or [0]


def places_in(places: Sequence[np.ndarray], ranges: Sequence[Sequence[tuple[int, int]]]) -> list[np.ndarray]:
    """The places of some of each prompt's tokens: those in (start, stop) ranges, counted in its own tokens."""
    return [
        np.concatenate([where[start:stop] for start, stop in pieces])
        for where, pieces in zip(places, ranges, strict=True)
    ]


def scaled(vectors: np.ndarray, standardize: bool, normalize: bool = False) -> np.ndarray:
    """Vectors (n, d), each shifted and scaled to mean 0 and standard deviation 1, then to unit length, if wanted."""
    if standardize:
        spread = vectors.std(1, ddof=1, keepdims=True)  # (n, 1)
        vectors = (vectors - vectors.mean(1, keepdims=True)) / np.maximum(spread, 1e-12)  # (n, d)
    if normalize:
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)  # (n, d)
    return vectors
