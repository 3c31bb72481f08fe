"""A folder to read and to pass on: clusters by answers as one HTML page, a table of the texts, and the figures."""

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from inbedder_utils.checks import as_path
from inbedder_utils.clustering.breakdown import Breakdown, break_down
from inbedder_utils.clustering.diagnosis import Diagnosis
from inbedder_utils.clustering.plots import (
    breakdown_plot,
    cluster_map,
    composition_bars,
    flow,
    silhouette_curve_plot,
    silhouette_plot,
)
from inbedder_utils.clustering.report_page import Picture, page
from inbedder_utils.clustering.result import Clustering
from inbedder_utils.plots import use_style
from inbedder_utils.storage.columns import ids_first
from inbedder_utils.storage.files import check_file_can_be_written, check_folder_can_be_written, filling

PAGE_FILE, TABLE_FILE = "report.html", "assignments.csv"
MARK = '<meta name="generator" content="inbedder_utils">'
"""By which a page of ours is told from any other `report.html`."""
CAPTIONS = {
    "map": "A map of the texts: near each other are those that answer alike. Directions and distances have no unit.",
    "silhouettes": "How well each text sits in its cluster: below 0, another cluster would fit better.",
    "number": "How the number of clusters was chosen: by mean silhouette; a finer peak goes before the least.",
    "composition": "The labels in each cluster.",
    "by": "The share of each cluster; in brackets, the number of texts.",
    "flow": "How the texts move from the clusters of one question to those of the next.",
}
OUR_FILES = re.compile(
    r"report\.html|assignments\.csv|flow\.png|(map|silhouettes|number|composition)-\d+\.png|by-\d+-\d+\.png|question-\d+"
)


def write_report(
    results: Sequence[Clustering],
    folder: str | Path,
    diagnoses: Sequence[Diagnosis] = (),
    *,
    others: pd.DataFrame | None = None,
    places: Sequence[int] | None = None,
    by: Mapping[str, Iterable[Any]] | None = None,
) -> Path:
    """Write what one or more questions found in the same texts, in whole or not at all.

    Args:
        results: from `ask`, one per question.
        folder: made if it is not there; a report that is in it is replaced. It gets report.html (everything to read,
            in one file), assignments.csv (every text, with its cluster and answer under each question), the figures
            as PNG files, and a folder question-1, ... for each clustering, which `Clustering.load` reads.
        diagnoses: from `diagnose`, one per result; their warnings and figures are reported. None if left out.
        others: columns beside the texts, to be kept in the table; those that tell every row apart, such as ids, come
            first.
        places: which of its rows the texts are from, counted from 0; None for all. The remaining ones stay empty.
        by: columns that the clusters are to be broken down by: their names, and a value for each of the texts.

    Returns:
        The path of report.html.

    Raises:
        ValueError: if there are no results, two of one question, or results of different texts; if there is not one
            diagnosis for each; if the folder holds something else; or as `break_down`.
        OSError: if the folder can't be written.
    """
    results, diagnoses = list(results), list(diagnoses)
    _check_results(results, diagnoses)
    divided = [[break_down(result, values, name) for name, values in (by or {}).items()] for result in results]
    folder = check_folder(folder)
    with filling(folder) as inside:
        pictures, breakdowns = _pictures(results, inside), _breakdowns(divided, inside)
        (inside / TABLE_FILE).write_bytes(_table(results, others, places))
        (inside / PAGE_FILE).write_bytes(page(results, diagnoses, pictures, breakdowns).encode())
        for i, result in enumerate(results, 1):
            replace(result, index=None).save(inside / f"question-{i}")
        written = {path.name for path in inside.iterdir()}
    for path in folder.iterdir():  # of an older report
        if OUR_FILES.fullmatch(path.name) and path.name not in written:
            rmtree(path) if path.is_dir() else path.unlink()
    return folder / PAGE_FILE


def check_folder(folder: str | Path) -> Path:
    """Return the folder if a report can be written there: to be asked before any work is done for it.

    Raises:
        TypeError: if it is not a path.
        ValueError: if it holds something else than a report.
        OSError: if it can't be written.
    """
    folder = as_path("folder", folder).absolute()
    check_folder_can_be_written(folder, "choose a folder for the report that can be written")
    files = sorted(path for path in folder.iterdir() if path.name[0] != ".") if folder.exists() else []
    other = [path.name for path in files if not OUR_FILES.fullmatch(path.name)]
    for path in files:
        if path.name not in other and path.is_file():
            check_file_can_be_written(path)
    if files and not other and not _is_report(folder / PAGE_FILE):
        other = [path.name for path in files]
    if other:
        names = ", ".join(other[:3]) + ", ..." * (len(other) > 3)
        raise ValueError(f"{folder} holds something else than a report ({names}): choose another folder, or empty it")
    return folder


def _is_report(path: Path) -> bool:
    return path.is_file() and MARK in path.read_text(encoding="utf-8", errors="replace")


def _check_results(results: list[Clustering], diagnoses: list[Diagnosis]) -> None:
    if not results:
        raise ValueError("there is nothing to report: pass at least one result of ask")
    if any(result.texts != results[0].texts for result in results):
        raise ValueError("a report is about one corpus: all results must be of the same texts in the same order")
    questions = [result.instruction for result in results]
    twice = next((question for question in questions if questions.count(question) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} was asked twice: pass one result for each question")
    if diagnoses and [diagnosis.instruction for diagnosis in diagnoses] != questions:
        raise ValueError(f"pass a diagnosis for each of {len(results)} results, in the same order, or none")


def _table(results: list[Clustering], others: pd.DataFrame | None, places: Sequence[int] | None) -> bytes:
    """Every text with its cluster, the cluster's name, and its answer under each question."""
    answers = [
        result.to_frame()[["cluster", "name", "answer"]]
        .reset_index(drop=True)
        .astype({"cluster": "Int64"})
        .add_suffix(f" ({result.instruction})")
        for result in results
    ]
    table = pd.concat([pd.Series(results[0].texts, name="text"), *answers], axis=1)
    if results[0].labels is not None:
        table["label"] = results[0].labels
    return table_as_csv(ids_first(table, others, places))


def table_as_csv(table: pd.DataFrame) -> bytes:
    """A table as CSV that spreadsheets read: without the mark, Excel takes UTF-8 for something else."""
    return table.to_csv(index=False, lineterminator="\r\n").encode("utf-8-sig")


def _pictures(results: list[Clustering], folder: Path) -> list[Picture]:
    """Draw every figure into a file of its own."""
    use_style()
    pictures = []
    for i, result in enumerate(results, 1):
        high, has_curve = max(3, 1.5 + 0.35 * len(result)), result.curve is not None and result.curve.notna().any()
        for name, draw, height, exists in (
            ("map", cluster_map, 5, True),
            ("silhouettes", silhouette_plot, high, not result.silhouettes.empty),
            ("number", silhouette_curve_plot, 3, has_curve),
            ("composition", composition_bars, high, result.labels is not None),
        ):
            if exists:
                pictures.append(_picture(name, folder / f"{name}-{i}.png", draw, result, (7, height), i))
    if len(results) > 1:
        size = (2.5 + 3.2 * len(results), 2 + 0.35 * max(map(len, results)))
        pictures.append(_picture("flow", folder / "flow.png", flow, results, size, 0))
    return pictures


def _breakdowns(divided: list[list[Breakdown]], folder: Path) -> list[list[tuple[Breakdown, Picture]]]:
    """What each result is broken down by, with its figure."""
    drawn: list[list[tuple[Breakdown, Picture]]] = []
    for i, columns in enumerate(divided, 1):
        drawn.append([])
        for j, parts in enumerate(columns, 1):
            rows = len(parts.counts) if parts.over_time else max(parts.counts.shape)
            size, path = (7, max(4, 1.5 + 0.35 * rows)), folder / f"by-{i}-{j}.png"
            drawn[-1].append((parts, _picture("by", path, breakdown_plot, parts, size, i)))
    return drawn


def _picture(
    name: str, path: Path, draw: Callable[..., Any], shown: Any, size: tuple[float, float], question: int
) -> Picture:
    fig = Figure(figsize=size, layout="constrained")
    draw(shown, fig.subplots())
    fig.savefig(path, bbox_inches="tight", metadata={"Software": None})
    return Picture(question, CAPTIONS[name], b64encode(path.read_bytes()).decode())
