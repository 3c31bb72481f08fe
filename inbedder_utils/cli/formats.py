"""Tables out of text, CSV, Excel, JSON and Parquet files, as they were written.

CSV and JSON are not read by pandas, which takes rows that are too short for rows with empty cells, or can't name the
line that it can't read; drops lone surrogates; and fails for a long number in another column.
"""

import codecs
import csv
import io
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from inbedder_utils.checks import first_line

ENCODINGS = ("utf-8-sig", "cp1252")
SEPARATORS = ",;\t|"
ROWS_TRIED = 1_000
"""Rows by which a separator, a line of names and a column of texts are told."""
LEAST_REPEATED = 0.05  # share of a column's cells from which its first cell is one of them, and no name
END = "\0the end"
Rows = dict[int, list[Any]]


@dataclass(frozen=True)
class Source:
    """A file to read: what the user said about it, and what is to be told (`notes`)."""

    path: Path
    content: bytes
    column: str | None
    encoding: str | None
    separator: str | None
    header: bool | None
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The content in the encoding that was named, or in the first that fits; a ValueError if none does."""
        wide = self.content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        tried = (self.encoding,) if self.encoding else ("utf-16",) if wide else ENCODINGS
        for name in tried:
            try:
                text = self.content.decode(name)
            except UnicodeDecodeError as error:
                cause = error
                continue
            except (LookupError, ValueError) as error:
                raise ValueError(f"unknown encoding {name!r}: expected one that Python has, such as cp1252") from error
            if not self.encoding and name == "cp1252":
                self.notes.append(f"{self.path} is not UTF-8: read as cp1252 (--encoding, if letters are wrong)")
            return text.removeprefix("\ufeff")
        what = f"{self.path} is not text in {' or '.join(tried)} ({cause.reason} at byte {cause.start})"
        raise ValueError(f"{what}: name its --encoding, such as mac-roman, shift-jis or gb18030") from cause


def is_blank(value: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, or white space only."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())  # NaN is not itself


def is_number(value: Any) -> bool:
    """Whether a cell can be read as a number."""
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _read_txt(source: Source) -> pd.DataFrame:
    if source.column is not None:
        raise ValueError(f"{source.path} is plain text, without columns: leave out column ({source.column!r})")
    # Not splitlines(), for which U+2028 and other characters inside a text would end a line too.
    content = source.text().replace("\r\n", "\n").removesuffix("\n")
    return _frame({i: [line] for i, line in enumerate(content.split("\n"), 1)} if content else {}, ["text"])


def _read_csv(source: Source) -> pd.DataFrame:
    csv.field_size_limit(2**31 - 1)  # a text may be a whole book: the module itself stops at 131,072 characters
    content, tabs = source.text(), ".tsv" in source.path.suffixes
    separator = source.separator or ("\t" if tabs else _separator(source.path, content))
    if separator == "\t":  # such files often have quotes that are no more than quotes
        plain = _split(source.path, content, separator, csv.QUOTE_NONE)
        opened = any(cell[:1] == '"' and cell[-1] != '"' for cells in plain.values() for cell in cells)
        if opened and len({len(cells) for cells in plain.values() if cells}) == 1:
            source.notes.append(f"{source.path} has quotes that are not closed: all are read as part of the text")
            return _table(source, plain, separator)
    return _table(source, _split(source.path, content, separator, csv.QUOTE_MINIMAL), separator)


def _separator(path: Path, content: str) -> str:
    """The one by which most rows have as many cells as the first; of several such, the one that makes most cells."""

    def fit(separator: str) -> tuple[float, int]:
        counts = [
            len(cells) for cells in _split(path, content, separator, csv.QUOTE_MINIMAL, ROWS_TRIED).values() if cells
        ]
        first = counts[0] if counts else 0
        return (counts.count(first) / len(counts), first) if first > 1 else (0, 0)

    return max(SEPARATORS, key=fit)


def _split(path: Path, content: str, separator: str, quoting: int, at_most: int | None = None) -> Rows:
    """Rows of cells, numbered from 1; a ValueError if a quote that opens a cell is never closed."""
    lines = io.StringIO(content, newline="")
    reader = csv.reader([*lines, END] if at_most is None else lines, delimiter=separator, quoting=quoting)
    rows: Rows = {}
    for cells in reader:
        if cells == [END]:
            return rows
        rows[len(rows) + 1] = cells
        if len(rows) == at_most:
            return rows
    if at_most is None:
        raise ValueError(f"{path} can't be read, line {reader.line_num - 1}: a text in quotes never ends")
    return rows


def _table(source: Source, rows: Rows, separator: str | None = None) -> pd.DataFrame:
    """Tell names from texts, and hold rows to as many cells; those of no separator, of a spreadsheet, are filled up."""
    while rows and all(map(is_blank, rows[max(rows)])) and rows[max(rows)] != [""]:
        del rows[max(rows)]  # blank lines at the end, and the empty rows that spreadsheets add
    while rows and separator is None and all(map(is_blank, rows[min(rows)])):
        del rows[min(rows)]
    if not rows:
        return pd.DataFrame()
    if separator is None:
        width = max(i for cells in rows.values() for i, cell in enumerate(cells, 1) if not is_blank(cell))
        rows = {row: (cells + [None] * width)[:width] for row, cells in rows.items()}
    first = rows[min(rows)]
    if _names_columns(source, rows) if source.header is None else source.header:
        names = ["" if is_blank(name) else str(name) for name in rows.pop(min(rows))]
    else:
        names = [str(i) for i in range(1, len(first) + 1)]
        if source.header is None:
            note = f"the first line of {source.path} is not one of names: columns are called 1 to {len(names)}"
            source.notes.append(f"{note} (--header, if it is)")
    for row, cells in rows.items():
        if all(map(is_blank, cells[len(names) :])):
            del cells[len(names) :]
        if cells and len(cells) != len(names):
            what = f"row {row} of {source.path} has {len(cells)} cells, but the first line has {len(names)}"
            raise ValueError(f"{what}: put texts that hold {separator!r} or line breaks in double quotes")
    chosen = source.column or "text"
    if names.count(chosen) > 1:
        raise ValueError(f"{source.path} has {names.count(chosen)} columns called {chosen!r}: rename all but one")
    return _frame({row: cells or [None] * len(names) for row, cells in rows.items()}, names)


def _names_columns(source: Source, rows: Rows) -> bool:
    """Whether the first row has the columns' names: no number above numbers, and no value that its column repeats."""
    first, *others = list(rows.values())[:ROWS_TRIED]
    if source.column in first:
        return True
    for i, name in enumerate(first):
        values = [cells[i] for cells in others if i < len(cells) and not is_blank(cells[i])]
        if is_blank(name) or not values:
            continue
        if (is_number(name) and all(map(is_number, values))) or values.count(name) > LEAST_REPEATED * len(values):
            return False
    return True


def _frame(rows: Rows, names: list[str]) -> pd.DataFrame:
    times: Counter[str] = Counter()
    for i, name in enumerate(names):
        names[i], times[name] = f"{name}.{times[name]}" if times[name] else name, times[name] + 1
    return pd.DataFrame(list(rows.values()), index=list(rows), columns=names, dtype=object)


def _read_xlsx(source: Source) -> pd.DataFrame:
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise ImportError(f"{source.path} is an Excel file: pip install openpyxl, or save it as CSV UTF-8") from error
    try:
        book = load_workbook(io.BytesIO(source.content), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # some programs write wrong ones
        rows = {i: list(cells) for i, cells in enumerate(sheet.iter_rows(values_only=True), 1)}
    except Exception as error:  # what other programs wrote can make it fail in any way
        raise ValueError(f"{source.path} can't be read as Excel: {first_line(error)}; is the file complete?") from error
    if len(book.sheetnames) > 1:
        source.notes.append(f"{source.path} has {len(book.sheetnames)} sheets: the first, {sheet.title!r}, is read")
    return _table(source, rows)


def _read_json(source: Source) -> pd.DataFrame:
    content = source.text()
    try:
        return _records(source, _layout(json.loads(content))) if content.strip() else pd.DataFrame()
    except json.JSONDecodeError as error:
        if content.lstrip().startswith("["):
            raise _broken(source, error.lineno, error) from error
    rows = {}
    for line, written in enumerate(content.split("\n"), 1):
        try:
            rows |= {line: json.loads(written)} if written.strip() else {}
        except json.JSONDecodeError as error:
            raise _broken(source, line, error) from error
    return _records(source, rows)


def _broken(source: Source, line: int, error: json.JSONDecodeError) -> ValueError:
    where = f"{source.path} can't be read, line {line}, column {error.colno}"
    return ValueError(f"{where}: {error.msg}; expected a JSON object per line, or one list of them")


def _layout(value: Any) -> dict[Any, Any]:
    """{row: record} of a whole file: a list, one of pandas' layouts, a list under some key, or one record."""
    if isinstance(value, list):
        return dict(enumerate(value, 1))
    if not isinstance(value, dict):
        return {1: value}
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):  # "split"
        return dict(enumerate((dict(zip(value["columns"], cells, strict=False)) for cells in value["data"]), 1))
    inner = list(value.values())
    if inner and all(isinstance(cells, dict) for cells in inner):
        if all(key.isdigit() for key in value):  # "index"
            return dict(enumerate(inner, 1))
        return dict(enumerate(pd.DataFrame(value, dtype=object).to_dict("records"), 1))  # "columns"
    lists = [cells for cells in inner if isinstance(cells, list)]
    if len(lists) > 1 and len(lists) == len(inner) and len(set(map(len, lists))) == 1:
        return dict(enumerate(pd.DataFrame(value, dtype=object).to_dict("records"), 1))
    return dict(enumerate(lists[0], 1)) if len(lists) == 1 and len(lists[0]) > 1 else {1: value}  # "table", too


def _records(source: Source, rows: dict[Any, Any]) -> pd.DataFrame:
    records = {row: {"text": record} if isinstance(record, str) else record for row, record in rows.items()}
    if records and all(isinstance(record, list) for record in records.values()):  # "values"
        return _table(source, records)
    for row, record in records.items():
        if not isinstance(record, dict):
            wanted = 'expected a string, or an object such as {"text": "..."}'
            raise ValueError(f"row {row} of {source.path} is a {type(record).__name__}: {wanted}")
    return pd.DataFrame(list(records.values()), index=list(records), dtype=object)


def _read_parquet(source: Source) -> pd.DataFrame:
    try:
        table = pq.read_table(io.BytesIO(source.content))
    except (pa.ArrowException, OSError) as error:
        what = f"{source.path} can't be read as Parquet: {first_line(error)}"
        raise ValueError(f"{what}; is the file complete?") from error
    columns = {name: pd.Series(table[name].to_pylist(), dtype=object) for name in table.column_names}
    return pd.DataFrame(columns, dtype=object).set_axis(range(1, len(table) + 1))


READERS = {".txt": _read_txt, ".csv": _read_csv, ".tsv": _read_csv, ".xlsx": _read_xlsx}
READERS |= {".jsonl": _read_json, ".json": _read_json, ".parquet": _read_parquet}
