"""How well embeddings follow the question: triplets, correlation on pairs, V-measure; and what they hold."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import spearmanr
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import v_measure_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize
from threadpoolctl import threadpool_limits

from inbedder_utils.checks import as_list, as_numbers, checked_labels, integer, seed_number


def triplet_success(anchor: ArrayLike, positive: ArrayLike, negative: ArrayLike) -> float:
    """Share (0 to 1) of n triplets whose anchor is nearer to its positive than to its negative: cos(a, p) > cos(a, n).

    All are (n, d). A tie is no success; a vector of zeros has cosine 0 to everything.

    Raises:
        TypeError: if they hold something else than numbers.
        ValueError: if the arrays aren't of one shape (n, d) with n at least 1, or hold a value that isn't finite.
    """
    a, p, n = map(normalize, _checked(anchor=anchor, positive=positive, negative=negative))
    return float(np.mean(np.sum(a * p, axis=1) > np.sum(a * n, axis=1)))


def pair_correlation(one: ArrayLike, other: ArrayLike, scores: Sequence[float]) -> float:
    """Spearman correlation (-1 to 1) of the cosine of each pair with how alike it should be (InstructSTSB).

    Each side is (n, d); the n scores are higher for pairs that should be closer. If all cosines or all scores are
    equal, the correlation is 0.

    Raises:
        TypeError: if arrays or scores hold something else than numbers.
        ValueError: if the arrays aren't of one shape (n, d), n is not that of scores, or a value isn't finite.
    """
    one, other = _checked(one=one, other=other)
    scores = as_numbers("scores", scores, np.float64)
    if scores.shape != (len(one),):
        raise ValueError(f"scores must be ({len(one)},), one per pair; got {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite, got NaN or infinity: leave out the pairs without one")
    cosines = np.sum(normalize(one) * normalize(other), axis=1).round(6)  # rounding noise must not break ties
    if np.ptp(cosines) == 0 or np.ptp(scores) == 0:
        return 0.0
    return float(spearmanr(cosines, scores).statistic)


def v_measures(vectors: ArrayLike, labels: Sequence[Any], seeds: int | Sequence[int] = 5) -> dict[str, np.ndarray]:
    """V-measure of k-means clusters against labels, k being the number of labels, once per seed.

    Args:
        vectors: (n, d).
        labels: n; vectors whose label is missing (None or NaN) are clustered, and not judged.
        seeds: their number, 0 to seeds - 1 being used, or a list of them. [42] clusters as the paper's evaluator, which
            calls `np.random.seed(42)` and gives MiniBatchKMeans no seed of its own. Its scikit-learn is 1.2.0; from 1.3
            on, the same seed draws other first centres.

    Returns:
        "v_measure": (seeds,), 0 to 1, of the best of 10 starts of k-means on the normalized vectors;
        "v_measure_minibatch": the same, as the paper clusters: MiniBatchKMeans with batches of 500, one start, on the
        vectors as they are.

    Raises:
        TypeError: if vectors hold something else than numbers, labels are not a list, or seeds not integers.
        ValueError: if vectors are not (n, d) and finite, n is not that of labels, there are fewer than two labels or
            no seeds.
    """
    vectors = _checked(vectors=vectors)[0].astype(np.float32)
    labels, seeds = checked_labels(labels, len(vectors), "vectors"), _checked_seeds(seeds)
    known = [i for i, label in enumerate(labels) if label is not None]
    labels = [labels[i] for i in known]
    k = len(set(labels))
    if k < 2:
        raise ValueError(f"got {len(labels)} labels of {k} kinds: expected 2 kinds or more")

    def scores(points: np.ndarray, k_means: type, **options: int) -> np.ndarray:
        clusters = (k_means(k, random_state=seed, **options).fit_predict(points) for seed in seeds)
        return np.array([v_measure_score(labels, assigned[known]) for assigned in clusters])

    threads = 1 if vectors.size < 2**20 else None  # so small, threads cost more than they save
    with warnings.catch_warnings(), threadpool_limits(threads):
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct vectors than clusters: the score says it
        return {
            "v_measure": scores(normalize(vectors), KMeans, n_init=10),
            "v_measure_minibatch": scores(vectors, MiniBatchKMeans, batch_size=500),
        }


def linear_probe(vectors: ArrayLike, labels: Sequence[Any]) -> float:
    """Share (0 to 1) of labels that a linear classifier tells right from vectors that it was not fitted to.

    It is a logistic regression (penalty C = 0.01) on standardized dimensions, fitted to four fifths of the vectors and
    tried on the last, each fifth in turn (seed 0). Compare it with the share of the most frequent label.

    Args:
        vectors: (n, d).
        labels: n; vectors whose label is missing (None or NaN) are left out.

    Raises:
        TypeError: if vectors hold something else than numbers, or labels are not a list.
        ValueError: if vectors are not (n, d) and finite, n is not that of labels, there are fewer than two labels, or
            one has fewer than five vectors.
    """
    vectors = _checked(vectors=vectors)[0]
    table = pd.Series(checked_labels(labels, len(vectors), "vectors")).dropna()
    sizes = table.value_counts()
    if len(sizes) < 2 or sizes.min() < 5:
        rarest = f", the rarest with {sizes.min()} vectors" if len(sizes) else ""
        raise ValueError(f"different labels: got {len(sizes)}{rarest}; expected 2, with 5 each (None is left out)")
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return float(cross_val_score(probe, vectors[table.index], table, cv=folds).mean())


def _checked_seeds(seeds: Any) -> list[int]:
    if not isinstance(seeds, list | tuple | range | np.ndarray):
        return [*range(integer("seeds", seeds, at_least=1))]
    seeds = [seed_number(seed) for seed in as_list("seeds", seeds, "pass their number, or [42]")]
    if not seeds:
        raise ValueError("got no seeds: pass their number, or [42]")
    return seeds


def _checked(**arrays: ArrayLike) -> list[np.ndarray]:
    """The arrays in float64, if they are of one shape (n, d), and hold finite numbers only."""
    checked = [as_numbers(name, vectors, np.float64) for name, vectors in arrays.items()]
    names, shapes = " and ".join(arrays), [vectors.shape for vectors in checked]
    if len(set(shapes)) > 1 or len(shapes[0]) != 2 or shapes[0][0] == 0:
        raise ValueError(
            f"{names} must be of one shape (n, d), n at least 1; got {', '.join(map(str, shapes))}: encode the same "
            f"number of texts for each"
        )
    if not all(np.isfinite(vectors).all() for vectors in checked):
        raise ValueError(f"{names} must be finite, got NaN or infinity: encode the texts again")
    return checked
