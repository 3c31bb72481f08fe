"""How well embeddings follow the question: triplet success, correlation on pairs, V-measure of clusters."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import v_measure_score
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from inbedder_utils.checks import as_numbers, checked_labels, integer
from inbedder_utils.data.small_world import DOMAINS
from inbedder_utils.data.small_world_sets import attribute_values, questions, triplets


def triplet_success(anchor: ArrayLike, positive: ArrayLike, negative: ArrayLike) -> float:
    """Share of triplets whose anchor is nearer to its positive than to its negative: cos(a, p) > cos(a, n).

    Args:
        anchor: (n, d).
        positive: (n, d).
        negative: (n, d).

    Returns:
        A number from 0 to 1. A tie is no success; a vector of zeros has cosine 0 to everything.

    Raises:
        TypeError: if they hold something else than numbers.
        ValueError: if the arrays aren't of one shape (n, d) with n at least 1, or hold a value that isn't finite.
    """
    arrays = _checked(anchor=anchor, positive=positive, negative=negative)
    a, p, n = map(normalize, arrays)
    return float(np.mean(np.sum(a * p, axis=1) > np.sum(a * n, axis=1)))


def pair_correlation(one: ArrayLike, other: ArrayLike, scores: Sequence[float]) -> float:
    """Spearman correlation of the cosine of each pair with how alike it should be (InstructSTSB).

    Args:
        one: (n, d).
        other: (n, d).
        scores: n numbers, higher for pairs that should be closer.

    Returns:
        A number from -1 to 1; 0 if all cosines or all scores are equal.

    Raises:
        TypeError: if arrays or scores hold something else than numbers.
        ValueError: if the arrays aren't of one shape (n, d), n is not that of scores, or a value isn't finite.
    """
    arrays, scores = _checked(one=one, other=other), as_numbers("scores", scores, np.float64)
    if scores.shape != (len(arrays[0]),):
        raise ValueError(f"scores must be ({len(arrays[0])},), one per pair; got {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite, got NaN or infinity: leave out the pairs without one")
    cosines = np.sum(normalize(arrays[0]) * normalize(arrays[1]), axis=1).round(6)  # rounding noise must not break ties
    if np.ptp(cosines) == 0 or np.ptp(scores) == 0:
        return 0.0
    return float(spearmanr(cosines, scores).statistic)


def v_measures(vectors: ArrayLike, labels: Sequence[Any], seeds: int = 5) -> dict[str, np.ndarray]:
    """V-measure of k-means clusters against labels, k being the number of labels, once per seed.

    Args:
        vectors: (n, d).
        labels: n.
        seeds: 0 to seeds - 1 are used.

    Returns:
        "v_measure": (seeds,), from 0 to 1, of the best of 10 starts of k-means on the normalized vectors;
        "v_measure_minibatch": the same, as the paper clusters: MiniBatchKMeans with batches of 500, one start, on the
        vectors as they are.

    Raises:
        TypeError: if vectors hold something else than numbers, labels are no list, or seeds no integer.
        ValueError: if vectors are not (n, d) and finite, n is not that of labels, a label is missing, there are fewer
            than two labels, or no seeds.
    """
    vectors = _checked(vectors=vectors)[0].astype(np.float32)
    labels, seeds = checked_labels(labels, len(vectors), "vectors"), integer("seeds", seeds, at_least=1)
    k = len(set(labels))
    if k < 2:
        raise ValueError(f"got {len(labels)} labels of {k} kinds: expected 2 kinds or more")
    unit = normalize(vectors)

    def found(estimator: Any, points: np.ndarray) -> float:
        return v_measure_score(labels, estimator.fit_predict(points))

    threads = 1 if vectors.size < 2**20 else None  # so small, threads cost more than they save
    with warnings.catch_warnings(), threadpool_limits(threads):
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct vectors than clusters: the score says it
        return {
            "v_measure": np.array([found(KMeans(k, n_init=10, random_state=s), unit) for s in range(seeds)]),
            "v_measure_minibatch": np.array(
                [found(MiniBatchKMeans(k, batch_size=500, random_state=s), vectors) for s in range(seeds)]
            ),
        }


def _checked(**arrays: ArrayLike) -> list[np.ndarray]:
    """Arrays of one shape (n, d), in float64.

    Raises:
        TypeError: if they hold something else than numbers.
        ValueError: if they are not, or hold a value that isn't finite.
    """
    checked, names = [as_numbers(name, vectors, np.float64) for name, vectors in arrays.items()], " and ".join(arrays)
    if len({vectors.shape for vectors in checked}) > 1 or checked[0].ndim != 2 or len(checked[0]) == 0:
        raise ValueError(
            f"{names} must be of one shape (n, d), n at least 1; got "
            f"{', '.join(str(vectors.shape) for vectors in checked)}: encode the same number of texts for each"
        )
    if not all(np.isfinite(vectors).all() for vectors in checked):
        raise ValueError(f"{names} must be finite, got NaN or infinity: encode the texts again")
    return checked


def answer_triplets(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Make triplets of texts from question-answer rows, where the same question was asked about several texts.

    The positive has the anchor's answer to the question and, as far as possible, none of its other answers; the
    negative has another answer and, as far as possible, all of the others: only the question tells them apart.

    Args:
        rows: with input, instruction and output.

    Returns:
        Rows with instruction, anchor, positive, negative: one per text and question for which there are both.
    """
    answers: dict[str, dict[str, str]] = {}
    asked: dict[str, list[str]] = {}
    for row in rows:
        if row["instruction"] not in answers.setdefault(row["input"], {}):
            asked.setdefault(row["instruction"], []).append(row["input"])
        answers[row["input"]][row["instruction"]] = row["output"]

    def shared(one: str, other: str) -> int:
        return len(answers[one].items() & answers[other].items())

    triplets = []
    for question, texts in asked.items():
        for anchor in texts:
            same = [t for t in texts if t != anchor and answers[t][question] == answers[anchor][question]]
            other = [t for t in texts if answers[t][question] != answers[anchor][question]]
            if same and other:
                positive = min(same, key=lambda text: shared(anchor, text))
                negative = max(other, key=lambda text: shared(anchor, text))
                triplets.append({"instruction": question, "anchor": anchor, "positive": positive, "negative": negative})
    return triplets


def awareness(encode: Callable[[list[str], list[str]], ArrayLike], triplets: Sequence[dict[str, str]]) -> float:
    """Share of triplets, each under its own question, that embeddings get right.

    Args:
        encode: takes n texts and n instructions, such as `load_encoder().encode`.
        triplets: from `answer_triplets`.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: if there are no triplets.
    """
    roles = ("anchor", "positive", "negative")
    keys = list(dict.fromkeys((t[role], t["instruction"]) for t in triplets for role in roles))
    place = {key: i for i, key in enumerate(keys)}
    vectors = np.asarray(encode([text for text, _ in keys], [question for _, question in keys]))
    return triplet_success(*(vectors[[place[t[role], t["instruction"]] for t in triplets]] for role in roles))


def small_world_scores(
    encode: Callable[[list[str], str], ArrayLike], n: int = 300, seed: int = 0, wordings: str = "eval"
) -> list[dict[str, Any]]:
    """Score an embedder on held-out texts of the small world.

    In triplets (`inbedder_utils.data.small_world_sets.triplets`) a blind model is wrong more often than right.

    Args:
        encode: takes (texts, instruction) and returns (n, d), such as `load_encoder().encode`.
        n: triplets per attribute, 1 or more, dealt out to the wordings of its question in turn.
        seed: of the triplets.
        wordings: "eval" asks in wordings that are held out as well, "train" in wordings that were trained on.

    Returns:
        One row per domain and attribute: domain, attribute, success.

    Raises:
        TypeError, ValueError: if `n` is no positive integer.
    """
    integer("n", n, at_least=1)
    return [
        {"domain": domain, "attribute": attribute, "success": _success(encode, domain, attribute, n, seed, wordings)}
        for domain in DOMAINS
        for attribute in attribute_values(domain)
    ]


def _success(
    encode: Callable[[list[str], str], ArrayLike], domain: str, attribute: str, n: int, seed: int, split: str
) -> float:
    rows, wordings = triplets(domain, attribute, n, seed=seed), questions(domain, attribute, split)
    right = 0.0
    for i, question in enumerate(wordings):
        asked = rows[i :: len(wordings)]
        if asked:
            texts = [row[role] for role in ("anchor", "positive", "negative") for row in asked]
            right += triplet_success(*np.split(np.asarray(encode(texts, question)), 3)) * len(asked)
    return right / len(rows)
