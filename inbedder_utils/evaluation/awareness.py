"""Triplets made of question-answer rows: texts that only the question can tell apart."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from inbedder_utils.evaluation.measures import triplet_success


def answer_triplets(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Make triplets of texts from rows (input, instruction, output) that ask the same question about several texts.

    The positive has the anchor's answer to the question and, as far as possible, none of its other answers; the
    negative has another answer and, as far as possible, all of the others: only the question tells them apart.

    Returns:
        Rows with instruction, anchor, positive, negative: one per text and question for which there are both.
    """
    answers: dict[str, dict[str, str]] = {}
    texts_asked: dict[str, list[str]] = {}
    for row in rows:
        if row["instruction"] not in answers.setdefault(row["input"], {}):
            texts_asked.setdefault(row["instruction"], []).append(row["input"])
        answers[row["input"]][row["instruction"]] = row["output"]

    def shared(one: str, other: str) -> int:
        return len(answers[one].items() & answers[other].items())

    triplets = []
    for question, texts in texts_asked.items():
        for anchor in texts:
            same = [t for t in texts if t != anchor and answers[t][question] == answers[anchor][question]]
            other = [t for t in texts if answers[t][question] != answers[anchor][question]]
            if same and other:
                positive = min(same, key=lambda text: shared(anchor, text))
                negative = max(other, key=lambda text: shared(anchor, text))
                triplets.append({"instruction": question, "anchor": anchor, "positive": positive, "negative": negative})
    return triplets


def awareness(encode: Callable[[list[str], list[str]], ArrayLike], triplets: Sequence[dict[str, str]]) -> float:
    """Share (0 to 1) of `answer_triplets`, each under its own question, that embeddings get right.

    Args:
        encode: takes n texts and n instructions, such as `load_encoder().encode`.
        triplets: with instruction, anchor, positive, negative.

    Raises:
        ValueError: if there are no triplets.
    """
    keys = [(t[role], t["instruction"]) for t in triplets for role in ("anchor", "positive", "negative")]
    place = {key: i for i, key in enumerate(dict.fromkeys(keys))}  # many texts stand in several triplets
    vectors = np.asarray(encode([text for text, _ in place], [question for _, question in place]))
    vectors = vectors[[place[key] for key in keys]]
    return triplet_success(vectors[0::3], vectors[1::3], vectors[2::3])
