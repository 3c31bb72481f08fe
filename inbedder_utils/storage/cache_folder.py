"""What is in a folder of caches (`inbedder_utils.storage.vector_cache`): list it, check it, clear it."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inbedder_utils.checks import as_path, first_line
from inbedder_utils.storage.vector_cache import MARK, SQLITE_ERRORS, connect, intact, read_identity

if TYPE_CHECKING:
    import pandas as pd

NAME = re.compile(r"[0-9a-f]{32}\.sqlite")
ASIDE = re.compile(rf"{NAME.pattern}\.[0-9a-f]{{8}}\.aside")


def listing(folder: str | Path) -> "pd.DataFrame":
    """What each cache in a folder holds.

    Args:
        folder: with caches.

    Returns:
        One row per file, with columns file, checkpoint, pooling, layer, vectors (their number), width, MB (10^6
        bytes), last written (local time). Of a file that can't be read, only file, MB and time are known.

    Raises:
        OSError: if there is no such folder.
    """
    import pandas as pd

    rows = []
    for path in _files(folder):
        status = path.stat()
        written = datetime.fromtimestamp(int(status.st_mtime))
        rows.append({"file": path.name, **_contents(path), "MB": status.st_size / 1e6, "last written": written})
    columns = ["file", "checkpoint", "pooling", "layer", "vectors", "width", "MB", "last written"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(["layer", "vectors", "width"], "Int64"))


def verify(folder: str | Path) -> list[str]:
    """Check every file and the checksum of every vector; nothing is changed, and who wants to write has to wait.

    Args:
        folder: with caches.

    Returns:
        The problems, a line each; none if all is well.

    Raises:
        OSError: if there is no such folder.
    """
    return [f"{path}: {problem}" for path in _files(folder) for problem in _problems(path)]


def caches(folder: str | Path, checkpoint: str | None = None) -> dict[Path, int]:
    """The caches that `clear` removes.

    Args:
        folder: with caches.
        checkpoint: only those of this name.

    Returns:
        Each with its size in bytes, companions (such as a journal) included. Those that were set aside as damaged
        count too; files that are not caches don't, whatever they are called.

    Raises:
        OSError: if there is no such folder.
    """
    found = _files(folder, aside=True)
    chosen = [path for path in found if checkpoint is None or _contents(path).get("checkpoint") == checkpoint]
    return {path: sum(part.stat().st_size for part in _parts(path)) for path in chosen if _is_marked(path)}


def clear(folder: str | Path, checkpoint: str | None = None) -> tuple[int, int]:
    """Delete caches.

    Args:
        folder: with caches.
        checkpoint: delete only those of this name; None for all.

    Returns:
        Number of caches that were deleted, and of their bytes.

    Raises:
        OSError: if there is no such folder, or a file can't be deleted.
    """
    found = caches(folder, checkpoint)
    for path in found:
        for part in _parts(path):
            part.unlink(missing_ok=True)
    return len(found), sum(found.values())


def _files(folder: str | Path, aside: bool = False) -> list[Path]:
    folder = as_path("folder", folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder: pass the one that holds the caches")
    names = [NAME, ASIDE] if aside else [NAME]
    return sorted(path for path in folder.iterdir() if any(name.fullmatch(path.name) for name in names))


def _parts(path: Path) -> list[Path]:
    """The files of a cache, itself last."""
    companions = (path.with_name(path.name + suffix) for suffix in ("-journal", "-wal", "-shm"))
    return [*filter(Path.exists, companions), path]


def _contents(path: Path) -> dict[str, Any]:
    """What a cache says about itself; nothing if it can't be read."""
    try:
        with closing(connect(path)) as db:
            checkpoint = read_identity(db, path).get("checkpoint")
            (vectors,) = db.execute("SELECT count(*) FROM vectors").fetchone()
            width = db.execute("SELECT length(vector) / 4 FROM vectors LIMIT 1").fetchone()
    except SQLITE_ERRORS:
        return {}
    if not isinstance(checkpoint, dict):  # an embedder of another kind is known by its repr only
        checkpoint = {"name": checkpoint}
    about = {"checkpoint": checkpoint["name"], "pooling": checkpoint.get("pooling"), "layer": checkpoint.get("layer")}
    return about | {"vectors": vectors, "width": width and width[0]}


def _problems(path: Path) -> Iterator[str]:
    try:
        with closing(connect(path)) as db:
            read_identity(db, path)
            (found,) = db.execute("PRAGMA integrity_check(1)").fetchone()
            sound = [intact(*row) for row in db.execute("SELECT key, vector, checksum FROM vectors")]
        if found != b"ok":
            yield " ".join(found.decode(errors="replace").split())
        if not all(sound):
            yield f"{sound.count(False)} of {len(sound)} vectors are damaged"
    except SQLITE_ERRORS as error:
        yield first_line(error)


def _is_marked(path: Path) -> bool:
    """Whether the header says that this is a cache, even if what follows is damaged."""
    with path.open("rb") as file:
        header = file.read(72)
    return header.startswith(b"SQLite format 3\0") and header[68:] == MARK.to_bytes(4, "big")
