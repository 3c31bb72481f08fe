"""Clusterings on disk: a folder with two data files and a list of contents, which is written last."""

import json
import re
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from inbedder_utils.checks import as_path
from inbedder_utils.clustering.explain import Explanation
from inbedder_utils.clustering.result import Clustering
from inbedder_utils.storage.files import replacing

CONTENTS, FORMAT = "clustering.json", 1
OURS = re.compile(r"rows-[0-9a-f]{16}\.jsonl|arrays-[0-9a-f]{16}\.npz|(rows|arrays)\.new|\.[0-9a-f]{32}\.part")
"""Names of data files, and of what a save that was killed leaves behind; the next one clears it away."""


def save(result: Clustering, folder: str | Path) -> Path:
    """Write a clustering to a folder; one that is there already is replaced as a whole, or stays if this fails.

    Args:
        result: what to save.
        folder: made if it is not there.

    Returns:
        The folder.

    Raises:
        TypeError: if the folder is no path.
        ValueError: if the folder holds other files, but no clustering.
        OSError: if it can't be written.
    """
    folder = as_path("folder", folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / CONTENTS).is_file() and any(not _is_ours(path) for path in folder.iterdir()):
        raise ValueError(f"{folder} holds something else than a clustering: choose another folder, or empty it")
    none = [None] * len(result.texts)
    with replacing(folder / "rows.new") as file:
        for text, answer, label in zip(result.texts, result.answers or none, result.labels or none, strict=True):
            file.write(json.dumps({"text": text, "answer": answer, "label": label}).encode() + b"\n")
    with replacing(folder / "arrays.new") as file:
        np.savez(file, assignments=result.assignments, embeddings=result.embeddings)
    names = {"rows": "rows-{}.jsonl", "arrays": "arrays-{}.npz"}
    digests = {kind: _digest(folder / f"{kind}.new") for kind in names}
    for kind, digest in digests.items():  # named by content, so that no file of an older clustering is overwritten
        (folder / f"{kind}.new").replace(folder / names[kind].format(digest[:16]))
    files = {names[kind].format(digest[:16]): digest for kind, digest in digests.items()}
    contents = {
        "format": FORMAT,
        "instruction": result.instruction,
        "seed": result.seed,
        "notes": result.notes,
        "has_answers": result.answers is not None,
        "has_labels": result.labels is not None,
        "curve": None if result.curve is None else [[int(k), float(score)] for k, score in result.curve.items()],
        "explanations": list(map(asdict, result.explanations)),
        "files": files,
    }
    with replacing(folder / CONTENTS) as file:
        file.write(json.dumps(contents, indent=1).encode())
    for path in folder.iterdir():
        if _is_ours(path) and path.name not in files:
            path.unlink()
    return folder


def load(folder: str | Path) -> Clustering:
    """Read a clustering that `save` wrote; nothing in it can run code.

    Args:
        folder: where it is.

    Returns:
        The same clustering.

    Raises:
        TypeError: if the folder is no path.
        FileNotFoundError: if there is no clustering in the folder.
        ValueError: if it is damaged, or of a newer format.
    """
    folder = as_path("folder", folder)
    if not (folder / CONTENTS).is_file():
        raise FileNotFoundError(f"no clustering in {folder}: expected {CONTENTS}, which Clustering.save writes")
    try:
        contents = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
        if contents["format"] != FORMAT:
            raise ValueError(f"its format is {contents['format']}, expected {FORMAT}")
        return _read(folder, contents)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ValueError(f"the clustering in {folder} can't be read ({error}): save it again") from error


def _read(folder: Path, contents: dict[str, Any]) -> Clustering:
    for name, digest in contents["files"].items():
        if Path(name).name != name or _digest(folder / name) != digest:
            raise ValueError(f"{name} is not the file that was saved")
    rows_file, arrays_file = (folder / name for name in contents["files"])
    rows = [json.loads(line) for line in rows_file.read_text(encoding="utf-8").splitlines()]
    with np.load(arrays_file, allow_pickle=False) as arrays:
        assignments, embeddings = arrays["assignments"], arrays["embeddings"]
    curve = contents["curve"]
    if curve is not None:
        curve = pd.Series(dict(curve), name="silhouette", dtype=float).rename_axis("clusters")
    return Clustering(
        instruction=contents["instruction"],
        texts=[row["text"] for row in rows],
        assignments=assignments,
        embeddings=embeddings,
        answers=[row["answer"] for row in rows] if contents["has_answers"] else None,
        labels=[row["label"] for row in rows] if contents["has_labels"] else None,
        explanations=[Explanation(**explanation) for explanation in contents["explanations"]],
        curve=curve,
        notes=contents["notes"],
        seed=contents["seed"],
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        hashed = sha256()
        while block := file.read(2**20):
            hashed.update(block)
    return hashed.hexdigest()


def _is_ours(path: Path) -> bool:
    return OURS.fullmatch(path.name) is not None
