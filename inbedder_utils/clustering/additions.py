"""Further texts added to the table of a report."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from inbedder_utils.checks import as_path
from inbedder_utils.clustering.report import TABLE_FILE, table_as_csv
from inbedder_utils.clustering.result import Clustering
from inbedder_utils.storage.columns import ids_first
from inbedder_utils.storage.files import check_file_can_be_written, replacing

ADDED = "added from"
"""The column that says which file a further text is from; empty for the texts that the clusters were made of."""


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


def check_new(folder: str | Path, source: str) -> pd.DataFrame:
    """Return the table of a report, as strings, if rows of that file can be added.

    Raises:
        ValueError: if they were added before.
        OSError: if the table is not there, or can't be written.
    """
    path = as_path("folder", folder) / TABLE_FILE
    check_file_can_be_written(path)
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if ADDED in table and source in set(table[ADDED]):
        raise ValueError(f"{source} was added to {path} before: rename it if it holds other texts")
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
        source: name of the file that the texts are from; no two additions have the same.
        others: columns beside the texts in that file.
        places: which of its rows they are; the remaining ones are added without a text.

    Errors are those of `check_new`.
    """
    table, path = check_new(folder, source), as_path("folder", folder) / TABLE_FILE
    rows = ids_first(found.assign(**{ADDED: source}), others, places)
    rows = rows.astype({name: "Int64" for name in rows if name.startswith("cluster (")})
    with replacing(path) as file:
        file.write(table_as_csv(pd.concat([table, rows.astype(object)], ignore_index=True)))
    return path
