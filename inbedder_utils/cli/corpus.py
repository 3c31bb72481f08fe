"""Texts out of the files that people have: with the columns beside them, and a word on whatever was assumed."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from inbedder_utils.checks import as_path, first_line, integer, one_of, seed_number, short, string
from inbedder_utils.cli.formats import READERS, ROWS_TRIED, Source, is_blank, is_number

TEXT_FILES = (".txt", ".csv", ".tsv", ".jsonl", ".json")
FITTING = {"encoding": TEXT_FILES, "separator": (".csv", ".tsv"), "header": (".csv", ".tsv", ".xlsx")}


@dataclass(frozen=True)
class Corpus:
    """The rows of a file.

    Attributes:
        table: all columns, a row per text; rows are numbered as an editor or a spreadsheet does, from 1 on, the line
            with the names included.
        column: the name of the one that holds the texts.
        texts: those that are not blank, in order.
        places: which rows of the table they are, from 0 on.
        notes: what was assumed, and what left out.
    """

    table: pd.DataFrame
    column: str
    texts: list[str]
    places: np.ndarray
    notes: list[str]

    @property
    def others(self) -> pd.DataFrame:
        """The columns beside the texts."""
        return self.table.drop(columns=self.column)

    def labels(self, name: str, what: str = "column with labels") -> list[str | None]:
        """A label for each text, None where a cell is blank; a ValueError if there is no such column."""
        values = self.table[one_of(what, name, self.table)].iloc[self.places]
        return [None if is_blank(value) else str(value) for value in values]


def read_corpus(
    path: str | Path,
    column: str | None = None,
    *,
    encoding: str | None = None,
    separator: str | None = None,
    header: bool | None = None,
    force_text: bool = False,
    limit: int | None = None,
    sample: int | None = None,
    seed: int = 0,
) -> Corpus:
    """Read texts, and the columns beside them, from a file.

    Args:
        path: .txt (a text per line), .csv or .tsv, .xlsx (its first sheet; needs openpyxl), .jsonl or .json (an object
            or a string per line, a list of them, or any layout of pandas), or .parquet; .gz may follow.
        column: with the texts. None for the only one, the one called "text", or one that is far longer than all others.
        encoding: None tries UTF-8 and cp1252.
        separator: of cells; None finds out which of comma, semicolon, tab and pipe it is.
        header: whether the first line names the columns; None finds out.
        force_text: take numbers for texts.
        limit: read so many rows, the first ones.
        sample: of these, take so many at random.
        seed: of the sample.

    Raises:
        OSError: if the file is not there, or may not be read.
        ImportError: if openpyxl is needed and missing.
        TypeError: if an argument is something else, or the column holds no text.
        ValueError: if the file or its type can't be read, has no texts or no such column.
    """
    path, seed = _existing(path), seed_number(seed)
    for name, value in {"column": column, "encoding": encoding}.items():
        if value is not None:
            string(name, value)
    for name, value in {"header": header if header is not None else False, "force_text": force_text}.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False, got {short(value)}")
    kind = one_of(f"file type of {path}", Path(path.name.lower().removesuffix(".gz")).suffix, READERS)
    for name, value in {"encoding": encoding, "separator": separator, "header": header}.items():
        if value is not None and kind not in FITTING[name]:
            raise ValueError(f"{kind} files have no {name} to choose: leave out --{name}")
    if separator is not None:
        separator = "\t" if isinstance(separator, str) and separator in ("\\t", "tab") else separator
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"the separator must be one character, or tab, got {short(separator)}")
    source = Source(path, _content(path), column, encoding, separator, header)
    table = READERS[kind](source)
    if table.empty:
        raise ValueError(f"{path} is empty: expected at least one text")
    chosen = _chosen_column(source, table)
    table = table.iloc[: None if limit is None else integer("limit", limit, at_least=1)]
    if sample is not None:
        n = min(len(table), integer("sample", sample, at_least=1))
        table = table.iloc[np.sort(np.random.default_rng(seed).choice(len(table), n, replace=False))]
    return _corpus(source, table, chosen, force_text)


def _existing(path: str | Path) -> Path:
    path = as_path("path", path)
    if not path.is_file():
        kind = "is a folder, not a file" if path.is_dir() else f"does not exist (looked in {path.absolute().parent})"
        raise FileNotFoundError(f"{path} {kind}")
    return path


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    try:
        return gzip.decompress(content) if path.name.lower().endswith(".gz") else content
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} can't be unpacked ({first_line(error)}): is the file complete?") from error


def _chosen_column(source: Source, table: pd.DataFrame) -> str:
    names, path = list(table), source.path
    named = [name for name in names if name]  # tables saved with their index have one without a name
    chosen = source.column or ("text" if "text" in named else named[0] if len(named) == 1 else None)
    if chosen is None:
        cells = {name: table[name].head(ROWS_TRIED) for name in named}
        lengths = {name: sum(len(cell) for cell in column if isinstance(cell, str)) for name, column in cells.items()}
        *_, second, longest = sorted([0, *lengths.values()])
        if longest <= 2 * second:
            listed = ", ".join(named) or "none with a name"
            raise ValueError(f"{path} has no column called 'text'; choose one with column (--column): {listed}")
        chosen = max(lengths, key=lengths.__getitem__)
        source.notes.append(f"the texts are those of column {chosen!r}, the longest: --column for another")
    return one_of(f"column of {path}", chosen, names)


def _corpus(source: Source, table: pd.DataFrame, column: str, force_text: bool) -> Corpus:
    cells = dict(zip(table.index, table[column], strict=True))
    blank = np.array([is_blank(cell) for cell in cells.values()])
    where = f"column {column!r} of {source.path}"
    if blank.all():
        raise ValueError(f"all {len(cells)} texts in {where} are blank: choose another column")
    if blank.any():
        rows = [str(row) for row, is_left_out in zip(cells, blank, strict=True) if is_left_out]
        which = ", ".join(rows[:5]) + ", ..." * (len(rows) > 5)
        source.notes.append(f"{len(rows)} of {len(cells)} texts are blank (row {which}) and left out; their rows stay")
    filled = {row: cell for (row, cell), is_left_out in zip(cells.items(), blank, strict=True) if not is_left_out}
    for row, cell in filled.items():
        if isinstance(cell, bytes | list | dict):
            raise TypeError(f"row {row} of {where} is a {type(cell).__name__}, not text: choose another column")
    if not force_text and not any(isinstance(cell, str) and not is_number(cell) for cell in filled.values()):
        first = short(next(iter(filled.values())))
        raise TypeError(f"{where} holds no text (such as {first}): choose another column, or pass --force-text")
    return Corpus(table, column, list(map(str, filled.values())), np.flatnonzero(~blank), source.notes)
