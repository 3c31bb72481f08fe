"""Further texts added to the table of a report."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from inbedder_utils.checks import as_path, first_line
from inbedder_utils.clustering.report import TABLE_FILE, table_as_csv
from inbedder_utils.clustering.result import Clustering
from inbedder_utils.storage.columns import ids_first
from inbedder_utils.storage.files import check_file_can_be_written, replacing

ADDED = "added from"
"""The column that says which file a further text is from; empty for the texts that the clusters were made of."""
AS_WRITTEN = "keep it as it was written, with commas and in UTF-8; a spreadsheet can save a copy elsewhere"


def clusterings_in(folder: str | Path) -> list[Path]:
    """The folders of the clusterings that `write_report` left in a report's folder, in the order of its questions.

    Raises:
        FileNotFoundError: if there is none.
    """
    folder = as_path("folder", folder)
    found = {int(path.name[9:]): path for path in folder.glob("question-*") if re.fullmatch(r"question-\d+", path.name)}
    if not found:
        raise FileNotFoundError(f"no clusters in {folder}: expected the folder of a report, as the verb cluster writes")
    return [found[number] for number in sorted(found)]


def check_new(folder: str | Path, source: str, new_texts: Sequence[str]) -> pd.DataFrame:
    """Return the table of a report, as strings, if the texts of that file can be added.

    Raises:
        ValueError: if they were added before, or the table is no longer as the report had it.
        OSError: if it is not there, or can't be written.
    """
    path = as_path("folder", folder) / TABLE_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there, to which texts are added: write the report again")
    check_file_can_be_written(path)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:  # pandas' errors of parsing and of encoding are such
        raise ValueError(f"{path} can't be read ({first_line(error)}): {AS_WRITTEN}") from error
    if "text" not in table or not any(name.startswith("cluster (") for name in table):
        raise ValueError(f"{path} has not the columns that the report wrote: {AS_WRITTEN}")
    if ADDED in table and set(new_texts) <= set(table["text"][table[ADDED] == source]):
        raise ValueError(f"the texts of {source} were added to {path} before")
    return table


def assign_all(results: Sequence[Clustering], new_texts: list[str], **run: Any) -> pd.DataFrame:
    """Find the place of further texts under every question: a row per text, with columns as in a report's table."""
    columns = ["cluster", "name", "similarity", "membership"]
    found = [
        result.assign(new_texts, **run)[columns].round(4).add_suffix(f" ({result.instruction})") for result in results
    ]
    return pd.concat([pd.Series(new_texts, name="text"), *found], axis=1)


def add_rows(folder: str | Path, found: pd.DataFrame, source: str, others: pd.DataFrame, places: Sequence[int]) -> Path:
    """Add what `assign_all` found to the table of a report, in whole or not at all, and return its path.

    Args:
        folder: of the report.
        found: n rows.
        source: name of the file that the texts are from.
        others: columns beside the texts in that file.
        places: which of its rows they are; the remaining ones are added without a text.

    Errors are those of `check_new`.
    """
    table, path = check_new(folder, source, found["text"]), as_path("folder", folder) / TABLE_FILE
    renamed = [name for name in table if f"{name} (input)" in table]
    rows = ids_first(found.assign(**{ADDED: source}), others, places, renamed)
    rows = rows.astype({name: "Int64" for name in found if name.startswith("cluster (")})
    with replacing(path) as file:
        file.write(table_as_csv(pd.concat([table, rows.astype(object)], ignore_index=True)))
    return path
