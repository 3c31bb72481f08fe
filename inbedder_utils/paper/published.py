"""The paper's published numbers, and measured ones beside them; all scores in percent.

Where the published numbers come from is in `data/published/README.md`.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inbedder_utils.checks import as_path

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED = Path(__file__).parents[1] / "data" / "published"
AWARENESS = ("IntentEmotion", "InstructSTSB", "NYTClustering")
GENERIC = ("AskUbuntu", "SciDocs", "StackOverflow", "TwentyNewsgroups")
AS_PUBLISHED = {
    "BrandonZYW/llama-2-7b-InBedder": ("Llama-2-7b-hf-e5-large-v2-qa-ml=3", "Llama-2-7b-hf-qa-ml=20"),
    "BrandonZYW/opt-2.7b-InBedder": ("opt-2.7b-qa-ml=20",),
    "BrandonZYW/opt-1.3b-InBedder": ("opt-1.3b-qa-ml=20",),
    "BrandonZYW/roberta-large-InBedder": ("roberta-large-qa-ml=3",),
    "facebook/opt-350m": ("opt-350m-pretrain-ml=20",),
    "meta-llama/Llama-2-7b-chat-hf": ("llama-2-7b-chat-e5-large-v2-pretrain-ml=40",),
    "google/flan-t5-large": ("flan-t5-large-pretrain-ml=20", "flan-t5-large-e5-large-v2-pretrain-ml=40"),
    "intfloat/e5-large-v2": ("e5-large-v2",),
}
"""Checkpoints, and the names that their numbers were published under.

The first name has the checkpoint's own answer length. A second one fills gaps at `fst_gen` only, which is read before
anything is generated.
"""
PAPER_MEASURES = ("success", "spearman", "map", "v_measure_minibatch")
"""What the published scores are; `v_measure`, of k-means with several starts, is steadier and not the same."""
DEVIATIONS = 2
"""How many standard deviations over seeds count as equal to a published score."""
ROUNDING = 0.005
"""How far a number printed with two decimals may be from the exact one."""
_CELL = ["model", "pooling", "layer", "task", "part"]
_ROW = {"pooling", "layer", "part", "measure", "score", "sd"}


def published_models() -> "pd.DataFrame":
    """Read what is known of the published models.

    Returns:
        Columns model (as in the other tables), label (to show), base, training, variant (missing for the usual one),
        answer_length (tokens at most), re_encoder, parameters (millions).
    """
    return _read("models.csv")


def published_scores() -> "pd.DataFrame":
    """Read all published scores (paper, tables 1 and 2, and figures by layer).

    Returns:
        Columns model, pooling ("own" for plain embedders), layer (missing for them and for `re_encode`), task, part
        ("emotion", "intent", "topic", "location", or "" for the task as a whole), score.
    """
    return _read("scores.csv.gz").astype({"layer": "Int64"}).fillna({"part": ""})


def published_robustness() -> "pd.DataFrame":
    """Read the published V-measures of single instructions, at the last layer.

    Returns:
        Columns model, pooling, task, part, kind ("correct", "implicit", "incorrect"), instruction (0 to 9), score.
    """
    return _read("robustness.csv.gz").fillna({"part": ""})


def published_clusters() -> "pd.DataFrame":
    """Read the published clusters of five corpora, and the words that explain them.

    Returns:
        A row per cluster: corpus, cluster (from 0), labels ({label: number of texts}), words_tfidf and words_decoded
        (20 each, the strongest first), entropy (of the labels, in bits).
    """
    import pandas as pd

    return pd.read_json(PUBLISHED / "clusters.jsonl.gz", lines=True)


def last_layer(scores: "pd.DataFrame") -> "pd.DataFrame":
    """Keep each model's last layer, and scores that belong to no layer."""
    deepest = scores.groupby("model")["layer"].transform("max")
    return scores[(scores["layer"] == deepest).fillna(True).astype(bool)]


def score_table(scores: "pd.DataFrame", tasks: tuple[str, ...] = AWARENESS) -> "pd.DataFrame":
    """Lay out scores as the paper's tables do.

    Args:
        scores: with model, pooling, task, part, score; one layer per model.
        tasks: the columns.

    Returns:
        A row per model and pooling, a column per task, and their average, missing where a task is.
    """
    whole = scores[(scores["part"] == "") & scores["task"].isin(tasks)]
    table = whole.pivot(index=["model", "pooling"], columns="task", values="score").reindex(columns=list(tasks))
    return table.assign(average=table.mean(axis=1, skipna=False)).rename_axis(columns=None)


def robustness_gaps(scores: "pd.DataFrame") -> "pd.DataFrame":
    """How much better right instructions are than wrong ones.

    Args:
        scores: with model, pooling, task, part, kind, score, and perhaps layer; several instructions of each kind; one
            measure.

    Returns:
        A row per model, pooling, task, part (and layer): the paper's gaps, `correct` (worst correct instruction minus
        best incorrect one) and `implicit` (the same for implicit ones), and `correct mean` and `implicit mean`, the
        differences of the means, which hang less on single instructions.
    """
    import pandas as pd

    keys = [key for key in (*_CELL, "kind") if key in scores]
    by = scores.groupby(keys, dropna=False)["score"]
    low, high, mean = (getattr(by, name)().unstack("kind") for name in ("min", "max", "mean"))
    gaps = {kind: low[kind] - high["incorrect"] for kind in ("correct", "implicit")}
    return pd.DataFrame(gaps | {f"{kind} mean": mean[kind] - mean["incorrect"] for kind in gaps})


def measured_scores(folder: str | Path) -> "pd.DataFrame":
    """Read what the evaluation wrote, without the scores of single instructions.

    Args:
        folder: with a folder per checkpoint, and in it a JSON file per task.

    Returns:
        Columns model, pooling, layer (missing for plain embedders), task, part, measure, score, sd (over seeds; missing
        where there are none).

    Raises:
        FileNotFoundError: if there are no results.
        ValueError: if a file is damaged.
    """
    return _measured(folder, robustness=False)


def measured_robustness(folder: str | Path) -> "pd.DataFrame":
    """Read the scores of single instructions: as `measured_scores`, with two more columns, kind and instruction."""
    return _measured(folder, robustness=True)


def compare(measured: "pd.DataFrame", published: "pd.DataFrame") -> "pd.DataFrame":
    """Put measured scores beside the published ones of the same checkpoint, pooling, layer and task.

    The published score is that of a single run. A measured one is equal within spread if they differ by no more than
    `DEVIATIONS` standard deviations over seeds, or, where there are no seeds, by no more than `ROUNDING`.

    Args:
        measured: from `measured_scores`.
        published: from `published_scores`, or those of its rows that are of interest.

    Returns:
        A row per published score of a checkpoint in `AS_PUBLISHED`: model, pooling, layer, task, part, published,
        measured, sd, difference (measured minus published), verdict ("equal within spread", "above", "below",
        "not run").
    """
    import numpy as np

    ours = measured[measured["measure"].isin(PAPER_MEASURES)].rename(columns={"score": "measured"})
    theirs = by_checkpoint(published).rename(columns={"score": "published"})
    table = theirs.merge(ours.drop(columns="measure"), how="left", on=_CELL, validate="one_to_one")
    table["difference"] = table["measured"] - table["published"]
    spread = np.maximum(DEVIATIONS * table["sd"].fillna(0.0), ROUNDING)
    near, above = table["difference"].abs() <= spread, table["difference"] > 0
    cases = [table["measured"].isna(), near, above]
    table["verdict"] = np.select(cases, ["not run", "equal within spread", "above"], "below")
    return table[[*_CELL, "published", "measured", "sd", "difference", "verdict"]]


def by_checkpoint(published: "pd.DataFrame") -> "pd.DataFrame":
    """Keep the published scores of the checkpoints in `AS_PUBLISHED`, under our names for them."""
    import pandas as pd

    parts = []
    for checkpoint, names in AS_PUBLISHED.items():
        for i, name in enumerate(names):
            rows = published[(published["model"] == name) & (i == 0 or (published["pooling"] == "fst_gen"))]
            parts.append(rows.assign(model=checkpoint))
    return pd.concat(parts).drop_duplicates([c for c in published if c != "score"]).reset_index(drop=True)


def _measured(folder: str | Path, robustness: bool) -> "pd.DataFrame":
    import pandas as pd

    single = ["kind", "instruction"] if robustness else []
    paths = [
        p for p in sorted(as_path("folder", folder).glob("*/*.json")) if p.stem.endswith("_robustness") == robustness
    ]
    if not paths:
        what = f"no {'robustness ' * robustness}results in {folder}"
        raise FileNotFoundError(f"{what}: expected files such as mini/RateMyProf.json; evaluate a checkpoint first")
    rows = [row for path in paths for row in _rows(path, _ROW | set(single))]
    columns = ["model", "pooling", "layer", "task", "part", *single, "measure", "score", "sd"]
    return pd.DataFrame(rows)[columns].astype({"layer": "Int64", "score": float, "sd": float})


def _rows(path: Path, keys: set[str]) -> list[dict[str, Any]]:
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        named = {"model": result["checkpoint"], "task": result["task"]}
        rows = [named | {key: row[key] for key in keys} for row in result["scores"]]
        for row in rows:
            row["score"] = float(row["score"])
    except (KeyError, TypeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path} is damaged ({why}): delete it and evaluate again") from error
    return rows


def _read(name: str) -> "pd.DataFrame":
    import pandas as pd

    return pd.read_csv(PUBLISHED / name)
