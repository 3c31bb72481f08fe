"""Clusterings on disk: a folder with two data files and a list of contents, which is written last."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from inbedder_utils.checks import as_path, checked_encoder
from inbedder_utils.clustering.anchors import Anchors
from inbedder_utils.storage.files import replacing
from inbedder_utils.storage.identity import told_by

CONTENTS_FILE, FORMAT = "clustering.json", 1
PLAIN_FIELDS = ("instruction", "seed", "notes", "explanations")
OUR_FILES = re.compile(r"rows-[0-9a-f]{16}\.jsonl|arrays-[0-9a-f]{16}\.npz|(rows|arrays)\.new|\.[0-9a-f]{32}\.part")
"""Names of data files, and of what a save that was killed leaves behind; the next one clears it away."""


class AnotherEncoder(ValueError):
    """A clustering was made with another encoder than the one that is to assign texts to it."""


def save(fields: dict[str, Any], folder: str | Path) -> Path:
    """Write the fields of a `Clustering`, with dicts for explanations, to a folder, and return its path.

    A folder is made if it is not there; a clustering in it is replaced as a whole, or stays if this fails.

    Raises:
        TypeError: if the folder is not a path.
        ValueError: if the folder holds other files, but no clustering.
        OSError: if it can't be written.
    """
    folder = as_path("folder", folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / CONTENTS_FILE).is_file() and not all(OUR_FILES.fullmatch(path.name) for path in folder.iterdir()):
        raise ValueError(f"{folder} holds something else than a clustering: choose another folder, or empty it")
    missing = [None] * len(fields["texts"])
    columns = fields["texts"], fields["answers"] or missing, fields["labels"] or missing
    with replacing(folder / "rows.new") as file:
        for text, answer, label in zip(*columns, strict=True):
            file.write(json.dumps({"text": text, "answer": answer, "label": label}).encode() + b"\n")
    with replacing(folder / "arrays.new") as file:
        anchors = {} if fields["option_anchors"] is None else vars(fields["option_anchors"])
        np.savez(file, assignments=fields["assignments"], embeddings=fields["embeddings"], **anchors)
    files = {}
    for kind, ending in (("rows", "jsonl"), ("arrays", "npz")):
        digest = _digest(folder / f"{kind}.new")
        name = f"{kind}-{digest[:16]}.{ending}"  # by content, so that no file of an older clustering is overwritten
        (folder / f"{kind}.new").replace(folder / name)
        files[name] = digest
    curve = fields["curve"]
    contents = {
        "format": FORMAT,
        **{name: fields[name] for name in PLAIN_FIELDS},
        "has_answers": fields["answers"] is not None,
        "has_labels": fields["labels"] is not None,
        "curve": None if curve is None else [[int(k), float(score)] for k, score in curve.items()],
        "stability": fields["stability"],
        "index": _index_as_json(fields["index"]),
        "encoder": _known_by(fields["encoder"]) or fields["asked_by"],
        "files": files,
    }
    with replacing(folder / CONTENTS_FILE) as file:
        file.write(json.dumps(contents, indent=1).encode())
    for path in folder.iterdir():
        if OUR_FILES.fullmatch(path.name) and path.name not in files:
            path.unlink()
    return folder


@contextmanager
def reading(folder: str | Path, encoder: Any = None) -> Iterator[dict[str, Any]]:
    """The fields that `save` wrote, to make a clustering of; nothing in them can run code.

    Args:
        folder: where they are.
        encoder: what asked, to assign further texts with; None for none.

    Raises:
        TypeError: if the folder is not a path, or the encoder has no `encode`.
        FileNotFoundError: if there is no clustering in the folder.
        ValueError: if it is damaged, or of a newer format; so is told what fails while the clustering is made. Or if
            another encoder asked, by weights or settings.
    """
    folder, encoder = as_path("folder", folder), None if encoder is None else checked_encoder(encoder)
    if not (folder / CONTENTS_FILE).is_file():
        raise FileNotFoundError(f"no clustering in {folder}: expected {CONTENTS_FILE}, which Clustering.save writes")
    try:
        contents = json.loads((folder / CONTENTS_FILE).read_text(encoding="utf-8"))
        if contents["format"] != FORMAT:
            raise ValueError(f"its format is {contents['format']}, expected {FORMAT}")
        fields = _read(folder, contents)
        known = fields["asked_by"]
        if encoder is not None and known and known["digits"] != told_by(encoder):
            fix = f"load {known.get('name')!r} in {known.get('dtype', 'float32')}"
            if "elsewhere" in known:
                fix = f"it was made with {known['elsewhere']}: pass encoder="
            raise AnotherEncoder(f"another encoder, or one with other settings, asked in {folder}: {fix}")
        yield fields | {"encoder": encoder}
    except AnotherEncoder:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ValueError(f"the clustering in {folder} can't be read ({error}): save it again") from error


def asked_by(folder: str | Path) -> dict[str, str] | None:
    """Name, dtype and digits of the encoder that made the clustering in a folder, if they are known.

    If a server ran its model, `elsewhere` is its repr, and it has neither name nor dtype.
    """
    return json.loads((as_path("folder", folder) / CONTENTS_FILE).read_text(encoding="utf-8")).get("encoder")


def _known_by(encoder: Any) -> dict[str, str] | None:
    """What an encoder is known by, to load it again; None if it has no checkpoint."""
    name = getattr(getattr(encoder, "checkpoint", None), "name", None)
    if name is None:
        return None
    digits = told_by(encoder)
    if digits == repr(encoder):  # it has no weights here
        return {"elsewhere": digits, "digits": digits}
    name = str(Path(name).resolve()) if Path(name).is_dir() else str(name)
    dtype = str(getattr(getattr(encoder, "lm", None), "dtype", "float32")).removeprefix("torch.")
    return {"name": name, "dtype": dtype, "digits": digits}


def _read(folder: Path, contents: dict[str, Any]) -> dict[str, Any]:
    for name, digest in contents["files"].items():
        if Path(name).name != name or _digest(folder / name) != digest:
            raise ValueError(f"{name} is not the file that was saved")
    rows_file, arrays_file = (folder / name for name in contents["files"])
    rows = [json.loads(line) for line in rows_file.read_text(encoding="utf-8").splitlines()]
    with np.load(arrays_file, allow_pickle=False) as arrays:
        by_name = dict(arrays)
    curve = contents["curve"]
    if curve is not None:
        curve = pd.Series(dict(curve), name="silhouette", dtype=float).rename_axis("clusters")
    index = contents.get("index")
    return {
        **{name: contents[name] for name in PLAIN_FIELDS},
        "texts": [row["text"] for row in rows],
        "assignments": by_name.pop("assignments"),
        "embeddings": by_name.pop("embeddings"),
        "option_anchors": Anchors(**by_name | {"least": float(by_name["least"])}) if by_name else None,
        "answers": [row["answer"] for row in rows] if contents["has_answers"] else None,
        "labels": [row["label"] for row in rows] if contents["has_labels"] else None,
        "curve": curve,
        "stability": contents.get("stability"),
        "asked_by": contents.get("encoder"),
        "index": None if index is None else _index_from_json(**index),
    }


def _index_as_json(index: pd.Index | None) -> dict[str, Any] | None:
    if index is None:
        return None
    levels = [f"level {i}" for i in range(index.nlevels)]  # in columns, where values may repeat
    values = index.to_frame(index=False, name=levels if index.nlevels > 1 else levels[0])
    names = [None if name is None else str(name) for name in index.names]
    return {"values": values.to_json(orient="table", index=False, double_precision=15), "names": names}


def _index_from_json(values: str, names: list[str | None]) -> pd.Index:
    levels = pd.read_json(StringIO(values), orient="table")
    index = pd.MultiIndex.from_frame(levels) if len(names) > 1 else pd.Index(levels["level 0"])
    return index.set_names(names)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
