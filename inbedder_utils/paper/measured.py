"""What the evaluation wrote into a folder, as tables; all scores in percent."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from inbedder_utils.checks import as_path

ROBUSTNESS = "_robustness"
"""How the names of tasks end that score single instructions."""


def measured_scores(folder: str | Path) -> pd.DataFrame:
    """Read what the evaluation wrote, `folder/CHECKPOINT/TASK.json`, without the scores of single instructions.

    Columns are model, pooling, layer (missing for plain embedders), task, part, measure, score, sd (over seeds; missing
    where there are none).

    Raises:
        FileNotFoundError: if there are no results.
        ValueError: if a file is damaged.
    """
    return _measured(folder, robustness=False)


def measured_robustness(folder: str | Path) -> pd.DataFrame:
    """Read the scores of single instructions: as `measured_scores`, with two more columns, kind and instruction."""
    return _measured(folder, robustness=True)


def _measured(folder: str | Path, robustness: bool) -> pd.DataFrame:
    single = ["kind", "instruction"] if robustness else []
    columns = ["model", "pooling", "layer", "task", "part", *single, "measure", "score", "sd"]
    paths = [p for p in as_path("folder", folder).glob("*/*.json") if p.stem.endswith(ROBUSTNESS) == robustness]
    rows = [row for path in sorted(paths) for row in _rows(path, columns)]
    if not rows:
        what = f"no {'robustness ' * robustness}results in {folder}"
        raise FileNotFoundError(f"{what}: expected files such as mini/RateMyProf.json; evaluate a checkpoint first")
    return pd.DataFrame(rows)[columns].astype({"layer": "Int64", "score": float, "sd": float})


def _rows(path: Path, columns: list[str]) -> list[dict[str, Any]]:
    """The scores in a file; none if it is JSON that the evaluation didn't write, such as measured speeds."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(result, dict) and "scores" not in result:
            return []
        named = {"model": result["checkpoint"], "task": result["task"]}
        rows = [row | named | {"score": float(row["score"])} for row in result["scores"]]
        return [{name: row[name] for name in columns} for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path} is damaged ({why}): delete it and evaluate again") from error
