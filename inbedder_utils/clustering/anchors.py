"""Points among embeddings that stand for clusters or options: how near they are to a text, old or new."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import euclidean_distances
from sklearn.preprocessing import normalize

from inbedder_utils.clustering.partition import NOISE

SHARPNESS = 5
"""Memberships fall with the squared distance to the power of this; how it was chosen is in data/README.md."""
SHARE_OUTSIDE = 0.01
"""Of the texts that clusters were made of, how many are farther away than what counts as near."""
ROWS_AT_ONCE = 8192
"""Embeddings that are copied to be placed, at most: of a million, copies would take gigabytes."""
LEAST_SQUARED_DISTANCE = 1e-6
"""Of a text to an anchor, so that no membership is divided by zero, and a text that repeats is near to itself."""


@dataclass(frozen=True, eq=False)
class Anchors:
    """A point for each cluster or option; texts belong to the nearest.

    Similarity is 1 less half the squared distance: the cosine, where text and anchor have length 1.

    Attributes:
        origin: (d,) where distances are seen from: it is taken off normalized embeddings, which are normalized again.
        centres: (k, d) the anchors.
        least: similarity below which a text belongs to none.
    """

    origin: np.ndarray
    centres: np.ndarray
    least: float

    def similarities(self, embeddings: np.ndarray) -> np.ndarray:
        """(n, k) similarity of each embedding, (n, d) as encoded, to each anchor: 1 for the same place.

        It is -1 where an embedding is 0 throughout, as that of a text without words may be: it lies nowhere.
        """
        starts = range(0, max(1, len(embeddings)), ROWS_AT_ONCE)
        return np.concatenate([self._similarities(embeddings[start : start + ROWS_AT_ONCE]) for start in starts])

    def _similarities(self, embeddings: np.ndarray) -> np.ndarray:
        placed = normalize(normalize(embeddings) - self.origin)  # (b, d)
        similarities = 1 - euclidean_distances(placed, self.centres, squared=True) / 2  # (b, k)
        return np.where(np.any(embeddings, axis=1, keepdims=True), similarities, -1)

    def nearest(self, similarities: np.ndarray) -> np.ndarray:
        """(n,) the nearest anchor, -1 where none is near, by (n, k) similarities."""
        best = similarities.argmax(axis=1)
        return np.where(similarities.max(axis=1) >= self.least, best, NOISE)


def memberships(similarities: np.ndarray) -> np.ndarray:
    """How far each text belongs to each anchor: (n, k) shares that sum to 1, by (n, k) similarities.

    They are those of fuzzy c-means (Bezdek 1981, Pattern Recognition with Fuzzy Objective Function Algorithms) with
    m = 1.2: as 1 / squared distance ** 5, compared with those to the other anchors.
    """
    squared = np.maximum(LEAST_SQUARED_DISTANCE, 2 - 2 * similarities)
    nearness = (squared.min(axis=1, keepdims=True) / squared) ** SHARPNESS
    return nearness / nearness.sum(axis=1, keepdims=True)


def anchors_of_clusters(embeddings: np.ndarray, assignments: np.ndarray) -> Anchors:
    """The mean of each cluster's normalized embeddings, to which k-means found them nearest.

    Near is what 99% of the texts are to their own cluster's mean, taken without the text itself.

    Args:
        embeddings: (n, d), as encoded.
        assignments: (n,) from 0 to k - 1, each at least once, or -1.
    """
    unit, k = normalize(embeddings), int(assignments.max()) + 1
    centres = np.stack([unit[assignments == c].mean(axis=0) for c in range(k)])  # (k, d)
    inside = assignments != NOISE
    sizes = np.bincount(assignments[inside], minlength=k)[assignments[inside]]
    squared = ((unit[inside] - centres[assignments[inside]]) ** 2).sum(axis=1)
    without_itself = (squared * (sizes / np.maximum(1, sizes - 1)) ** 2)[sizes > 1]
    farthest = np.quantile(without_itself, 1 - SHARE_OUTSIDE) if len(without_itself) else 4.0
    return Anchors(np.zeros(unit.shape[1], unit.dtype), centres, 1 - max(LEAST_SQUARED_DISTANCE, float(farthest)) / 2)
