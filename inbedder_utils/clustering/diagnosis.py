"""Does the corpus answer the question at all? Figures, and warnings in plain words."""

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.preprocessing import normalize

from inbedder_utils.checks import TextsCut
from inbedder_utils.clustering.partition import NOISE, sample
from inbedder_utils.clustering.quality import entropy
from inbedder_utils.clustering.result import Clustering

UNRELATED = ("How many people are mentioned?", "What time is it?", "Which animal is mentioned?")
TEXTS_DIAGNOSED = 100
# Limits of the figures; how they were chosen, and how often they err, is in inbedder_utils/data/README.md.
LEAST_DEPENDENCE = 0.1
LEAST_DISTANCE = 0.3
"""To the nearest unrelated question; said only where nothing else speaks against the question."""
WELL_APART = 0.25
"""Silhouette from which neither a small distance nor poor answers are a fault, if the clusters are stable too."""
WELL_KEPT = 0.8
"""Such a stability."""
LEAST_SPREAD = 0.01
LEAST_AGREEMENT = 0.5
FEWEST_ANSWERS = 10
"""Answers that the agreement is computed from, at least."""
MOST_OF_ONE_ANSWER, MOST_ECHOES, MOST_EMPTY = 0.7, 0.3, 0.2
NO_CLUSTERS = 0.1
"""Silhouette below which clusters are hardly apart."""


@dataclass(frozen=True)
class Diagnosis:
    """How well a question fits a corpus.

    Attributes:
        instruction: the question.
        dependence: how much the embeddings depend on the question: mean cosine distance between a text's vectors under
            this and under unrelated questions, the mean vector of each question taken off first; 0 if the embedder is
            deaf to questions.
        nearest: the smallest of these distances, to one unrelated question.
        spread: how much they depend on the text: mean cosine distance between two texts under this question.
        answer_entropy: of the answers, in bits; NaN, as the next four, if there are none.
        distinct_answers: number of different answers.
        top_share: share of the most frequent answer.
        empty_share: share of empty answers.
        echo_share: share of answers that only repeat words of the question.
        agreement: adjusted mutual information between the clusters and the most frequent answers, as many as there are
            clusters, without those that repeat the question: near 0 if answers and clusters say different things. NaN
            if there are fewer than ten such answers, or than two clusters.
        silhouette: of the clusters.
        stability: of the clusters, as in the result; NaN if it has none.
        warnings: what speaks against the question, in words, the notes of the result last; empty if nothing does.
    """

    instruction: str
    dependence: float
    nearest: float
    spread: float
    answer_entropy: float
    distinct_answers: float
    top_share: float
    empty_share: float
    echo_share: float
    agreement: float
    silhouette: float
    stability: float
    warnings: list[str]

    def __repr__(self) -> str:
        figures = (
            f"  depends on the question {self.dependence:.2f}, on the text {self.spread:.2f} (mean cosine distances)\n"
            f"  answers: {self.answer_entropy:.1f} bits, {self.top_share:.0%} the most frequent, "
            f"{self.empty_share:.0%} empty, {self.echo_share:.0%} words of the question\n"
            f"  clusters: silhouette {self.silhouette:.2f}, stability {self.stability:.2f}, "
            f"agreement with the answers {self.agreement:.2f}"
        )
        verdict = [f"  warning: {warning}" for warning in self.warnings] or ["  nothing speaks against this question"]
        return "\n".join([repr(self.instruction), figures, *verdict])


def diagnose(encoder: Any, result: Clustering, *, show_progress_bar: bool = False) -> Diagnosis:
    """Find out whether a question fits the texts that it was asked of.

    No warning is no proof: a wrong question whose answers happen to divide the corpus goes unnoticed.

    Args:
        encoder: what made the clustering; it encodes at most 100 of the texts under four questions.
        result: from `ask`.
        show_progress_bar: have the encoder draw its bar.
    """
    bar = {"show_progress_bar": True} if show_progress_bar else {}
    answers = Counter(answer.casefold().strip() for answer in result.answers or [] if answer is not None)
    with warnings.catch_warnings(action="ignore", category=TextsCut):  # a note of the result says it
        figures = _distances(encoder, result, bar)
    figures |= _answer_figures(answers, _question_words(result.instruction))
    figures |= {"agreement": agreement_with_answers(result), "silhouette": result.quality["silhouette"]}
    figures["stability"] = float("nan") if result.stability is None else result.stability
    return Diagnosis(result.instruction, **figures, warnings=[*_warnings(figures, answers), *result.notes])


def agreement_with_answers(result: Clustering) -> float:
    """How far the clusters, which the embeddings made, are those of the answers in words."""
    question = _question_words(result.instruction)
    said = {
        i: answer.casefold().strip()
        for i, answer in enumerate(result.answers or [])
        if answer and result.assignments[i] != NOISE and not question.issuperset(_words(answer))
    }
    frequent = {answer for answer, _ in Counter(said.values()).most_common(len(result))}
    judged = [i for i, answer in said.items() if answer in frequent]
    if len(judged) < FEWEST_ANSWERS or len(result) < 2:
        return float("nan")
    return float(adjusted_mutual_info_score(result.assignments[judged], [said[i] for i in judged]))


def _distances(encoder: Any, result: Clustering, bar: dict[str, bool]) -> dict[str, float]:
    """Dependence on the question and on the text, on a sample."""
    texts = [result.texts[i] for i in sample(len(result.texts), TEXTS_DIAGNOSED, result.seed)]
    # All anew: an embedder may look at all texts that it is given, and the result's were more.
    questions = [result.instruction, *(question for question in UNRELATED if question != result.instruction)]
    own, *others = embeddings_under(encoder, texts, questions, bar)
    unit, n = normalize(own), len(texts)
    spread = (n**2 - float((unit @ unit.T).sum())) / max(1, n * (n - 1))
    distances = [distance_between(own, other) for other in others]
    return {"dependence": float(np.mean(distances)), "nearest": min(distances), "spread": spread}


def embeddings_under(
    encoder: Any, texts: list[str], questions: Sequence[str], bar: dict[str, bool]
) -> Sequence[np.ndarray]:
    """(n, d) embeddings of the texts for each question."""
    if hasattr(encoder, "encode_many"):  # may read each text only once
        return encoder.encode_many(texts, questions, **bar)
    return [encoder.encode(texts, question, **bar) for question in questions]


def distance_between(own: np.ndarray, other: np.ndarray) -> float:
    """Mean cosine distance between a text's vectors under two questions, the mean vector of each taken off first."""
    own, other = (normalize(unit - unit.mean(axis=0)) for unit in map(normalize, (own, other)))
    return 1 - float((own * other).sum(axis=1).mean())


def _answer_figures(answers: Counter[str], question_words: set[str]) -> dict[str, float]:
    """Figures of the answers, NaN if there are none."""
    names, n = ("answer_entropy", "distinct_answers", "top_share", "empty_share", "echo_share"), answers.total()
    if not n:
        return dict.fromkeys(names, float("nan"))
    echoes = sum(times for answer, times in answers.items() if answer and question_words.issuperset(_words(answer)))
    shares = [times / n for times in (max(answers.values()), answers[""], echoes)]
    return dict(zip(names, [entropy(answers.elements()), float(len(answers)), *shares], strict=True))


def _question_words(question: str) -> set[str]:
    """Words that are no answer; "Is it good or bad?" is well answered with its own."""
    words = set(_words(question))
    return set() if "or" in words else words


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _warnings(figures: dict[str, float], answers: Counter[str]) -> list[str]:
    """Comparisons with NaN are false: what was not measured is not warned of."""
    warnings, top = [], max(answers, key=answers.__getitem__, default="")
    good = figures["silhouette"] >= WELL_APART and figures["stability"] >= WELL_KEPT
    if figures["dependence"] < LEAST_DEPENDENCE:
        warnings.append("the embeddings hardly depend on the question: this embedder doesn't listen to it")
    if figures["spread"] < LEAST_SPREAD:
        warnings.append("all texts have nearly the same embedding: there is nothing to cluster")
    if figures["empty_share"] > MOST_EMPTY:
        warnings.append(f"{figures['empty_share']:.0%} of the answers are empty: the texts may not say what was asked")
    if figures["top_share"] > MOST_OF_ONE_ANSWER and top and not good:
        warnings.append(f"{figures['top_share']:.0%} of the answers are {top!r}: the question hardly divides the texts")
    if figures["echo_share"] > MOST_ECHOES and not good:
        warnings.append(
            f"{figures['echo_share']:.0%} of the answers only repeat words of the question: the texts may not answer it"
        )
    if figures["agreement"] < LEAST_AGREEMENT:
        warnings.append(
            f"the clusters are not those of the answers (agreement {figures['agreement']:.2f}, below "
            f"{LEAST_AGREEMENT}): they may be made by something else than what was asked, and be named wrongly"
        )
    if np.isnan(figures["silhouette"]):
        warnings.append("there are not two clusters to tell apart")
    elif figures["silhouette"] < NO_CLUSTERS:
        warnings.append(
            f"the clusters are hardly apart (silhouette {figures['silhouette']:.2f}, below {NO_CLUSTERS}): the "
            "question may not divide these texts, not into so many clusters, or the encoder doesn't understand it"
        )
    if not warnings and figures["nearest"] < LEAST_DISTANCE and figures["silhouette"] < WELL_APART:
        warnings.append(
            "the texts answer it much as they answer an unrelated question: they may not say what was asked"
        )
    return warnings
