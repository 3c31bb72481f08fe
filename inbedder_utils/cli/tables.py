"""Vectors into files, with the texts and the columns beside them."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from inbedder_utils.checks import as_numbers, as_path, checked_texts, one_of
from inbedder_utils.storage.columns import arrow_column, ids_first
from inbedder_utils.storage.files import check_file_can_be_written, replacing


def check_output(path: str | Path) -> Path:
    """Return the path if vectors can be written there: else an OSError, or a ValueError if it is no such file type."""
    path = as_path("path", path)
    one_of(f"output type of {path}", path.suffix.lower(), WRITERS)
    check_file_can_be_written(path)
    return path


def output_files(path: str | Path, answers: bool) -> list[Path]:
    """The files that vectors go to: one, and a second for the answers if the first has no room for them."""
    path = as_path("path", path)
    return [path, path.with_suffix(".answers.csv")] if answers and path.suffix.lower() == ".npy" else [path]


def write_vectors(
    path: str | Path,
    vectors: np.ndarray,
    texts: Sequence[str],
    answers: Sequence[str] | None = None,
    *,
    others: pd.DataFrame | None = None,
    places: Sequence[int] | None = None,
) -> list[Path]:
    """Write (n, d) vectors with their n texts, and n answers if there are any, in whole or not at all.

    The file is .npy (the float32 array, with the answers in a file beside it), .parquet (columns text, answer,
    embedding: a list of d float32), or .csv (columns text, answer, e0, e1 ...); the files written are returned. In
    tables the columns of `others`, of N >= n rows, are kept, and those that tell every row apart come first. `places`
    are the rows that the texts are from, None for all; the remaining ones are NaN or empty. Lone surrogates, which no
    file can hold, become U+FFFD. Errors are those of `check_output`, a ValueError for numbers of vectors, texts and
    answers that differ, and a TypeError for vectors that are not numbers or texts not strings.
    """
    path, vectors = check_output(path), as_numbers("vectors", vectors)
    texts = checked_texts(texts)
    answers = None if answers is None else checked_texts(answers, what="answers")
    if vectors.ndim != 2 or len(vectors) != len(texts) or (answers is not None and len(answers) != len(texts)):
        given = f"{len(texts)} texts" + ("" if answers is None else f" and {len(answers)} answers")
        raise ValueError(f"vectors must be (n, d), with a text (and an answer) for each: got {vectors.shape}, {given}")
    own = pd.DataFrame({"text": texts} | ({} if answers is None else {"answer": answers}), dtype=object)
    taken = ("embedding", *(f"e{i}" for i in range(vectors.shape[1])))
    table = ids_first(own, others, places, taken)
    if len(table) > len(vectors):
        spread = np.full((len(table), vectors.shape[1]), np.nan, np.float32)
        spread[places] = vectors
        vectors = spread
    written = output_files(path, answers is not None)
    with ExitStack() as files:  # moved into place together, at the end
        for beside in written[1:]:
            _write_csv(files.enter_context(replacing(beside)), vectors[:, :0], table)
        WRITERS[path.suffix.lower()](files.enter_context(replacing(path)), vectors, table)
    return written


def _write_npy(file: BinaryIO, vectors: np.ndarray, table: pd.DataFrame) -> None:
    np.save(file, vectors, allow_pickle=False)


def _write_parquet(file: BinaryIO, vectors: np.ndarray, table: pd.DataFrame) -> None:
    columns = {name: _arrow(table[name]) for name in table}
    there = np.flatnonzero(~np.isnan(vectors).any(axis=1))
    embedding = arrow_column(vectors[there], there, len(vectors))
    pq.write_table(pa.table(columns | {"embedding": embedding}), file)


def _arrow(values: pd.Series) -> pa.Array:
    """A column as it is, or as text if its cells are of different kinds."""
    try:
        return arrow_column(values)
    except (pa.ArrowException, OverflowError):
        return pa.array(values.map(str, na_action="ignore"), from_pandas=True)


def _write_csv(file: BinaryIO, vectors: np.ndarray, table: pd.DataFrame) -> None:
    numbers = pd.DataFrame(vectors, columns=[f"e{i}" for i in range(vectors.shape[1])])
    # Line ends as in RFC 4180: with "\n", Python before 3.13 leaves a text with a lone "\r" unquoted.
    pd.concat([table, numbers], axis=1).to_csv(file, index=False, lineterminator="\r\n", encoding="utf-8")


WRITERS = {".npy": _write_npy, ".parquet": _write_parquet, ".csv": _write_csv}
