"""Files written as a whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import BinaryIO
from uuid import uuid4


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file in the same folder; it takes the place of `path` when all is written, and is gone otherwise."""
    target = path.resolve()  # through a link, so that the link stays one
    temporary = target.with_name(f".{uuid4().hex}.part")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """A new, hidden folder to write files to; when all are written they are in `folder`, and otherwise none is.

    A folder that is not there appears with all its files at once. In one that is, files of the same names are
    replaced; the folder itself stays, for it may be somebody's working directory or a mount.
    """
    folder = folder.resolve()
    existed = folder.is_dir()
    place = folder if existed else folder.parent
    place.mkdir(parents=True, exist_ok=True)
    temporary = place / f".{uuid4().hex}.part"
    temporary.mkdir()
    try:
        yield temporary
        if existed:
            for path in sorted(temporary.iterdir()):
                path.replace(folder / path.name)
        else:
            temporary.rename(folder)
    finally:
        rmtree(temporary, ignore_errors=True)
