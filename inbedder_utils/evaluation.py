"""How well embeddings follow the question: triplet success, on the small world's held-out texts."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.preprocessing import normalize

from inbedder_utils.qa_data import DOMAINS, attribute_values, questions, triplets


def triplet_success(anchor: ArrayLike, positive: ArrayLike, negative: ArrayLike) -> float:
    """Share of triplets whose anchor is nearer to its positive than to its negative: cos(a, p) > cos(a, n).

    Args:
        anchor: (n, d).
        positive: (n, d).
        negative: (n, d).

    Returns:
        A number from 0 to 1. A tie is no success; a vector of zeros has cosine 0 to everything.

    Raises:
        ValueError: if the arrays aren't of one shape (n, d) with n at least 1, or hold a value that isn't finite.
    """
    arrays = [np.asarray(vectors, dtype=np.float64) for vectors in (anchor, positive, negative)]
    if len({vectors.shape for vectors in arrays}) > 1 or arrays[0].ndim != 2 or len(arrays[0]) == 0:
        raise ValueError(
            f"anchor, positive and negative must be of one shape (n, d), n at least 1; got "
            f"{', '.join(str(vectors.shape) for vectors in arrays)}: encode the same number of texts for each"
        )
    if not all(np.isfinite(vectors).all() for vectors in arrays):
        raise ValueError("anchor, positive and negative must be finite, got NaN or infinity: encode the texts again")
    a, p, n = map(normalize, arrays)
    return float(np.mean(np.sum(a * p, axis=1) > np.sum(a * n, axis=1)))


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

    Triplets (`inbedder_utils.qa_data.triplets`) are such that a blind model is wrong more often than right.

    Args:
        encode: takes (texts, instruction) and returns (n, d), such as `load_encoder().encode`.
        n: triplets per attribute, dealt out to the wordings of its question in turn.
        seed: of the triplets.
        wordings: "eval" asks in wordings that are held out as well, "train" in wordings that were trained on.

    Returns:
        One row per domain and attribute: domain, attribute, success.
    """
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
