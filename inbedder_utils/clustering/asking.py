"""Personalized clustering: ask a corpus a question, and see it form clusters by the answers."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from inbedder_utils.checks import (
    as_numbers,
    checked_labels,
    checked_questions,
    checked_texts,
    integer,
    seed_number,
    short,
)
from inbedder_utils.clustering.explain import explain
from inbedder_utils.clustering.projection import SAME_EMBEDDING
from inbedder_utils.clustering.result import NOISE, Clustering, sample

LARGE_CORPUS = 10_000
"""Above so many texts, k-means works in mini-batches, and only `TEXTS_SAMPLED` texts are answered in words."""
TEXTS_SAMPLED = 2_000
"""Texts, drawn with the seed, on which the number of clusters is chosen."""
MOST_CLUSTERS = 12


def ask(
    encoder: Any,
    texts: Iterable[str],
    instruction: str,
    n_clusters: int | None = None,
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
        n_clusters: how many; None takes the number from 2 to 12 with the best silhouette (on at most 2,000 texts).
        estimator: any scikit-learn clusterer, or other object with `fit_predict`, set up with its own number of
            clusters and seed; it gets the normalized embeddings, and may leave texts out (-1). None for `KMeans` with
            10 starts, above 10,000 texts `MiniBatchKMeans`.
        seed: of the clustering and of all samples.
        labels: n labels to judge the clusters by; they are turned into strings, and play no part in the clustering.
        show_progress_bar: have the encoder draw its bar.

    Returns:
        The clusters, largest first, explained and judged. Texts whose embeddings are all the same make one cluster,
        whatever was asked for, and so do one or two texts if `n_clusters` is None; `notes` of the result says so.

    Raises:
        TypeError: if a text or the instruction is not a string, the encoder has no `encode`, the estimator no
            `fit_predict`, or a number is something else.
        ValueError: if there are no texts, fewer texts than clusters, not one label per text, both an estimator and a
            number of clusters, or the seed is out of range; or if the encoder returns no finite (n, d).
    """
    if isinstance(encoder, str) or not callable(getattr(encoder, "encode", None)):
        raise TypeError(f"encoder must have encode(texts, instruction), got {short(encoder)}: pass load_encoder()")
    texts = checked_texts(texts)
    if not isinstance(instruction, str):
        raise TypeError(f"instruction must be one question, got {type(instruction).__name__}: call ask once for each")
    checked_questions([instruction])
    seed = seed_number(seed)
    labels = None if labels is None else checked_labels(labels, len(texts))
    _check_number(len(texts), n_clusters, estimator)
    bar = {"show_progress_bar": True} if show_progress_bar else {}
    embeddings, answers = _asked(encoder, texts, instruction, seed, bar)
    embeddings = _checked_embeddings(embeddings, len(texts))
    found, curve, notes = _clusters(embeddings, n_clusters, estimator, seed)
    return Clustering(
        instruction=instruction,
        texts=texts,
        assignments=found,
        embeddings=embeddings,
        answers=answers,
        labels=labels,
        explanations=explain(encoder, texts, embeddings, found, answers),
        curve=curve,
        notes=notes,
        seed=seed,
    )


def silhouette_curve(embeddings: np.ndarray, seed: int = 0) -> pd.Series:
    """Cluster into 2, 3, ... clusters, and judge each by its silhouette.

    Args:
        embeddings: (n, d), normalized; at most `TEXTS_SAMPLED` of them are used.
        seed: of the sample and of k-means.

    Returns:
        Mean silhouette (cosine, -1 to 1) by number of clusters, 2 to `MOST_CLUSTERS` or to what the texts allow.

    Raises:
        TypeError, ValueError: if the embeddings are not finite numbers (n, d), or the seed is not an integer in range.
    """
    unit = _checked_embeddings(embeddings)
    unit = unit[sample(len(unit), TEXTS_SAMPLED, seed_number(seed))]
    scores = {}
    for k in range(2, min(MOST_CLUSTERS, len(unit) - 1) + 1):
        found = _fitted(_default_estimator(k, len(unit), seed), unit)
        scores[k] = silhouette_score(unit, found, metric="cosine") if 1 < len(set(found)) < len(unit) else np.nan
    return pd.Series(scores, name="silhouette", dtype=float).rename_axis("clusters")


def _default_estimator(k: int, n: int, seed: int) -> Any:
    if n > LARGE_CORPUS:
        return MiniBatchKMeans(k, n_init=10, batch_size=2048, random_state=seed)
    return KMeans(k, n_init=10, random_state=seed)


def _clusters(
    embeddings: np.ndarray, n_clusters: int | None, estimator: Any, seed: int
) -> tuple[np.ndarray, pd.Series | None, list[str]]:
    """Assignments, largest cluster first; the curve that the number was chosen by; what the reader should know."""
    unit, curve, n = normalize(embeddings), None, len(embeddings)
    one = np.zeros(n, dtype=np.int64)
    if estimator is not None:
        found = _by_size(estimator.fit_predict(unit), n, estimator)
        return found, None, [] if found.max() >= 0 else [f"{type(estimator).__name__} left every text out"]
    if 1 < n and n_clusters != 1 and np.ptp(unit, axis=0).max(initial=0) < SAME_EMBEDDING:
        return one, None, ["one cluster, for all embeddings are the same: does the question fit, do the texts repeat?"]
    if n_clusters is None and n < 3:
        return one, None, ["one cluster: with so few texts there is no number of clusters to choose"]
    if n_clusters is None:
        curve = silhouette_curve(unit, seed)
        n_clusters = int(curve.idxmax())
    found = _by_size(_fitted(_default_estimator(n_clusters, n, seed), unit), n, KMeans)
    made = found.max() + 1
    fewer = f"{made} clusters instead of {n_clusters}: there are no more different embeddings"
    return found, curve, [fewer] if made < n_clusters else []


def _fitted(estimator: Any, unit: np.ndarray) -> Any:
    with warnings.catch_warnings(), threadpool_limits(1):  # with batches so small, threads cost more than they save
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct vectors than clusters: a note says so
        return estimator.fit_predict(unit)


def _by_size(found: Any, n: int, estimator: Any) -> np.ndarray:
    """Number clusters from the largest on, 0, 1, ...; noise stays -1."""
    found = np.asarray(found)
    if found.shape != (n,) or not np.issubdtype(found.dtype, np.integer):
        raise ValueError(
            f"{type(estimator).__name__}.fit_predict must return {n} integers, one per text; "
            f"got {found.dtype} of shape {found.shape}"
        )
    clusters, first, sizes = np.unique(found[found != NOISE], return_index=True, return_counts=True)
    rank = {cluster: i for i, cluster in enumerate(clusters[np.lexsort((first, -sizes))])}
    return np.array([rank.get(cluster, NOISE) for cluster in found], dtype=np.int64)


def _asked(
    encoder: Any, texts: list[str], instruction: str, seed: int, bar: dict[str, bool]
) -> tuple[Any, list[str | None] | None]:
    """Embeddings, and the answers in words: of all texts, of a sample of many, or None."""
    if len(texts) <= LARGE_CORPUS and hasattr(encoder, "encode_with_answers"):
        return encoder.encode_with_answers(texts, instruction, **bar)
    embeddings = encoder.encode(texts, instruction, **bar)
    if not hasattr(encoder, "answer"):
        return embeddings, None
    asked = sample(len(texts), TEXTS_SAMPLED if len(texts) > LARGE_CORPUS else LARGE_CORPUS, seed)
    answers: list[str | None] = [None] * len(texts)
    for i, answer in zip(asked, encoder.answer([texts[i] for i in asked], instruction, **bar), strict=True):
        answers[i] = answer
    return embeddings, answers


def _check_number(n: int, n_clusters: int | None, estimator: Any) -> None:
    if n == 0:
        raise ValueError("there are no texts to cluster: pass at least one")
    if estimator is not None and not callable(getattr(estimator, "fit_predict", None)):
        made = " made with its settings, such as KMeans(5)" if isinstance(estimator, type) else ""
        raise TypeError(f"estimator must be an object with fit_predict{made}, got {estimator!r}")
    if isinstance(estimator, type):
        raise TypeError(f"estimator is the class {estimator.__name__}: pass an object, such as KMeans(5)")
    if n_clusters is None:
        return
    if estimator is not None:
        raise ValueError("n_clusters and estimator are both given: set the number of clusters in the estimator")
    integer("n_clusters", n_clusters, at_least=1)
    if n_clusters > n:
        raise ValueError(f"{n_clusters} clusters cannot be made of {n} texts: pass n_clusters of at most {n}")


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
