"""How good clusters are: in themselves, and against labels."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score, silhouette_samples, v_measure_score
from sklearn.preprocessing import normalize

from inbedder_utils.clustering.partition import NOISE, sample

TEXTS_JUDGED = 5_000
"""Texts on which a silhouette is computed, at most: its time and memory grow with their square."""


def silhouettes(embeddings: np.ndarray, assignments: np.ndarray, seed: int) -> pd.Series:
    """See `Clustering.silhouettes`."""
    inside = np.flatnonzero(assignments != NOISE)
    inside = inside[sample(len(inside), TEXTS_JUDGED, seed)]
    groups = assignments[inside]
    if not 1 < len(np.unique(groups)) < len(inside):
        return pd.Series(dtype=float)
    return pd.Series(silhouette_samples(normalize(embeddings[inside]), groups, metric="cosine"), inside)


def against_labels(labels: Sequence[str | None], assignments: np.ndarray, mixed: np.ndarray) -> dict[str, float]:
    """The part of `Clustering.quality` that needs labels; `mixed` is the (k,) entropy of each cluster's labels."""
    known = [i for i, label in enumerate(labels) if label is not None]
    labels, assignments = [labels[i] for i in known], assignments[known]
    weights = np.bincount(assignments[assignments != NOISE], minlength=len(mixed))
    return {
        "v_measure": float(v_measure_score(labels, assignments)),
        "adjusted_rand": float(adjusted_rand_score(labels, assignments)),
        "entropy": float(np.average(mixed, weights=weights)) if weights.any() else np.nan,
    }


def sorted_right(labels: Sequence[str | None], found: Iterable[str], options: Sequence[str]) -> dict[str, float]:
    """Share of the texts that are labelled with an option that were found to belong to it; nothing if none is."""
    right = [label == name for label, name in zip(labels, found, strict=True) if label in options]
    return {"sorted_right": float(np.mean(right))} if right else {}


def entropies(labels: Sequence[str | None], assignments: np.ndarray, k: int) -> np.ndarray:
    """(k,) entropy of each cluster's labels, in bits."""
    labels = np.asarray(labels, dtype=object)
    return np.array([entropy(labels[assignments == c]) for c in range(k)])


def entropy(labels: Iterable[str]) -> float:
    """How mixed labels are, in bits: 0 if all are the same, log2(k) if k of them are equally frequent."""
    shares = pd.Series(list(labels)).value_counts(normalize=True)
    return float(max(0.0, -(shares * np.log2(shares)).sum()))
