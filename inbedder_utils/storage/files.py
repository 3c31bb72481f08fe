"""Files written as a whole or not at all; and whether they can be written, asked before there is anything to write."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryFile
from typing import BinaryIO
from uuid import uuid4


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file in the same folder; it takes the place of `path` when all is written, and is gone otherwise."""
    target = path.resolve()  # through a link, so that the link stays one
    temporary = target.with_name(f".{uuid4().hex}.part")
    try:
        with naming_the_full(path), temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def naming_the_full(path: Path) -> Iterator[None]:
    """Add to an error that a disk is full, which tells no file, what was to be written there."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise OSError(f"{path} can't be written ({error.strerror}): make room on the disk") from error


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """A new, hidden folder to write files to; when all are written they are in `folder`, and otherwise none is.

    A folder that is not there appears with all its files at once. In one that is, files and folders of the same names
    are replaced; the folder itself stays, for it may be somebody's working directory or a mount.
    """
    folder = folder.resolve()
    existed = folder.is_dir()
    place = folder if existed else folder.parent
    place.mkdir(parents=True, exist_ok=True)
    temporary = place / f".{uuid4().hex}.part"
    try:
        with naming_the_full(folder):
            temporary.mkdir()
            yield temporary
        if existed:
            for path in sorted(temporary.iterdir()):
                target = folder / path.name
                if target.is_dir():  # no folder can be put in the place of another
                    target.rename(temporary / f"{path.name}.old")
                path.replace(target)
        else:
            temporary.rename(folder)
    finally:
        rmtree(temporary, ignore_errors=True)


def check_file_can_be_written(path: Path) -> None:
    """Raise an OSError unless a file can be made, or replaced if it is there; it stays as it is."""
    folder = path.resolve().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{path} can't be written: there is no folder {folder}; create it, or choose another")
    with _refusing(path, "choose another place"):
        TemporaryFile(dir=folder).close()
        if path.exists():  # it may be a folder, write-protected, or on Windows open in another program
            path.open("r+b").close()


def check_folder_can_be_written(folder: Path, fix: str) -> None:
    """Raise an OSError, which ends with the `fix`, unless files can be made in a folder; it is not made here."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: {fix}")
    places = [folder.absolute(), *folder.absolute().parents]  # the last of them is always there
    with _refusing(folder, fix):
        TemporaryFile(dir=next(place for place in places if place.exists())).close()


@contextmanager
def _refusing(path: Path, fix: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PermissionError(f"{path} can't be written ({error.strerror}): {fix}") from error
