"""What is in a folder of caches (`inbedder_utils.storage.vector_cache`): list it, clear it."""

import re
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inbedder_utils.checks import as_path
from inbedder_utils.storage.vector_cache import APPLICATION_ID, SQLITE_ERRORS, connect, read_identity

if TYPE_CHECKING:
    import pandas as pd


def list_caches(folder: str | Path) -> "pd.DataFrame":
    """What each file in a folder of caches holds (MB: 10^6 bytes; time: local); an OSError if there is no folder."""
    import pandas as pd

    rows = []
    for path in _files(folder):
        status = path.stat()
        written = datetime.fromtimestamp(int(status.st_mtime))
        rows.append({"file": path.name, **_contents(path), "MB": status.st_size / 1e6, "last written": written})
    columns = ["file", "checkpoint", "pooling", "layer", "vectors", "width", "MB", "last written"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(["layer", "vectors", "width"], "Int64"))


def find_caches(folder: str | Path, checkpoint: str | None = None) -> list[Path]:
    """The caches in a folder, or a checkpoint's: damaged ones too, no other files; an OSError if there is no folder.

    A checkpoint in a folder, given as a path and not as a bare name, is known by the folder's name, wherever it is.
    """
    if checkpoint is not None and (given := as_path("checkpoint", checkpoint)).name != checkpoint and given.is_dir():
        checkpoint = given.resolve().name
    chosen = [path for path in _files(folder) if checkpoint in (None, _contents(path).get("checkpoint"))]
    return [path for path in chosen if _is_marked(path)]


def delete_cache(cache: Path) -> None:
    """Delete a cache, and the journal that a killed process may have left beside it."""
    cache.with_name(f"{cache.name}-journal").unlink(missing_ok=True)
    cache.unlink(missing_ok=True)


def _files(folder: str | Path) -> list[Path]:
    folder = as_path("folder", folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder: pass the one that holds the caches")
    return sorted(path for path in folder.iterdir() if re.fullmatch(r"[0-9a-f]{32}\.sqlite", path.name))


def _contents(path: Path) -> dict[str, Any]:
    """What a cache says about itself; nothing if it can't be read."""
    try:
        with closing(connect(path)) as db:
            checkpoint = read_identity(db, path).get("checkpoint")
            sizes = db.execute("SELECT count(*), (SELECT length(vector) / 4 FROM vectors) FROM vectors").fetchone()
    except SQLITE_ERRORS:
        return {}
    if not isinstance(checkpoint, dict):  # an embedder of another kind is known by its repr only
        checkpoint = {"name": checkpoint}
    return checkpoint | {"checkpoint": checkpoint["name"], "vectors": sizes[0], "width": sizes[1]}


def _is_marked(path: Path) -> bool:
    """Whether the header says that this is a cache, even if what follows is damaged."""
    with path.open("rb") as file:
        header = file.read(72)
    return header.startswith(b"SQLite format 3\0") and header[68:] == APPLICATION_ID.to_bytes(4, "big")
