"""Which of several wordings of a question suits a corpus best?"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.preprocessing import normalize

from inbedder_utils.checks import TextsCut, checked_encoder, checked_questions, checked_texts, seed_number
from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.diagnosis import UNRELATED, agreement_with_answers, distance_between, embeddings_under
from inbedder_utils.clustering.display import in_one_line
from inbedder_utils.clustering.kept import remembering
from inbedder_utils.clustering.partition import numbers_to_try, sample
from inbedder_utils.clustering.relations import SAME_QUESTION, relate
from inbedder_utils.clustering.result import Clustering

TEXTS_COMPARED = 200
NEUTRAL = ("What is this about?", "Summarize the text.", "Repeat the text.")
"""Questions that ask for nothing in particular; what they give is the topic of the text."""
LEAST_FROM_UNRELATED, LEAST_FROM_NEUTRAL = 0.25, 0.12
"""Mean cosine distances below which a wording is answered much as such a question."""
MOST_NAMED, NEARLY_AS_GOOD = 3, 0.75
"""So many wordings are named best, if their scores are at least that share of the highest."""
LEAST_SCORE = 0.001
"""Below, there is but rounding in it."""


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """How well several wordings of a question suit a corpus; made by `compare_wordings`.

    Attributes:
        table: one row per wording, best first; its columns:

            - score: 0 to 1; mean, over all wordings and itself, of their clearness times their likeness to this one,
              which is the correlation (below 0: 0) of the cosines between texts under both.
            - clearness: mean of answered and heard, or heard alone where the encoder answers nothing; 0 to 1, and 0
              without two clusters.
            - agreement: mean adjusted mutual information with the clusters of the other wordings.
            - silhouette, stability: of the clusters; NaN if there are not two.
            - answered: how far the clusters are those of the answers in words, NaN if hardly any were given.
            - heard: mean cosine distance to the vectors under the nearest unrelated question, as in `diagnose`.
            - like: the unrelated or neutral question that the wording is answered much as, "" if there is none.
            - deaf: whether there is one; a question for the topic is like a neutral one, and rightly so.
        agreement: adjusted mutual information, wordings by wordings, best first; see `relate`.
        results: {wording: its clusters}, as given.
    """

    table: pd.DataFrame
    agreement: pd.DataFrame
    results: dict[str, Clustering]

    @property
    def best(self) -> list[str]:
        """Up to three wordings, those with nearly the highest score; none if all scores are about 0."""
        scores = self.table["score"].head(MOST_NAMED)
        return scores.index[(scores >= LEAST_SCORE) & (scores >= NEARLY_AS_GOOD * scores.max())].tolist()

    def in_words(self) -> list[str]:
        """Say which wordings are best, how many divide the texts as the best does, and which are deaf to what."""
        if not self.best:
            return ["No wording is best: there are not two clusters, or the encoder hears none of the wordings."]
        first, others = self.best[0], len(self.table) - 1
        alike = int((self.agreement[first].drop(first) > SAME_QUESTION).sum())
        said = [
            f"Best: {', '.join(map(repr, self.best))}.",
            f"{alike} of the {others} other wordings divide the texts much as {first!r} does.",
        ]
        for wording, like in self.table.loc[self.table["deaf"], "like"].items():
            yields = "the topic of the text" if like in NEUTRAL else "something else than what was asked"
            said.append(f"{wording!r} is hardly heard: it is answered much as {like!r}, and may yield {yields}.")
        return said

    def __repr__(self) -> str:
        shown = self.table.rename(index=lambda wording: in_one_line(wording, 60)).round(2)
        return "\n".join([shown.to_string(), *self.in_words()])


def compare_wordings(
    encoder: Any,
    texts: Iterable[str],
    wordings: Sequence[str],
    n_clusters: int | str | None = None,
    *,
    seed: int = 0,
    show_progress_bar: bool = False,
) -> Comparison:
    """Find out which wordings of a question suit a corpus best, and which the encoder doesn't hear.

    A wording is good if its clusters are those of its answers in words, if its embeddings are not those of an unrelated
    question, and if other such wordings see the texts alike. Silhouette and stability are told, but say little of it: a
    wrong question may divide the texts well. Nor does any figure tell what was meant: of two clear questions that ask
    for different things, that which more wordings second is preferred.

    Args:
        encoder: as for `ask`; one with `remembering` reads each text once for all wordings, where it can.
        texts: n strings; of more than 200, so many are drawn, and each result's `index` says which.
        wordings: two or more, no two alike.
        n_clusters: as for `ask`; the same for all wordings, or chosen for each.
        seed: of the sample and the clusterings.
        show_progress_bar: have the encoder draw its bars.

    Raises:
        TypeError: if a text or a wording is not a string, or the encoder has no `encode`.
        ValueError: if there are no texts, fewer texts than clusters, fewer than two wordings, an empty one, or one
            twice; or if the seed is out of range.
    """
    encoder, wordings = checked_encoder(encoder), _checked_wordings(wordings)
    index = texts.index if isinstance(texts, pd.Series) else None
    corpus = pd.Series(checked_texts(texts), index, dtype=object)
    corpus = corpus.iloc[sample(len(corpus), TEXTS_COMPARED, seed_number(seed))]
    numbers_to_try(len(corpus), n_clusters)
    given, encoder = encoder, remembering(encoder)
    bar = {"show_progress_bar": True} if show_progress_bar else {}
    results = {
        wording: replace(ask(encoder, corpus, wording, n_clusters, seed=seed, **bar), encoder=given)
        for wording in wordings
    }
    with warnings.catch_warnings(action="ignore", category=TextsCut):  # notes of the results say it
        questions = [*UNRELATED, *NEUTRAL]
        others = dict(zip(questions, embeddings_under(encoder, corpus.tolist(), questions, bar), strict=True))
    agreement = relate([*results.values()]).set_axis(wordings).set_axis(wordings, axis=1)
    table = _table(results, others)
    table.insert(2, "agreement", (agreement.sum() - 1) / (len(wordings) - 1))
    table = table.sort_values("score", ascending=False, kind="stable")
    return Comparison(table, agreement.loc[table.index, table.index], results)


def _checked_wordings(wordings: Any) -> list[str]:
    wordings = checked_questions(wordings, "wording")
    if len(wordings) < 2:
        raise ValueError(f"got {len(wordings)} wording: pass two or more to compare")
    twice = [wording for i, wording in enumerate(wordings) if wording in wordings[:i]]
    if twice:
        raise ValueError(f"the wording {twice[0]!r} is given twice: leave one out")
    return wordings


def _table(results: dict[str, Clustering], others: dict[str, np.ndarray]) -> pd.DataFrame:
    """All columns but the agreement; `others` are embeddings under unrelated and neutral questions."""
    table = pd.DataFrame.from_dict({w: _figures(result, others) for w, result in results.items()}, orient="index")
    signs = ["answered", "heard"] if any(result.answers for result in results.values()) else ["heard"]
    clearness = table[signs].fillna(0).clip(0, 1).mean(axis=1).where(table["silhouette"].notna(), 0)
    table.insert(0, "score", scores(clearness.to_numpy(), likeness([*results.values()])))
    table.insert(1, "clearness", clearness)
    return table


def _figures(result: Clustering, others: dict[str, np.ndarray]) -> dict[str, Any]:
    """What is measured of one wording."""
    distances = {
        question: distance_between(result.embeddings, embeddings)
        for question, embeddings in others.items()
        if question != result.instruction
    }
    limits = dict.fromkeys(UNRELATED, LEAST_FROM_UNRELATED) | dict.fromkeys(NEUTRAL, LEAST_FROM_NEUTRAL)
    nearest = min(distances, key=lambda question: distances[question] / limits[question])
    deaf = distances[nearest] < limits[nearest]
    return {
        "silhouette": result.quality["silhouette"],
        "stability": float("nan") if result.stability is None else result.stability,
        "answered": agreement_with_answers(result),
        "heard": min(distances[question] for question in UNRELATED if question in distances),
        "like": nearest if deaf else "",
        "deaf": deaf,
    }


def likeness(results: Sequence[Clustering]) -> np.ndarray:
    """How far the texts are alike in the same way under each two of k wordings, (k, k), 0 to 1.

    This is the correlation of the cosines between texts, the mean vector taken off first; 0 where it is below. It tells
    more than the agreement of clusters, whose number may differ.
    """
    cosines = []
    for result in results:
        unit = normalize(result.embeddings)
        unit = normalize(unit - unit.mean(axis=0))
        between = unit @ unit.T
        np.fill_diagonal(between, 0)
        cosines.append(between.ravel() - between.mean())
    correlations = normalize(cosines) @ normalize(cosines).T  # (k, k)
    return correlations.clip(0, 1)


def scores(clearness: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Scores of k wordings, (k,): each wording votes for those that are like it, by as much as it is clear itself."""
    return alike @ clearness / len(clearness)
