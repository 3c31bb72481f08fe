"""The piece that asks: rows of a Ray Dataset in, the same rows with vectors out."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from inbedder_utils.checks import as_path, checked_encoder, checked_questions, short, string
from inbedder_utils.registry import REGISTRY
from inbedder_utils.scale.cluster import actors
from inbedder_utils.storage.columns import arrow_column

if TYPE_CHECKING:
    from ray.data import Dataset

    from inbedder_utils.clustering import Clustering, Lens

TEXTS_AT_ONCE = 1024
"""Rows that an actor is handed at once."""


@dataclass
class Asked:
    """What is made of rows: a checkpoint, questions, and how columns are called.

    Attributes:
        checkpoint: what `load_encoder` takes; or an encoder, such as an `HttpEncoder`.
        questions: one, or several.
        column: of the texts.
        answers, clusters, lens: see `encode_dataset`.
        settings: of `load_encoder`.
    """

    checkpoint: Any = "mini"
    questions: str | Sequence[str] = ""
    column: str = "text"
    answers: bool = False
    clusters: "Clustering | None" = None
    lens: "Lens | None" = None
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        one = isinstance(self.questions, str)
        self.questions = checked_questions([self.questions] if one else self.questions, "question")
        string("column", self.column)
        if not isinstance(self.checkpoint, str | Path):
            self._check_encoder(checked_encoder(self.checkpoint))
            if self.settings:
                raise ValueError(f"settings are for a checkpoint that is loaded by name: leave out {[*self.settings]}")
            if type(self.checkpoint).__repr__ is object.__repr__:
                fix = "give its class a __repr__ that names its model"
                raise ValueError(f"{self.checkpoint!r} can't be told from others by machines and later runs: {fix}")
        elif self.checkpoint not in REGISTRY and as_path("checkpoint", self.checkpoint).exists():
            self.checkpoint = str(as_path("checkpoint", self.checkpoint).absolute())  # actors are elsewhere
        if self.clusters is not None and self.clusters.instruction not in self.questions:
            raise ValueError(f"clusters answer {self.clusters.instruction!r}: let it be one of the questions")
        if self.lens is not None and not self.lens.reliability["reliable"].all():
            raise ValueError(f"the lens is not reliable for all of its questions:\n{self.lens!r}")

    def _check_encoder(self, encoder: Any) -> Any:
        wanted = "encode_with_answers" if self.answers else "encode_many"
        if not hasattr(encoder, wanted):
            fix = "leave out answers" if self.answers else "pass one that takes several questions"
            raise ValueError(f"{encoder!r} has no {wanted}: {fix}")
        return encoder

    @property
    def vectors(self) -> list[str]:
        """The columns of vectors, one for each question."""
        return numbered("embedding", self.questions)

    def said(self) -> dict[str, Any]:
        """All of it that decides about what is written, for JSON; checkpoint and settings as they were named."""
        made = {}
        if self.clusters is not None:
            made["clusters"] = _digits(self.clusters.anchors.centres.tobytes() + repr(self.clusters.names).encode())
        if self.lens is not None:
            made["lens"] = _digits(self.lens.maps.tobytes() + repr(self.lens.questions).encode())
        return {
            "checkpoint": str(self.checkpoint),
            "settings": {name: str(value) for name, value in self.settings.items() if value is not None},
            "questions": dict(zip(self.vectors, self.questions, strict=True)),
            "column": self.column,
            "answers": self.answers,
            **dict.fromkeys(("clusters", "lens")),
            **made,
        }

    def load_encoder(self) -> Any:
        """The encoder."""
        if not isinstance(self.checkpoint, str | Path):
            return self.checkpoint
        from inbedder_utils.loading.load import load_encoder  # imports torch, which the driver does without

        return self._check_encoder(load_encoder(self.checkpoint, **self.settings))


def _digits(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


class AskRows:
    """Turns rows into the same rows with vectors; each of Ray's actors makes one, which loads its encoder once."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    @cached_property
    def encoder(self) -> Any:
        """Loaded with the first rows: of what fails there Ray keeps the error, but not of what fails before."""
        return self.asked.load_encoder()

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Add columns to rows."""
        if self.asked.column not in rows.column_names:
            raise ValueError(f"rows have no column {self.asked.column!r}, but {short(rows.column_names)}")
        cells = rows[self.asked.column].to_pylist()
        places = [i for i, cell in enumerate(cells) if isinstance(cell, str) and cell.strip()]
        columns = self._columns([cells[i] for i in places] or ["?"])  # without texts a column still has its type
        return beside(rows, {name: arrow_column(values, places, len(cells)) for name, values in columns})

    def _columns(self, texts: list[str]) -> Iterator[tuple[str, Any]]:
        asked, encoder = self.asked, self.encoder
        together = None if asked.answers else encoder.encode_many(texts, asked.questions)  # (k, n, d)
        for i, (question, answer) in enumerate(zip(asked.questions, numbered("answer", asked.questions), strict=True)):
            if asked.answers:
                vectors, answers = encoder.encode_with_answers(texts, question)
                yield answer, answers
            else:
                vectors = together[i]
            yield asked.vectors[i], vectors
            if asked.clusters is not None and question == asked.clusters.instruction:
                belongs = asked.clusters.assign(texts, embeddings=vectors)
                yield from (("cluster", belongs["name"].tolist()), ("membership", belongs["membership"].to_numpy()))
            if asked.lens is not None and not i:
                for name, seen in zip(numbered("lens", asked.lens.questions), asked.lens.questions, strict=True):
                    yield name, asked.lens.apply(vectors, seen)


def numbered(what: str, questions: Sequence[str]) -> list[str]:
    """Names of columns, one for each question."""
    return [what] if len(questions) == 1 else [f"{what}_{i + 1}" for i in range(len(questions))]


def beside(table: pa.Table, new: dict[str, pa.Array]) -> pa.Table:
    """A table with more columns; a column of its own that is called like one of them is renamed, as in `ids_first`."""
    names = table.column_names
    for i, name in enumerate(names):
        while name in new or name in names[:i]:
            name = f"{name} (input)"
        names[i] = name
    table = table.rename_columns(names)
    for name, values in new.items():
        table = table.append_column(name, values)
    return table


def encode_dataset(
    dataset: "Dataset",
    checkpoint: Any = "mini",
    questions: str | Sequence[str] = "",
    *,
    column: str = "text",
    answers: bool = False,
    clusters: "Clustering | None" = None,
    lens: "Lens | None" = None,
    num_gpus: float | None = None,
    **settings: Any,
) -> "Dataset":
    """Ask all texts of a Ray Dataset: the same rows with vectors, made as they are taken.

    Actors that each hold an encoder are started one after another, as many as the cluster has room for. Rows keep their
    columns; Ray keeps their order only if it is told to (`preserve_order`), so let there be a column of ids.

    Args:
        dataset: rows with a column of texts. Where that is null, empty or not text, the new columns are null.
        checkpoint: what `load_encoder` takes, and all machines reach; or an encoder that can be pickled.
        questions: one, or several.
        column: the column with the texts.
        answers: also answer the questions in words.
        clusters: clusters or options, from `ask` or `Clustering.load`, whose question is one of these.
        lens: from `fit_lens`, for the vectors of the first question.
        num_gpus: GPUs of an actor, such as 0.5; None for one if the cluster has any.
        **settings: of `load_encoder`.

    Returns:
        A Dataset with the columns "embedding", lists of d float32; and, if asked for, "answer", "cluster" (a name),
        "membership" (0 to 1) and "lens". Of several questions they are called "embedding_1", "embedding_2", ...

    Raises:
        TypeError, ValueError: for a question, column, checkpoint or clusters that aren't accepted; and, when rows are
            taken, with what an encoder raises.
        ImportError: if Ray is not installed.
    """
    asked = Asked(checkpoint, questions, column, answers, clusters, lens, settings)
    pool = actors(num_gpus)
    small = dataset.repartition(target_num_rows_per_block=TEXTS_AT_ONCE)  # or one actor would do all of a small corpus
    small.context.raise_original_map_exception = True
    return small.map_batches(AskRows, batch_size=TEXTS_AT_ONCE, fn_constructor_args=[asked], **pool)
