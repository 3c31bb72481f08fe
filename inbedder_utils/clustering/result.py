"""The result of asking a corpus a question: clusters to read, to judge, to draw and to keep."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from inbedder_utils.checks import clean
from inbedder_utils.clustering import save_load
from inbedder_utils.clustering.anchors import Anchors, anchors_of_clusters, memberships
from inbedder_utils.clustering.belonging import assign, mixed
from inbedder_utils.clustering.display import as_html, as_text
from inbedder_utils.clustering.explain import Explanation
from inbedder_utils.clustering.levels import Branch, merge, split, tree
from inbedder_utils.clustering.options import OTHER
from inbedder_utils.clustering.partition import NOISE, sample
from inbedder_utils.clustering.projection import project
from inbedder_utils.clustering.quality import against_labels, entropies, silhouettes, sorted_right

TEXTS_DRAWN = 2_000
NO_CLUSTER = "(no cluster)"


@dataclass(frozen=True, eq=False, repr=False)
class Clustering:
    """Texts in clusters by their answers to a question; made by `inbedder_utils.clustering.asking.ask`.

    Lone surrogates, which no table, file or page can hold, are replaced by U+FFFD in every string.

    Attributes:
        instruction: the question.
        texts: n strings.
        assignments: (n,) cluster of each text, 0 to k - 1 from the largest on; -1 for texts in no cluster.
        embeddings: (n, d) float32, as encoded, not normalized.
        answers: n answers in words, None for a text that was not asked (in large corpora only a sample is); None if
            the encoder answers nothing.
        labels: n labels to judge by, each perhaps None: such texts are not judged. None if there are no labels.
        explanations: one per cluster.
        curve: silhouette by number of clusters, if the number was chosen by it, else None.
        notes: what the reader should know about how the clusters came about.
        seed: of the clustering and of all samples.
        stability: mean adjusted Rand index between these clusters and those made anew of samples of the texts, with
            other seeds: 1 for the same each time, 0 for chance. None for an estimator's clusters, or a single one.
        index: of the pandas Series that the texts were given in, else None.
        encoder: what asked; it is neither saved nor copied.
        asked_by: what the encoder of a clustering that was loaded is known by, if it is.
        option_anchors: where the options lie, if the texts were sorted into options, else None.
    """

    instruction: str
    texts: list[str]
    assignments: np.ndarray
    embeddings: np.ndarray
    answers: list[str | None] | None = None
    labels: list[str | None] | None = None
    explanations: list[Explanation] = field(default_factory=list)
    curve: pd.Series | None = None
    notes: list[str] = field(default_factory=list)
    seed: int = 0
    stability: float | None = None
    index: pd.Index | None = None
    encoder: Any = None
    asked_by: dict[str, str] | None = None
    option_anchors: Anchors | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "instruction", clean(self.instruction))
        for name in ("texts", "answers", "labels"):
            if (strings := getattr(self, name)) is not None:
                object.__setattr__(self, name, [text if text is None else clean(text) for text in strings])

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"encoder": None}

    def __len__(self) -> int:
        return len(self.explanations)

    @property
    def names(self) -> list[str]:
        """Names of the clusters, in order."""
        return [explanation.name for explanation in self.explanations]

    @property
    def sizes(self) -> np.ndarray:
        """(k,) numbers of texts, without those in no cluster."""
        return np.bincount(self.assignments[self.assignments != NOISE], minlength=len(self))

    @cached_property
    def silhouettes(self) -> pd.Series:
        """Silhouettes (cosine, -1 to 1) by index of the text, of at most 5,000 texts that are in a cluster.

        There are none where nothing can be compared: with one cluster, or as many as texts.
        """
        return silhouettes(self.embeddings, self.assignments, self.seed)

    @cached_property
    def quality(self) -> dict[str, float]:
        """How good the clusters are.

        "silhouette" is the mean of `silhouettes`, NaN if there are none. With labels also "v_measure" and
        "adjusted_rand" (texts in no cluster counting as one more), and "entropy", that of the labels within a cluster
        in bits, averaged over the clustered texts; texts without a label are not judged. Where labels are among the
        options, also "sorted_right": the share of their texts that were sorted into the option of that name.
        """
        judged = {"silhouette": float(self.silhouettes.mean())}
        if self.labels is not None:
            judged |= against_labels(self.labels, self.assignments, self.entropies)
            judged |= {} if self.options is None else sorted_right(self.labels, self.to_frame()["name"], self.options)
        return judged

    @cached_property
    def entropies(self) -> np.ndarray:
        """(k,) entropy of each cluster's labels, in bits; a ValueError if there are no labels."""
        if self.labels is None:
            raise ValueError("these clusters have no labels to be judged by: pass labels to ask")
        return entropies(self.labels, self.assignments, len(self))

    @property
    def shown(self) -> np.ndarray:
        """Indices of the texts that a map shows: all, or a sample of 2,000."""
        return sample(len(self.texts), TEXTS_DRAWN, self.seed)

    @cached_property
    def coordinates(self) -> np.ndarray:
        """(len(shown), 2) places on a map, by t-SNE."""
        return self.project()

    def project(self, map_method: str = "tsne") -> np.ndarray:
        """(len(shown), 2) float32 places on a map; see `inbedder_utils.clustering.projection.project`."""
        return project(self.embeddings[self.shown], map_method, self.seed)

    @property
    def options(self) -> list[str] | None:
        """The names that the texts were sorted by; None for clusters, which are found."""
        return None if self.option_anchors is None else self.names

    @property
    def names_and_outside(self) -> list[str]:
        """`names`, and last what texts of cluster -1 are called, so that a cluster's number finds its name."""
        return [*self.names, NO_CLUSTER if self.option_anchors is None else OTHER]

    @cached_property
    def anchors(self) -> Anchors:
        """Where the clusters, or the options, lie among the embeddings; a ValueError if there are none."""
        if not len(self):
            raise ValueError("there are no clusters that texts could belong to: every text was left out")
        return self.option_anchors or anchors_of_clusters(self.embeddings, self.assignments)

    @cached_property
    def memberships(self) -> np.ndarray:
        """(n, k) how far each text belongs to every cluster or option, in shares that sum to 1; errors as of `anchors`.

        They go by the nearest mean, which for merged clusters and for those of an estimator may be another than the
        text's own. How far shares of options can be trusted is in data/README.md: they are off by 10 points on average.
        See `inbedder_utils.clustering.anchors.memberships`.
        """
        return memberships(self.anchors.similarities(self.embeddings))

    def mixed(self, least: float = 0.2) -> pd.DataFrame:
        """Texts that may say two things: those that belong to a second cluster or option by at least this share.

        Returns:
            A row for each, those that are most evenly divided first: text, first, first_share, second, second_share.
            Texts in no cluster, or of no option, are left out.
        """
        return mixed(self, least)

    def assign(
        self, new_texts: Sequence[str], *, embeddings: np.ndarray | None = None, show_progress_bar: bool = False
    ) -> pd.DataFrame:
        """Find the cluster, or option, of further texts, such as next month's; the clusters stay as they are.

        Args:
            new_texts: m strings.
            embeddings: (m, d) of them under this question, if they are there already: no encoder is needed then.
            show_progress_bar: have the encoder draw its bar.

        Returns:
            One row per text, with the rows of a pandas Series: text, cluster, name, similarity (to the nearest cluster:
            1 for its middle) and membership (share, 0 to 1, among all clusters). Texts that fit none have cluster -1:
            they are farther from all than 99% of the clusters' own texts are (if some cluster has two), or less like
            any option than 0.05.

        Raises:
            TypeError: if a text is not a string.
            ValueError: if there are no texts, or no clusters; if the clusters were loaded without their encoder; or if
                its vectors depend on the other texts (as those of tf-idf do).
        """
        return assign(self, new_texts, embeddings, show_progress_bar)

    def split(self, cluster: int | str, n_clusters: int | str | None = None) -> "Clustering":
        """Part a cluster, or the texts of an option, by the same question: the clusters of its texts alone.

        Args:
            cluster: its number or name.
            n_clusters: as in `ask`.

        Raises:
            ValueError: if there is no such cluster, or it has fewer texts than clusters are asked for.
        """
        return split(self, cluster, n_clusters)

    def merge(self, n_clusters: int) -> "Clustering":
        """Put clusters together that lie near each other (Ward's method, on their means), to that many.

        Raises:
            ValueError: if there are not more clusters than that, or they are options.
        """
        return merge(self, n_clusters)

    def tree(self) -> Branch:
        """All levels at once: the clusters as leaves, and above them what `merge` puts together; errors are its."""
        return tree(self)

    def to_frame(self) -> pd.DataFrame:
        """One row per text: text, cluster, name (of the cluster), answer; label, if there are labels.

        Rows are those of the Series that the texts were given in, so that `table["cluster"] = ...` fits after a filter.
        """
        table = {
            "text": self.texts,
            "cluster": self.assignments,
            "name": [self.names_and_outside[c] for c in self.assignments],
            "answer": self.answers if self.answers is not None else [None] * len(self.texts),
        }
        return pd.DataFrame(table if self.labels is None else table | {"label": self.labels}, self.index)

    def clusters(self) -> pd.DataFrame:
        """One row per cluster: name, size, words (of answers, texts, mean), typical and borderline texts; entropy."""
        words, texts = ("words", "text_words", "decoded_words"), ("typical", "borderline")
        columns = {"name": self.names, "size": self.sizes}
        columns |= {what: [", ".join(getattr(e, what)) for e in self.explanations] for what in words}
        columns |= {what: [[self.texts[i] for i in getattr(e, what)] for e in self.explanations] for what in texts}
        table = pd.DataFrame(columns).rename_axis("cluster")
        return table if self.labels is None else table.assign(entropy=self.entropies)

    def save(self, folder: str | Path) -> Path:
        """Write everything into a folder, which `load` reads; see `inbedder_utils.clustering.save_load.save`."""
        plain = {"explanations": list(map(asdict, self.explanations))}
        return save_load.save(vars(self) | plain, folder)

    @staticmethod
    def load(folder: str | Path, encoder: Any = None) -> "Clustering":
        """Read what `save` wrote, with the encoder that asked if further texts are to be assigned.

        Errors are those of `inbedder_utils.clustering.save_load.reading`.
        """
        with save_load.reading(folder, encoder) as fields:
            return Clustering(**fields | {"explanations": [Explanation(**e) for e in fields["explanations"]]})

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)
