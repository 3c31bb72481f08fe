"""Parquet files in, the same rows with more columns out: on this machine, or wherever pyarrow's file systems reach.

A file goes to one part, or to several of about a thousand rows, whose names tell which of how many they are: so a run
that was killed, or a worker that takes over from another, sees what is missing by names alone. A part appears when all
of it is written.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from glob import glob, has_magic
from itertools import takewhile
from pathlib import Path
from posixpath import commonpath
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType, LocalFileSystem

from inbedder_utils.checks import as_list, first_line, one_of, short, string
from inbedder_utils.storage.files import replacing

ROWS, BYTES = 1024, 2**22
"""Most rows of a part; and about how many bytes, if they are long."""
BUFFER = 2**20
"""Bytes that are read ahead of a file, rather than a whole row group, which may be all of it."""
RUN_FILE, TURN_FILE, EMBEDDER_FILE = "_run.json", "_turn", "_embedder"  # readers of Parquet pass over names with _ or .
UNFINISHED = ".part"
MOST_NAMED = 3


@dataclass(frozen=True)
class Source:
    """A file of texts.

    Attributes:
        place: a path or URI, which tells its file system.
        file: its path there.
        stem: what its parts are called, with folders below the one that was named.
        state: size in bytes and time of change, by which a changed file is told.
    """

    place: str
    file: str
    stem: str
    state: list[int]

    def part(self, number: int, of: int) -> str:
        """The name of a part."""
        return f"{self.stem}-{number:05}-of-{of:05}.parquet"


def located(place: str | Path) -> tuple[FileSystem, str]:
    """The file system of a path or URI, and the path in it; an OSError or ValueError if there is none."""
    if isinstance(place, Path) or "://" not in place:
        return LocalFileSystem(), Path(place).expanduser().absolute().as_posix()
    try:
        return FileSystem.from_uri(place)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{place} can't be reached: {first_line(error)}") from error


def find_sources(places: str | Path | Iterable[str | Path], without: str = "") -> tuple[str, list[Source]]:
    """All Parquet files of places, each a file, a folder, or a pattern of local ones such as "big/*.parquet".

    Returns:
        The folder that they are in, and the files, sorted, without those in the folder `without` and those whose name
        begins with _ or a dot.

    Raises:
        FileNotFoundError: if there is nothing at a place.
        ValueError: if a file is not Parquet, a folder has none, or places are on several file systems, or unreachable.
    """
    places = [places] if isinstance(places, str | Path) else as_list("files", places, "pass [file]")
    if not places:
        raise ValueError("files is empty: pass at least one")
    found = [_files(place, without) for place in places]
    if len({type(located(place)[0]) for place in places}) > 1:
        raise ValueError("files are on several file systems: encode those of each on their own")
    folder = commonpath([root for root, _ in found])
    infos = {info.path: (str(place), info) for place, (_, some) in zip(places, found, strict=True) for info in some}
    return folder, [
        Source(place, path, path.removeprefix(folder).strip("/").removesuffix(".parquet"), _state(info))
        for path, (place, info) in sorted(infos.items())
    ]


def _state(info: FileInfo) -> list[int]:
    return [info.size, info.mtime_ns or 0]


def _files(place: str | Path, without: str) -> tuple[str, list[FileInfo]]:
    """The folder that a place names, and the files in it."""
    if not isinstance(place, Path):
        string("file", place)
    files, path = located(place)
    info = files.get_file_info(path)
    if info.type is FileType.File:
        one_of(f"kind of file, {place}; read are those that end in", Path(path).suffix.lower(), [".parquet"])
        return path.rpartition("/")[0] or "/", [info]
    if info.type is FileType.Directory:
        inside = files.get_file_info(FileSelector(path, recursive=True))
        shown = [info for info in inside if info.path.endswith(".parquet")]
        shown = [info for info in shown if not re.search(r"/[_.]", info.path.removeprefix(path))]
        shown = [info for info in shown if not (without and info.path.startswith(f"{without}/"))]
        if not shown:
            raise ValueError(f"{place} holds no file that ends in .parquet")
        return path, shown
    matching = sorted(glob(path, recursive=True)) if isinstance(files, LocalFileSystem) and has_magic(path) else []
    if not matching:
        raise FileNotFoundError(f"there is no {place}")
    root = "/".join(takewhile(lambda name: not has_magic(name), path.split("/")))
    return root or "/", [info for one in matching for info in _files(Path(one), without)[1]]


def read_parts(source: Source, column: str, done: frozenset[str]) -> Iterator[tuple[str, int, pa.Table]]:
    """The parts of a file that aren't done: name, number of the first row, rows; of an empty file one without rows.

    Only one part at a time is in memory. An OSError, ValueError or ArrowException says what is wrong with the file.
    """
    files, _ = located(source.place)
    little = {"buffer_size": BUFFER, "pre_buffer": False}
    with files.open_input_file(source.file) as stream, pq.ParquetFile(stream, **little) as file:
        names = file.schema_arrow.names
        if column not in names:
            raise ValueError(f"it has no column {column!r}, but {short(names)}")
        n, rows = file.metadata.num_rows, _rows_of_a_part(file.metadata)
        of = max(1, -(-n // rows))
        batches = file.iter_batches(batch_size=rows)
        for number in range(of):
            pieces = []
            while sum(map(len, pieces)) < min(rows, n - number * rows):  # of categories there are pieces by row group
                pieces.append(next(batches))
            table = pa.Table.from_batches(pieces, file.schema_arrow)
            if source.part(number, of) not in done:
                table[column].validate(full=True)
                yield source.part(number, of), number * rows, table


def _rows_of_a_part(metadata: pq.FileMetaData) -> int:
    n_bytes = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    return min(ROWS, max(1, BYTES * metadata.num_rows // max(1, n_bytes)))


def unfinished(sources: Iterable[Source], done: Iterable[str]) -> list[Source]:
    """Those of which a part is missing, by the names of the parts that are there; no file is opened for that."""
    names = filter(None, (re.fullmatch(r"(.+)-\d{5,}-of-(\d{5,})\.parquet", name) for name in done))
    counts = Counter(name.groups() for name in names)
    complete = {stem for (stem, of), n in counts.items() if n == int(of)}
    return [source for source in sources if source.stem not in complete]


class PartFolder:
    """Where parts go, and what a run was started with.

    Args:
        place: a path or URI; the folder is made by `start`.
    """

    def __init__(self, place: str | Path) -> None:
        self.files, self.path = located(place)
        self.turn = ""

    def start(self, run: Mapping[str, Any], sources: Iterable[Source]) -> frozenset[str]:
        """Make the folder, or go on in it; the names of the parts that are there. A run that is at it is stopped.

        Raises:
            ValueError: if it holds other things, was made in another way, or of a file that has changed since.
            OSError: if it can't be written.
        """
        if self.files.get_file_info(self.path).type is FileType.File:
            raise NotADirectoryError(f"{self.path} is a file: choose another out")
        inside = self.files.get_file_info(FileSelector(self.path, recursive=True, allow_not_found=True))
        names = {info.path.removeprefix(self.path).lstrip("/") for info in inside if info.type is FileType.File}
        if RUN_FILE not in names and any(not name.endswith(UNFINISHED) for name in names):
            raise ValueError(f"{self.path} holds other files: choose another out, or empty it")
        done = frozenset(name for name in names if name.endswith(".parquet"))
        states = {source.stem: source.state for source in sources}
        if done:
            states = self._same(run, states)
        elif EMBEDDER_FILE in names:
            self.files.delete_file(f"{self.path}/{EMBEDDER_FILE}")
        self.turn = uuid4().hex
        self._write(TURN_FILE, self.turn.encode())
        self._write(RUN_FILE, json.dumps({**run, "files": states}, indent=1, ensure_ascii=False).encode())
        for name in names:
            if name.endswith(UNFINISHED):  # of workers that were killed
                self.files.delete_file(f"{self.path}/{name}")
        return done

    def _same(self, run: Mapping[str, Any], states: Mapping[str, list[int]]) -> dict[str, list[int]]:
        """The states of all files, these and those of earlier runs, if the parts were made in the same way."""
        try:
            before = json.loads(self._read(RUN_FILE))
            known = before.pop("files")
        except (ValueError, KeyError) as error:
            raise ValueError(f"{self.path}/{RUN_FILE} is damaged: choose another out") from error
        differing = [name for name in run if before.get(name) != run[name]]
        others = [f"{name} {short(before.get(name))}, not {short(run[name])}" for name in differing]
        if others:
            raise ValueError(f"{self.path} was made with {'; '.join(others)}: choose another out, or empty it")
        changed = [name for name, state in states.items() if known.get(name, state) != state]
        if changed:
            named = ", ".join(changed[:MOST_NAMED]) + ", ..." * (len(changed) > MOST_NAMED)
            since = f"files that have changed since {self.path} was made of them: {len(changed)}, {named}"
            raise ValueError(f"{since}: choose another out, or empty it")
        return known | dict(states)

    def check_embedder(self, embedder: str) -> None:
        """Raise a ValueError if the parts are another embedder's; the first that asks says whose they are."""
        if not self.has(EMBEDDER_FILE):
            self._write(EMBEDDER_FILE, embedder.encode())
        if self._read(EMBEDDER_FILE).decode() != embedder:
            what = f"{self.path} was made by another embedder of that name than is loaded now"
            raise ValueError(f"{what}: see that all machines have the same, and choose another out, or empty it")

    def has(self, name: str) -> bool:
        """Whether a part is there."""
        return self.files.get_file_info(f"{self.path}/{name}").type is FileType.File

    def read(self, part: str) -> pa.Table:
        """A part."""
        with self.files.open_input_file(f"{self.path}/{part}") as stream:
            return pq.read_table(stream)

    def write(self, part: str, table: pa.Table) -> None:
        """Write a part, as a whole or not at all; a ValueError if another run has begun in this folder."""
        if self._read(TURN_FILE).decode() != self.turn:
            raise ValueError(f"another run has begun in {self.path}: this one ends")
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        self._write(part, sink.getvalue())

    def _read(self, name: str) -> bytes:
        with self.files.open_input_stream(f"{self.path}/{name}") as stream:
            return stream.read()

    def _write(self, name: str, content: Any) -> None:
        path = f"{self.path}/{name}"
        folder = path.rpartition("/")[0]
        self.files.create_dir(folder, recursive=True)
        if isinstance(self.files, LocalFileSystem):
            with replacing(Path(path)) as file:
                file.write(content)
            return
        unfinished = f"{folder}/.{uuid4().hex}{UNFINISHED}"
        with self.files.open_output_stream(unfinished) as stream:
            stream.write(content)
        self.files.move(unfinished, path)
