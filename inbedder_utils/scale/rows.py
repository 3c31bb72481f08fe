"""The piece that asks: rows of a Ray Dataset in, the same rows with vectors out."""

import hashlib
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from inbedder_utils.checks import as_path, checked_encoder, checked_questions, first_line, short, string
from inbedder_utils.storage.columns import arrow_column

if TYPE_CHECKING:
    from ray.data import Dataset

    from inbedder_utils.clustering import Clustering, Lens

TEXTS_AT_ONCE = 1024
"""Rows that an actor is handed at once."""
SECONDS_TO_ANSWER = 10


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
        if isinstance(self.checkpoint, str | Path):
            if as_path("checkpoint", self.checkpoint).exists():  # the actors' working folder is another
                self.checkpoint = str(as_path("checkpoint", self.checkpoint).absolute())
        else:
            checked_encoder(self.checkpoint)
        if self.clusters is not None and self.clusters.instruction not in self.questions:
            raise ValueError(f"clusters answer {self.clusters.instruction!r}: let it be one of the questions")

    @property
    def vectors(self) -> list[str]:
        """The columns of vectors, one for each question."""
        return numbered("embedding", self.questions)

    def said(self) -> dict[str, Any]:
        """All of it that decides about what is written, for JSON; checkpoint and settings as they were named."""
        made = {"clusters": self.clusters and self.clusters.anchors.centres, "lens": self.lens and self.lens.maps}
        return {
            "checkpoint": str(self.checkpoint),
            "settings": {name: str(value) for name, value in self.settings.items() if value is not None},
            "questions": dict(zip(self.vectors, self.questions, strict=True)),
            "column": self.column,
            "answers": self.answers,
            **{
                name: None if of is None else hashlib.sha256(of.tobytes()).hexdigest()[:16] for name, of in made.items()
            },
        }

    def load_encoder(self) -> Any:
        """The encoder."""
        if not isinstance(self.checkpoint, str | Path):
            return self.checkpoint
        from inbedder_utils.loading.load import load_encoder  # imports torch, which the driver does without

        return load_encoder(self.checkpoint, **self.settings)


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
        (rows,) = self.add([rows])
        return rows

    def add(self, tables: Sequence[pa.Table]) -> list[pa.Table]:
        """Add columns to each of several tables, whose texts are encoded together."""
        cells = [cell for table in tables for cell in table[self.asked.column].to_pylist()]
        places = [i for i, cell in enumerate(cells) if isinstance(cell, str) and cell.strip()]
        texts = [cells[i] for i in places]
        new = {}
        for name, values in self._columns(texts or ["?"]):  # without texts a column still has its type
            new[name] = arrow_column(values, places, len(cells))
        starts = np.cumsum([0, *map(len, tables)])
        return [
            beside(table, {name: values.slice(start, len(table)) for name, values in new.items()})
            for table, start in zip(tables, starts, strict=False)
        ]

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


def told_by(encoder: Any) -> str:
    """What tells an encoder from others."""
    if not hasattr(encoder, "checkpoint"):
        return repr(encoder)
    from inbedder_utils.storage import identity  # imports torch, which an encoder that calls a server does without

    return identity.told_by(encoder)


def beside(table: pa.Table, new: dict[str, pa.Array]) -> pa.Table:
    """A table with more columns; a column of its own that is called like one of them is renamed, as in `ids_first`."""
    table = table.rename_columns([f"{name} (input)" if name in new else name for name in table.column_names])
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
    small = dataset.repartition(target_num_rows_per_block=TEXTS_AT_ONCE)  # or one actor would do all of a small corpus
    return small.map_batches(AskRows, batch_size=TEXTS_AT_ONCE, fn_constructor_args=[asked], **actors(num_gpus))


def connect(address: str | None = None) -> None:
    """Join a Ray cluster, unless this process is in one already; what Ray logs of it goes to files.

    Args:
        address: "HOST:PORT", "auto" for the one that this machine is in, "local" for a new one of its own cores; None
            for the second if there is one, and otherwise the third.

    Raises:
        ImportError: if Ray is not installed.
        OSError: if the cluster can't be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray.data
    except ImportError as error:
        raise ImportError(f"{error}: install Ray, pip install -e '.[scale]'") from error
    if ray.is_initialized():
        return
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors come to the caller
    host, _, port = (address or "").rpartition(":")
    try:
        if host and port.isdigit():
            socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()  # Ray would try for minutes
        with _silence():
            try:
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
            except Exception as error:
                if "timed out during startup" not in str(error):
                    raise
                ray.shutdown()  # a busy machine starts it the second time, when its files have been read
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # of this very class, if it does not start the second time either
        fix = "is one running there (ray status), and has this machine its ~/.ray/auth_token?"
        raise OSError(f"no Ray cluster at {short(address)} ({first_line(error)}): {fix}") from error


@contextmanager
def _silence() -> Iterator[None]:
    """Let nothing go to stderr, to which Ray's C++ writes beside `sys.stderr`; what fails is raised all the same."""
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def actors(num_gpus: float | None) -> dict[str, Any]:
    """How Ray Data runs a class: in as many actors as there is room for, one core each (and so one thread)."""
    connect()
    import ray
    from ray.data import ActorPoolStrategy

    gpus = min(1, ray.cluster_resources().get("GPU", 0)) if num_gpus is None else num_gpus
    return {"batch_format": "pyarrow", "compute": ActorPoolStrategy(min_size=1), "num_gpus": gpus, "num_cpus": 1}
