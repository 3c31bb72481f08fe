"""A new question to a corpus whose vectors are stored: asked of a sample, and carried over to all by a linear map."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import normalize

from inbedder_utils.checks import (
    as_numbers,
    as_path,
    checked_encoder,
    checked_questions,
    checked_texts,
    one_of,
    seed_number,
)
from inbedder_utils.clustering.diagnosis import embeddings_under
from inbedder_utils.clustering.partition import checked_embeddings
from inbedder_utils.storage.files import check_file_can_be_written, replacing
from inbedder_utils.storage.identity import told_by
from inbedder_utils.storage.streams import WINDOW, checked_npy, collected

FEWEST_TEXTS, SIZES, LEAST_GROWTH = 30, (200, 400, 700, 1000), 0.01
LEAST_COSINE = 0.4
"""Held-out cosine below which a question is refused: most clusterings there lost a fifth of their V-measure or more."""
ALPHAS, FOLDS, FORMAT = np.logspace(-4, 3, 15), 5, 1
LEAST_LIKENESS, CONSISTENT, FEWEST_ROWS, ROWS_COMPARED = 0.1, 0.2, 20, 1000
"""Rows less like the sample are another embedder's, unless halves of the sample are hardly like each other."""


@dataclass(frozen=True, repr=False, eq=False)
class Lens:
    """Turns stored vectors into what an encoder would make of their texts under a question; made by `fit_lens`.

    Attributes:
        questions, asked, cosines: k questions, of how many texts they were asked, and k held-out cosines.
        maps: (k, d + 1, h) float32, from a vector of unit length to an embedding; the last row is added.
        moments, consistency: (d, d) float32, by which another embedder's vectors are told; and how surely.
        made_with: what the encoder is told by.
    """

    questions: list[str]
    asked: int
    cosines: list[float]
    maps: np.ndarray
    moments: np.ndarray
    consistency: float
    made_with: str

    @property
    def reliability(self) -> pd.DataFrame:
        """A row per question: "texts asked", "held-out cosine", and "reliable", whether that is enough for `apply`.

        The mean cosine (1: the same) is that of a text's embedding with what a map that was fitted without the text
        makes of its vector; the mean embedding, which all answers share, is taken off both.
        """
        columns = {"texts asked": self.asked, "held-out cosine": self.cosines}
        return pd.DataFrame(columns, self.questions).assign(reliable=np.array(self.cosines) >= LEAST_COSINE)

    def apply(self, vectors: Any, instruction: str | None = None, *, out: str | Path | None = None) -> np.ndarray:
        """Embed texts as their answers to a question, by their stored vectors alone.

        Args:
            vectors: (n, d) numbers, of the same embedder as those that the lens was fitted to, and of the same texts or
                others of their kind. Another embedder's are noticed in 20 rows or more, if it is no close relative.
            instruction: the question; may be left out if the lens has one.
            out: a .npy file for the embeddings, which appears when all are written. With vectors mapped from a file
                (`np.load(..., mmap_mode="r")`), a window of rows at a time is in memory.

        Returns:
            (n, h) float32, in order, close to `encoder.encode(texts, instruction)`; with `out`, mapped from the file.

        Raises:
            TypeError: if `vectors` are not numbers.
            ValueError: if the lens has no such question or is not reliable for it; or if vectors have another width,
                are another embedder's, or hold NaN or infinity.
            OSError: if `out` can't be written.
        """
        path = None if out is None else checked_npy(out)
        linear = self._reliable_map(instruction)  # (d + 1, h)
        vectors = _checked_vectors(vectors)
        n, width = vectors.shape
        if width != len(self.moments):
            raise ValueError(f"vectors are {width} wide, expected {len(self.moments)}: pass the same embedder's")
        if n >= FEWEST_ROWS and self.consistency >= CONSISTENT:
            spread_out = np.linspace(0, n - 1, min(n, ROWS_COMPARED)).astype(int)
            likeness = _likeness(self.moments, _moments(_unit(vectors, spread_out)))
            if likeness < LEAST_LIKENESS:
                unlike = f"vectors are not like those of the lens (likeness {likeness:.2f}, below {LEAST_LIKENESS})"
                raise ValueError(f"{unlike}: pass the same embedder's, or fit a lens to these")
        starts = range(0, max(1, n), WINDOW)
        return collected((_unit(vectors, slice(i, i + WINDOW)) @ linear[:-1] + linear[-1] for i in starts), n, path)

    def save(self, path: str | Path) -> Path:
        """Write the lens to a file, as a whole or not at all, and return its path; an OSError says if it can't be."""
        check_file_can_be_written(path := as_path("path", path))
        plain = {name: value for name, value in vars(self).items() if not isinstance(value, np.ndarray)}
        plain = np.frombuffer(json.dumps({"format": FORMAT} | plain).encode(), np.uint8)
        with replacing(path) as file:
            np.savez(file, maps=self.maps, moments=self.moments, plain=plain)
        return path

    @classmethod
    def load(cls, path: str | Path, encoder: Any = None) -> "Lens":
        """Read what `save` wrote; nothing in it can run code.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is damaged, no lens, or of another format; or if the lens was not made with `encoder`, if
                one is given (known by weights and settings; one that is no `Encoder`, by its repr).
        """
        if not (path := as_path("path", path)).is_file():
            raise FileNotFoundError(f"no lens in {path}: expected a file that Lens.save writes")
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            plain = json.loads(arrays.pop("plain").tobytes())
            if plain.pop("format") != FORMAT:
                raise ValueError(f"its format is not {FORMAT}")
            lens = cls(**plain, **arrays)
        except Exception as error:  # a damaged archive fails in many ways
            raise ValueError(f"the lens in {path} can't be read ({error}): save it again") from error
        if encoder is not None and lens.made_with != told_by(encoder):
            raise ValueError(f"the lens in {path} was made with another encoder: fit one with this")
        return lens

    def __repr__(self) -> str:
        widths = f"Lens from vectors {len(self.moments)} wide to embeddings {self.maps.shape[2]} wide"
        return "\n  ".join([widths, *map(self._verdict, range(len(self.questions)))])

    def _verdict(self, i: int) -> str:
        said = f"{self.questions[i]!r}: {self.asked} texts asked, held-out cosine {self.cosines[i]:.2f}, "
        poor = f"not reliable (below {LEAST_COSINE}): the vectors hold too little of it; encoder.encode asks in full"
        return said + ("reliable" if self.cosines[i] >= LEAST_COSINE else poor)

    def _reliable_map(self, instruction: str | None) -> np.ndarray:
        only = self.questions[0] if len(self.questions) == 1 else None
        i = self.questions.index(one_of("instruction", only if instruction is None else instruction, self.questions))
        if self.cosines[i] < LEAST_COSINE:
            raise ValueError(self._verdict(i))
        return self.maps[i]


def fit_lens(
    encoder: Any,
    texts: Sequence[str],
    vectors: np.ndarray,
    instructions: str | Sequence[str],
    *,
    seed: int = 0,
    show_progress_bar: bool = False,
) -> Lens:
    """Ask a sample of texts, and learn to turn stored vectors into the answers' embeddings.

    200 texts are asked, drawn with the seed, no two the same; then 400, 700 and 1,000, as long as that raises a
    question's held-out cosine by 0.01. The map is a ridge regression on vectors of unit length. It brings out what the
    vectors hold, and nothing else: where they don't hold the answers, held-out texts (each fifth of the sample in turn)
    show it, and `Lens.apply` refuses the question.

    GSTransform (Feng et al., ACL 2025) turns stored vectors to a question too, with a network trained on labels that a
    large language model makes for a sample. Here the targets are the encoder's own embeddings.

    Args:
        encoder: anything with `encode(texts, instruction)`, such as `load_encoder()`; where it has `encode_many`, a
            text is read once for all questions.
        texts: n strings, with a length and numbered: a list, an array, a column. Only the sample is looked at.
        vectors: (n, d) numbers, one row per text, by any embedder; they may be mapped from a file.
        instructions: one question, or several.
        seed: of the sample.
        show_progress_bar: have the encoder draw its bar.

    Raises:
        TypeError: if texts, vectors or questions are something else, or the encoder has no `encode`.
        ValueError: if there is not one vector per text, there are fewer than 30 different texts in the sample, a
            question is empty, the seed is out of range, or vectors or embeddings hold NaN or infinity.
    """
    checked_encoder(encoder)
    questions = checked_questions([instructions] if isinstance(instructions, str) else instructions)
    vectors = _checked_vectors(vectors)
    rows, texts = _sample(texts, len(vectors), seed_number(seed))
    stored, questions = _unit(vectors, rows), list(dict.fromkeys(questions))
    bar = {"show_progress_bar": True} if show_progress_bar else {}
    parts, before = [], None
    for start, end in pairwise((0, *SIZES)):
        parts.append(_answers(encoder, texts[start:end], questions, bar))
        answers = np.concatenate(parts, axis=1)  # (k, n, h)
        n = answers.shape[1]
        maps, cosines = map(np.array, zip(*(_fit(stored[:n], own) for own in answers), strict=True))  # cosines: (k, n)
        if n == len(texts) or (before is not None and (cosines[:, :start] - before).mean(1).max() < LEAST_GROWTH):
            break
        before = cosines
    moments, *halves = (_moments(stored[rows]) for rows in (slice(n), slice(0, n, 2), slice(1, n, 2)))
    return Lens(questions, n, cosines.mean(1).tolist(), maps, moments, _likeness(*halves), told_by(encoder))


def _sample(texts: Sequence[str], n: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Rows of as many texts as may be asked, in random order, and the texts; no two are the same."""
    if not hasattr(texts, "__getitem__") or hasattr(texts, "columns") or isinstance(texts, str | bytes | Mapping):
        raise TypeError(f"texts must be a list, got {type(texts).__name__}: pass [text], or one column of a table")
    if len(texts) != n:
        raise ValueError(f"got {n} vectors for {len(texts)} texts: pass one row for each, in the same order")
    entries, rows = getattr(texts, "iloc", texts), {}
    drawn = np.random.default_rng(seed).choice(n, min(n, SIZES[-1]), replace=False).tolist()
    for row in drawn:
        rows.setdefault(*checked_texts([entries[row]], row), row)
    if len(rows) < FEWEST_TEXTS:
        found = f"{len(rows)} different texts among {len(drawn)} that were drawn, expected {FEWEST_TEXTS} or more"
        raise ValueError(f"{found}: so few are soon asked in full, with encoder.encode")
    return np.array([*rows.values()]), [*rows]


def _answers(encoder: Any, texts: list[str], questions: list[str], bar: dict[str, bool]) -> np.ndarray:
    """Embeddings of n texts under k questions: (k, n, h) float32."""
    return np.stack([checked_embeddings(own, len(texts)) for own in embeddings_under(encoder, texts, questions, bar)])


def _fit(stored: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A map, (d + 1, h) float32, and n held-out cosines."""
    ridge = RidgeCV(ALPHAS).fit(stored, answers)
    held_out = cross_val_predict(Ridge(ridge.alpha_), stored, answers, cv=FOLDS)
    mean = answers.mean(axis=0)
    cosines = (normalize(held_out - mean) * normalize(answers - mean)).sum(axis=1)
    return np.vstack([ridge.coef_.T, ridge.intercept_]).astype(np.float32), cosines


def _checked_vectors(vectors: Any) -> np.ndarray:
    vectors = vectors if isinstance(vectors, np.ndarray) else as_numbers("vectors", vectors)  # which may copy
    if vectors.ndim != 2:
        raise ValueError(f"vectors must be (n, d), one row per text; got {vectors.shape}")
    return vectors


def _unit(vectors: np.ndarray, rows: slice | np.ndarray) -> np.ndarray:
    """Some rows of vectors, scaled to unit length: (b, d) float32."""
    chosen = as_numbers("vectors", vectors[rows])
    bad = np.flatnonzero(~np.isfinite(chosen).all(axis=1))
    if len(bad):
        row = bad[0] + rows.start if isinstance(rows, slice) else rows[bad[0]]
        raise ValueError(f"row {row} of vectors holds NaN or infinity: embed its text anew, or leave it out")
    return normalize(chosen) if len(chosen) else chosen


def _moments(unit: np.ndarray) -> np.ndarray:
    """Second moments, (d, d), of vectors of unit length; those of vectors in all directions are taken off."""
    return unit.T @ unit / len(unit) - np.eye(unit.shape[1], dtype=np.float32) / unit.shape[1]


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Cosine of two matrices of moments: about 0 for embedders that have nothing to do with each other."""
    return float((one * other).sum() / max(np.linalg.norm(one) * np.linalg.norm(other), 1e-12))
