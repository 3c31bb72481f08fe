"""Personalized clustering: ask a corpus a question, and see it form clusters by the answers."""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from inbedder_utils.checks import (
    TextsCut,
    as_numbers,
    checked_encoder,
    checked_labels,
    checked_questions,
    checked_texts,
    integer,
    seed_number,
    short,
)
from inbedder_utils.clustering.explain import explain
from inbedder_utils.clustering.result import NOISE, SAME_EMBEDDING, Clustering, sample

LARGE_CORPUS = 10_000
"""Above so many texts, k-means works in mini-batches, and only `TEXTS_SAMPLED` texts are answered in words."""
TEXTS_SAMPLED = 2_000
"""Texts, drawn with the seed, on which the number of clusters is chosen."""
MOST_CLUSTERS = 12
NEARLY_AS_GOOD = 0.75
"""Share of the silhouette of the fewest clusters that a finer peak must reach to be preferred; see data/README.md."""
RESAMPLES, SHARE_RESAMPLED = 5, 0.8
LEAST_STABILITY = 0.6
"""Below, a note says that the clusters may be others in other texts of the same kind."""


def ask(
    encoder: Any,
    texts: Iterable[str],
    instruction: str,
    n_clusters: int | str | None = None,
    *,
    estimator: Any = None,
    seed: int = 0,
    labels: Sequence[Any] | None = None,
    show_progress_bar: bool = False,
) -> Clustering:
    """Ask every text a question, and cluster the texts by their answers.

    Args:
        encoder: anything with `encode(texts, instruction)`, such as `load_encoder()`. Where it has `answer` and
            `words`, clusters are explained by them, otherwise by the texts' own words.
        texts: n strings.
        instruction: the question.
        n_clusters: how many; None takes the number from 2 to 12 with the best silhouette (on at most 2,000 texts), but
            rather than 2 a finer one whose peak is nearly as high. "about 8" (or "about:8") chooses so from 6 to 10.
        estimator: any scikit-learn clusterer, or other object with `fit_predict`, set up with its own number of
            clusters and seed; it gets the normalized embeddings, and may leave texts out (-1). None for `KMeans` with
            10 starts, above 10,000 texts `MiniBatchKMeans`.
        seed: of the clustering and of all samples.
        labels: n labels to judge the clusters by; they are turned into strings, and play no part in the clustering.
            Texts whose label is missing (None or NaN) are clustered, and not judged.
        show_progress_bar: have the encoder draw its bar.

    Returns:
        The clusters, largest first, explained and judged; they don't depend on the order of the texts. Texts whose
        embeddings are all the same make one cluster, whatever was asked for, and so do one or two texts if the number
        is to be chosen; `notes` of the result says so, and what of the texts was not read.

    Raises:
        TypeError: if a text or the instruction is not a string, the encoder has no `encode`, the estimator no
            `fit_predict`, or a number is something else.
        ValueError: if there are no texts, fewer texts than clusters, not one label per text, both an estimator and a
            number of clusters, or the seed is out of range; or if the encoder returns no finite (n, d).
    """
    checked_encoder(encoder)
    index = texts.index if isinstance(texts, pd.Series) else None
    texts = checked_texts(texts)
    if not isinstance(instruction, str):
        raise TypeError(f"instruction must be one question, got {type(instruction).__name__}: call ask once for each")
    checked_questions([instruction])
    seed = seed_number(seed)
    labels = None if labels is None else checked_labels(labels, len(texts))
    numbers = numbers_to_try(len(texts), n_clusters, estimator)
    bar = {"show_progress_bar": True} if show_progress_bar else {}
    with warnings.catch_warnings(action="ignore", category=TextsCut):  # a note says it, once
        embeddings, answers = _embeddings_and_answers(encoder, texts, instruction, seed, bar)
    embeddings = _checked_embeddings(embeddings, len(texts))
    order = np.array(sorted(range(len(texts)), key=texts.__getitem__))  # random starts then fall on the same texts
    found, curve, notes, stability = _clusters(embeddings[order], numbers, estimator, seed)
    assignments = np.empty_like(found)
    assignments[order] = found
    explanations = explain(encoder, texts, embeddings, assignments, answers)
    notes += encoder.unread(texts, instruction) if hasattr(encoder, "unread") else []
    return Clustering(
        *(instruction, texts, assignments, embeddings, answers, labels, explanations, curve, notes, seed),
        stability=stability,
        index=index,
    )


def silhouette_curve(
    embeddings: np.ndarray, seed: int = 0, numbers: Sequence[int] = range(2, MOST_CLUSTERS + 1)
) -> pd.Series:
    """Mean silhouette (cosine, -1 to 1) by number of clusters; of `numbers`, those from 2 on that the texts allow.

    The embeddings, (n, d), are normalized; k-means clusters at most `TEXTS_SAMPLED` of them, drawn with the seed.

    Raises:
        TypeError, ValueError: if the embeddings are not finite numbers (n, d), or the seed is not an integer in range.
    """
    unit = _checked_embeddings(embeddings)
    unit = unit[sample(len(unit), TEXTS_SAMPLED, seed_number(seed))]
    scores = {}
    for k in (k for k in numbers if 1 < k < len(unit)):
        clusters = _k_means(unit, k, seed)
        scores[k] = silhouette_score(unit, clusters, metric="cosine") if len(set(clusters)) > 1 else np.nan
    return pd.Series(scores, name="silhouette", dtype=float).rename_axis("clusters")


def _clusters(
    embeddings: np.ndarray, numbers: Sequence[int], estimator: Any, seed: int
) -> tuple[np.ndarray, pd.Series | None, list[str], float | None]:
    """Assignments, largest cluster first; the curve that the number was chosen by; notes; stability."""
    unit, curve, n = normalize(embeddings), None, len(embeddings)
    one = np.zeros(n, dtype=np.int64)
    if estimator is not None:
        assignments = _by_size(estimator.fit_predict(unit), n, type(estimator).__name__)
        left_out = f"{type(estimator).__name__} left every text out"
        return assignments, None, [] if assignments.max() >= 0 else [left_out], None
    if n > 1 and [*numbers] != [1] and np.ptp(unit, axis=0).max(initial=0) < SAME_EMBEDDING:
        same = "one cluster, for all embeddings are the same: does the question fit, do the texts repeat?"
        return one, None, [same], None
    if len(numbers) > 1 and n < 3:
        return one, None, ["one cluster: with so few texts there is no number of clusters to choose"], None
    n_clusters = numbers[0]
    if len(numbers) > 1:
        curve = silhouette_curve(unit, seed, numbers)
        n_clusters = chosen_number(curve)
    assignments = _by_size(_k_means(unit, n_clusters, seed), n, "KMeans")
    stability, made = _stability(unit, assignments, n_clusters, seed), assignments.max() + 1
    notes = []
    if made < n_clusters:
        notes.append(f"{made} clusters instead of {n_clusters}: there are no more different embeddings")
    if stability is not None and stability < LEAST_STABILITY:
        notes.append(
            f"the clusters are not stable (adjusted Rand index {stability:.2f} between samples of the texts, 1: the "
            "same each time): try another number of clusters, and rely on no single text's cluster"
        )
    return assignments, curve, notes, stability


def chosen_number(curve: pd.Series) -> int:
    """The number of clusters with the best silhouette.

    Where that is the smallest of all, which a single coarse contrast is enough for, it is the best of the peaks behind
    it, if that is nearly as good (`NEARLY_AS_GOOD`).
    """
    best = int(curve.idxmax())
    peaks = curve[(curve >= curve.shift(fill_value=-np.inf)) & (curve >= curve.shift(-1, fill_value=-np.inf))]
    finer = peaks[(peaks.index > best) & (peaks >= NEARLY_AS_GOOD * curve[best])]
    return int(finer.idxmax()) if best == curve.index[0] and len(finer) else best


def _stability(unit: np.ndarray, assignments: np.ndarray, k: int, seed: int) -> float | None:
    """Mean adjusted Rand index between the clusters and those made anew, with other seeds, of 80% of the texts."""
    drawn_at_once = min(int(SHARE_RESAMPLED * len(unit)), TEXTS_SAMPLED)
    if not 1 < k < drawn_at_once:
        return None
    agreements = []
    for other in range(1, RESAMPLES + 1):
        drawn = sample(len(unit), drawn_at_once, (seed + other) % 2**32)
        anew = _k_means(unit[drawn], k, (seed + other) % 2**32)
        agreements.append(adjusted_rand_score(assignments[drawn], anew))
    return float(np.mean(agreements))


def _k_means(unit: np.ndarray, k: int, seed: int) -> np.ndarray:
    settings = {"n_init": 10, "random_state": seed}
    large = len(unit) > LARGE_CORPUS
    estimator = MiniBatchKMeans(k, batch_size=2048, **settings) if large else KMeans(k, **settings)
    with warnings.catch_warnings(), threadpool_limits(1):  # with batches so small, threads cost more than they save
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct vectors than clusters: a note says so
        return estimator.fit_predict(unit)


def _by_size(clusters: Any, n: int, estimator: str) -> np.ndarray:
    """Number clusters from the largest on, 0, 1, ...; noise stays -1."""
    clusters = np.asarray(clusters)
    if clusters.shape != (n,) or not np.issubdtype(clusters.dtype, np.integer):
        raise ValueError(
            f"{estimator}.fit_predict must return {n} integers, one per text; "
            f"got {clusters.dtype} of shape {clusters.shape}"
        )
    sizes = Counter(clusters[clusters != NOISE].tolist()).most_common()
    rank = {cluster: i for i, (cluster, _) in enumerate(sizes)}
    return np.array([rank.get(cluster, NOISE) for cluster in clusters.tolist()], dtype=np.int64)


def _embeddings_and_answers(
    encoder: Any, texts: list[str], instruction: str, seed: int, bar: dict[str, bool]
) -> tuple[Any, list[str | None] | None]:
    """Answers are those of all texts, of a sample of many (None for the others), or None."""
    if len(texts) <= LARGE_CORPUS and hasattr(encoder, "encode_with_answers"):
        return encoder.encode_with_answers(texts, instruction, **bar)
    embeddings = encoder.encode(texts, instruction, **bar)
    if not hasattr(encoder, "answer"):
        return embeddings, None
    chosen = sample(len(texts), TEXTS_SAMPLED if len(texts) > LARGE_CORPUS else LARGE_CORPUS, seed).tolist()
    answers = dict(zip(chosen, encoder.answer([texts[i] for i in chosen], instruction, **bar), strict=True))
    return embeddings, [answers.get(i) for i in range(len(texts))]


def numbers_to_try(n: int, n_clusters: Any, estimator: Any = None) -> Sequence[int]:
    """The numbers of clusters to choose from: one if it is given."""
    if n == 0:
        raise ValueError("there are no texts to cluster: pass at least one")
    if estimator is not None and not callable(getattr(estimator, "fit_predict", None)):
        made = " made with its settings, such as KMeans(5)" if isinstance(estimator, type) else ""
        raise TypeError(f"estimator must be an object with fit_predict{made}, got {estimator!r}")
    if isinstance(estimator, type):
        raise TypeError(f"estimator is the class {estimator.__name__}: pass an object, such as KMeans(5)")
    if n_clusters is None:
        return range(2, MOST_CLUSTERS + 1)
    if estimator is not None:
        raise ValueError("n_clusters and estimator are both given: set the number of clusters in the estimator")
    about = None
    if isinstance(n_clusters, str):
        about = re.fullmatch(r"about[ :]([0-9]+)", n_clusters.strip())
        if about is None:
            raise ValueError(f"n_clusters is {short(n_clusters)}: pass a number, 'about 8', or nothing")
        n_clusters = int(about[1])
    integer("n_clusters", n_clusters, at_least=2 if about else 1)
    if n_clusters > n:
        raise ValueError(f"{n_clusters} clusters cannot be made of {n} texts: pass n_clusters of at most {n}")
    if about is None:
        return [n_clusters]
    aside = max(1, n_clusters // 4)
    return range(max(2, n_clusters - aside), n_clusters + aside + 1)


def _checked_embeddings(embeddings: Any, n: int | None = None) -> np.ndarray:
    embeddings = as_numbers("embeddings", embeddings)
    if embeddings.ndim != 2 or n not in (None, len(embeddings)):
        raise ValueError(f"embeddings must have one row per text, ({n or 'n'}, d); got {embeddings.shape}")
    bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(bad):
        raise ValueError(
            f"the embeddings of {len(bad)} of {len(embeddings)} texts hold NaN or infinity, first that of "
            f"texts[{bad[0]}]: load the encoder in float32, or leave these texts out"
        )
    return embeddings
