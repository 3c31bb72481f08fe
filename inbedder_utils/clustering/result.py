"""The result of asking a corpus a question: clusters to read, to judge, to draw and to keep."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import adjusted_rand_score, silhouette_samples, v_measure_score
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from inbedder_utils.checks import clean, one_of
from inbedder_utils.clustering import save_load
from inbedder_utils.clustering.display import as_html, as_text
from inbedder_utils.clustering.explain import Explanation
from inbedder_utils.clustering.partition import NOISE, SAME_EMBEDDING, sample

TEXTS_JUDGED = 5_000
"""Texts on which a silhouette is computed, at most: its time and memory grow with their square."""
TEXTS_DRAWN = 2_000
NO_CLUSTER = "(no cluster)"


def entropy(labels: Iterable[str]) -> float:
    """How mixed labels are, in bits: 0 if all are the same, log2(k) if k of them are equally frequent."""
    shares = pd.Series(list(labels)).value_counts(normalize=True)
    return float(max(0.0, -(shares * np.log2(shares)).sum()))


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "instruction", clean(self.instruction))
        for name in ("texts", "answers", "labels"):
            if (strings := getattr(self, name)) is not None:
                object.__setattr__(self, name, [text if text is None else clean(text) for text in strings])

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
        inside = np.flatnonzero(self.assignments != NOISE)
        inside = inside[sample(len(inside), TEXTS_JUDGED, self.seed)]
        groups = self.assignments[inside]
        if not 1 < len(np.unique(groups)) < len(inside):
            return pd.Series(dtype=float)
        return pd.Series(silhouette_samples(normalize(self.embeddings[inside]), groups, metric="cosine"), inside)

    @cached_property
    def quality(self) -> dict[str, float]:
        """How good the clusters are.

        "silhouette" is the mean of `silhouettes`, NaN if there are none. With labels also "v_measure" and
        "adjusted_rand" (texts in no cluster counting as one more), and "entropy", that of the labels within a cluster
        in bits, averaged over the clustered texts; texts without a label are not judged.
        """
        judged = {"silhouette": float(self.silhouettes.mean())}
        if self.labels is not None:
            known = [i for i, label in enumerate(self.labels) if label is not None]
            labels, assignments = [self.labels[i] for i in known], self.assignments[known]
            judged["v_measure"] = float(v_measure_score(labels, assignments))
            judged["adjusted_rand"] = float(adjusted_rand_score(labels, assignments))
            weights = np.bincount(assignments[assignments != NOISE], minlength=len(self))
            judged["entropy"] = float(np.average(self.entropies, weights=weights)) if weights.any() else np.nan
        return judged

    @cached_property
    def entropies(self) -> np.ndarray:
        """(k,) entropy of each cluster's labels, in bits; a ValueError if there are no labels."""
        if self.labels is None:
            raise ValueError("these clusters have no labels to be judged by: pass labels to ask")
        labels = np.asarray(self.labels, dtype=object)
        return np.array([entropy(labels[self.assignments == c]) for c in range(len(self))])

    @property
    def shown(self) -> np.ndarray:
        """Indices of the texts that a map shows: all, or a sample of 2,000."""
        return sample(len(self.texts), TEXTS_DRAWN, self.seed)

    @cached_property
    def coordinates(self) -> np.ndarray:
        """(len(shown), 2) places on a map, by t-SNE."""
        return self.project()

    def project(self, map_method: str = "tsne") -> np.ndarray:
        """(len(shown), 2) float32 places on a map, by normalized embeddings; their unit has no meaning.

        Args:
            map_method: "tsne", "pca", or "umap" (if umap-learn is installed). Fewer than five texts are always placed
                by PCA, and texts that are all the same at one point.

        Raises:
            ValueError: for an unknown method.
            ImportError: if UMAP is asked for and not installed.
        """
        one_of("map_method", map_method, ("tsne", "pca", "umap"))
        unit, n = normalize(self.embeddings[self.shown]), len(self.shown)
        if map_method == "umap":
            try:
                from umap import UMAP
            except ImportError as error:
                raise ImportError("for a map by UMAP: pip install umap-learn; or use 'tsne' or 'pca'") from error
            return UMAP(metric="cosine", random_state=self.seed).fit_transform(unit)
        if np.ptp(unit, axis=0).max() < SAME_EMBEDDING:
            return np.zeros((n, 2), dtype=np.float32)
        if map_method == "pca" or n < 5:
            flat = PCA(min(2, unit.shape[1]), random_state=self.seed).fit_transform(unit)
            return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
        with threadpool_limits(1):  # its steps are so short that threads cost more than they save
            return TSNE(perplexity=min(30, (n - 1) / 3), init="pca", random_state=self.seed).fit_transform(unit)

    def to_frame(self) -> pd.DataFrame:
        """One row per text: text, cluster, name (of the cluster), answer; label too, if there are labels.

        Rows are those of the Series that the texts were given in, so that `table["cluster"] = ...` fits after a filter.
        """
        names = [*self.names, NO_CLUSTER]  # the last is that of cluster -1
        table = {
            "text": self.texts,
            "cluster": self.assignments,
            "name": [names[c] for c in self.assignments],
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
        return save_load.save(vars(self) | {"explanations": list(map(asdict, self.explanations))}, folder)

    @staticmethod
    def load(folder: str | Path) -> "Clustering":
        """Read what `save` wrote; see `inbedder_utils.clustering.save_load.reading`."""
        with save_load.reading(folder) as fields:
            return Clustering(**fields | {"explanations": [Explanation(**e) for e in fields["explanations"]]})

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)
