"""Texts out of files and vectors into files, for people who don't write Python."""

import csv
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from inbedder_utils.checks import as_numbers, as_path, checked_texts, clean, first_line, one_of, string
from inbedder_utils.storage.files import check_file_can_be_written, replacing

Values = dict[int, Any]
"""{row: value}, numbered as an editor or a spreadsheet does: from 1, a header line included."""


def read_texts(path: str | Path, column: str | None = None) -> list[str]:
    """Read texts from a file: a string per row, in order.

    It is .txt (a text per line; a blank line is an empty text), .csv or .tsv (the first line names the columns; a .csv
    may also be separated by semicolons), .jsonl or .json (an object per line, or one list of objects), or .parquet. The
    column with the texts may be left out if there is one only, or one called "text". An OSError says that the file is
    not there or may not be read; a TypeError that the column holds something else than text; a ValueError that the file
    or its type can't be read, has no rows or no such column, or that texts are missing.
    """
    path = as_path("path", path)
    if column is not None:
        string("column", column)
    if not path.is_file():
        kind = "is a folder, not a file" if path.is_dir() else f"does not exist (looked in {path.absolute().parent})"
        raise FileNotFoundError(f"{path} {kind}")
    read = READERS[one_of(f"file type of {path}", path.suffix.lower(), READERS)]
    try:
        column, values = read(path, column)
    except UnicodeDecodeError as error:
        fix = "save it again as UTF-8 (in Excel, as 'CSV UTF-8')"
        raise ValueError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): {fix}") from error
    if not values:
        raise ValueError(f"{path} is empty: expected at least one text")
    missing = [row for row, value in values.items() if value is None or value != value]  # NaN is not itself
    if missing:
        rows = ", ".join(map(str, missing[:5])) + ", ..." * (len(missing) > 5)
        what = f"{len(missing)} of {len(values)} texts are missing in column {column!r} of {path} (row {rows})"
        raise ValueError(f"{what}: fill them in, or delete those rows")
    for row, value in values.items():
        if not isinstance(value, str):
            what = f"row {row} of column {column!r} in {path} is a {type(value).__name__}, not text"
            raise TypeError(f"{what}: choose another column, or store its values as text")
    return list(values.values())


def _chosen_column(path: Path, names: Sequence[str], column: str | None) -> str:
    named = [name for name in names if name]  # tables saved with their index have one without a name
    if column is None and "text" not in named and len(named) != 1:
        listed = ", ".join(named) or "none with a name"
        raise ValueError(f"{path} has no column called 'text'; choose one with column (--column): {listed}")
    chosen = column if column is not None else "text" if "text" in named else named[0]
    if names.count(one_of(f"column of {path}", chosen, names)) > 1:
        raise ValueError(f"{path} has {names.count(chosen)} columns called {chosen!r}: rename all but one")
    return chosen


def _read_txt(path: Path, column: str | None) -> tuple[str, Values]:
    if column is not None:
        raise ValueError(f"{path} is plain text, without columns: leave out column ({column!r})")
    content = path.read_text(encoding="utf-8-sig")
    # Not splitlines(), for which U+2028 and other characters inside a text would end a line too.
    return "", dict(enumerate(content.removesuffix("\n").split("\n"), 1)) if content else {}


# CSV and JSON are not read by pandas, which takes rows that are too short for rows with empty cells, or can't name the
# line that it can't read; drops lone surrogates; and fails for a long number in another column.
def _read_csv(path: Path, column: str | None) -> tuple[str, Values]:
    csv.field_size_limit(2**31 - 1)  # a text may be a whole book: the module itself stops at 131,072 characters
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline()
        file.seek(0)
        # Excel separates by semicolons wherever the comma is the decimal mark.
        separator = "\t" if path.suffix.lower() == ".tsv" else next((s for s in ",;\t" if s in header), ",")
        reader = csv.reader(file, delimiter=separator, strict=True)
        try:
            table = list(reader)
        except csv.Error as error:
            hint = "inside a quoted text, quotes are doubled"
            raise ValueError(f"{path} can't be read, line {reader.line_num}: {error}; {hint}") from error
    while table and not any(table[-1]) and table[-1] != [""]:
        table.pop()  # blank lines at the end, and the empty rows that spreadsheets add
    if len(table) < 2:
        return "", {}
    names, rows = table[0], dict(enumerate(table[1:], 2))
    name = _chosen_column(path, names, column)
    for row, cells in rows.items():
        if cells and len(cells) != len(names):
            what = f"row {row} of {path} has {len(cells)} cells, but the first line names {len(names)} columns"
            raise ValueError(f"{what}: put texts that hold {separator!r} or line breaks in double quotes")
    place = names.index(name)
    return name, {row: cells[place] or None if cells else None for row, cells in rows.items()}


def _read_json(path: Path, column: str | None) -> tuple[str, Values]:
    content = path.read_text(encoding="utf-8-sig")
    is_list = content.lstrip().startswith("[")
    records: Values = {}
    for line, written in enumerate([content] if is_list else content.split("\n"), 1):
        try:
            records |= {line: json.loads(written)} if written.strip() else {}
        except json.JSONDecodeError as error:
            place = f"line {line + error.lineno - 1}, column {error.colno}"
            raise ValueError(f"{path} can't be read, {place}: {error.msg}; expected a JSON object per line") from error
    if is_list:
        records = dict(enumerate(records[1], 1))
    for row, record in records.items():
        if not isinstance(record, dict):
            wanted = 'expected an object, such as {"text": "..."}'
            raise ValueError(f"row {row} of {path} is a {type(record).__name__}: {wanted}")
    if not records:
        return "", {}
    name = _chosen_column(path, list(dict.fromkeys(key for record in records.values() for key in record)), column)
    return name, {row: record.get(name) for row, record in records.items()}


def _read_parquet(path: Path, column: str | None) -> tuple[str, Values]:
    try:
        with pq.ParquetFile(path) as file:
            name = _chosen_column(path, file.schema_arrow.names, column)
            return name, dict(enumerate(file.read(columns=[name])[name].to_pylist(), 1))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} can't be read as Parquet: {first_line(error)}; is the file complete?") from error


READERS = {".txt": _read_txt, ".csv": _read_csv, ".tsv": _read_csv}
READERS |= {".jsonl": _read_json, ".json": _read_json, ".parquet": _read_parquet}


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
    path: str | Path, vectors: np.ndarray, texts: Sequence[str], answers: Sequence[str] | None = None
) -> list[Path]:
    """Write (n, d) vectors with their n texts, and n answers if there are any, in whole or not at all.

    The file is .npy (the float32 array, with the answers in a file beside it), .parquet (columns text, answer,
    embedding: a list of d float32), or .csv (columns text, answer, e0, e1 ...); the files written are returned. Lone
    surrogates, which no file can hold, become U+FFFD. Errors are those of `check_output`, a ValueError for numbers of
    vectors, texts and answers that differ, and a TypeError for vectors that are not numbers or texts not strings.
    """
    path, vectors = check_output(path), as_numbers("vectors", vectors)
    texts = checked_texts(texts)
    answers = None if answers is None else checked_texts(answers, what="answers")
    if vectors.ndim != 2 or len(vectors) != len(texts) or (answers is not None and len(answers) != len(texts)):
        given = f"{len(texts)} texts" + ("" if answers is None else f" and {len(answers)} answers")
        raise ValueError(f"vectors must be (n, d), with a text (and an answer) for each: got {vectors.shape}, {given}")
    columns = {"text": list(map(clean, texts))} | ({} if answers is None else {"answer": list(map(clean, answers))})
    written = output_files(path, answers is not None)
    with ExitStack() as files:  # moved into place together, at the end
        for beside in written[1:]:
            _write_csv(files.enter_context(replacing(beside)), vectors[:, :0], columns)
        WRITERS[path.suffix.lower()](files.enter_context(replacing(path)), vectors, columns)
    return written


def _write_npy(file: BinaryIO, vectors: np.ndarray, columns: dict[str, list[str]]) -> None:
    np.save(file, vectors, allow_pickle=False)


def _write_parquet(file: BinaryIO, vectors: np.ndarray, columns: dict[str, list[str]]) -> None:
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    embedding = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    pq.write_table(table.append_column("embedding", embedding), file)


def _write_csv(file: BinaryIO, vectors: np.ndarray, columns: dict[str, list[str]]) -> None:
    numbers = pd.DataFrame(vectors, columns=[f"e{i}" for i in range(vectors.shape[1])])
    table = pd.concat([pd.DataFrame(columns), numbers], axis=1)
    # Line ends as in RFC 4180: with "\n", Python before 3.13 leaves a text with a lone "\r" unquoted.
    table.to_csv(file, index=False, lineterminator="\r\n", encoding="utf-8")


WRITERS = {".npy": _write_npy, ".parquet": _write_parquet, ".csv": _write_csv}
