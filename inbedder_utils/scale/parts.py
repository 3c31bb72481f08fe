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
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType, LocalFileSystem

from inbedder_utils.checks import as_list, first_line, one_of, short, string
from inbedder_utils.storage.files import replacing

ROWS, BYTES = 1024, 2**22
"""Most rows of a part; and about how many bytes of texts, if they are long."""
BUFFER = 2**20
"""Bytes that are read ahead of a file, rather than a whole row group, which may be all of it."""
RUN_FILE = "_run.json"  # readers of folders of Parquet files pass over names that begin with _ or .
UNFINISHED = ".part"
MOST_NAMED = 3


@dataclass(frozen=True)
class Source:
    """A file of texts.

    Attributes:
        file: its place: an absolute path, or a URI.
        stem: what its parts are called, folders below the one that all files share included.
        state: size in bytes and time of change, by which a changed file is told.
    """

    file: str
    stem: str
    state: list[int]

    def part(self, number: int, of: int) -> str:
        """The name of a part."""
        return f"{self.stem}-{number:05}-of-{of:05}.parquet"


def located(place: str | Path) -> tuple[FileSystem, str]:
    """The file system of a path or URI, and the path in it; an OSError or ValueError if there is none."""
    if isinstance(place, Path) or "://" not in place:
        return LocalFileSystem(), str(Path(place).expanduser().absolute())
    try:
        return FileSystem.from_uri(place)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{place} can't be reached: {first_line(error)}") from error


def find_sources(places: str | Path | Iterable[str | Path]) -> list[Source]:
    """All Parquet files of places, each a file, a folder, or a pattern such as "big/*.parquet"; sorted by name.

    Raises:
        FileNotFoundError: if there is nothing at a place.
        ValueError: if a file is not Parquet, a folder has none, or a place can't be reached.
    """
    places = [places] if isinstance(places, str | Path) else as_list("files", places, "pass [file]")
    if not places:
        raise ValueError("files is empty: pass at least one")
    infos = {prefix + info.path: info for place in places for prefix, info in _files(place)}
    folder = _shared_folder(list(infos))
    return [
        Source(file, file.removeprefix(folder).removesuffix(".parquet"), [info.size, info.mtime_ns or 0])
        for file, info in sorted(infos.items())
    ]


def _files(place: str | Path) -> Iterator[tuple[str, FileInfo]]:
    if isinstance(place, str) and "://" not in place and has_magic(place) and not Path(place).exists():
        matching = glob(place)
        if not matching:
            raise FileNotFoundError(f"no file is called {place}")
        for path in matching:
            yield from _files(Path(path))
        return
    if not isinstance(place, Path):
        string("file", place)
    files, path = located(place)
    prefix = "" if isinstance(files, LocalFileSystem) else str(place)[: len(str(place)) - len(path)]
    info = files.get_file_info(path)
    if info.type is FileType.NotFound:
        raise FileNotFoundError(f"{place} does not exist")
    if info.type is FileType.File:
        one_of(f"file type of {place}, of which Ray reads one", Path(path).suffix.lower(), [".parquet"])
        yield prefix, info
        return
    inside = [i for i in files.get_file_info(FileSelector(path, recursive=True)) if i.path.endswith(".parquet")]
    if not inside:
        raise ValueError(f"{place} holds no file that ends in .parquet")
    yield from ((prefix, info) for info in inside)


def _shared_folder(files: list[str]) -> str:
    """What the names of all files begin with, up to a /."""
    first, last = min(files), max(files)
    same = next((i for i, pair in enumerate(zip(first, last, strict=False)) if len({*pair}) > 1), len(first))
    return first[: first.rfind("/", 0, same) + 1]


def read_parts(source: Source, column: str, done: frozenset[str]) -> Iterator[tuple[str, int, pa.Table]]:
    """The parts of a file that aren't done: name, number of the first row, rows; of an empty file one without rows.

    Only one part at a time is in memory. An OSError, ValueError or ArrowException says what is wrong with the file.
    """
    files, path = located(source.file)
    with files.open_input_file(path) as stream, pq.ParquetFile(stream, buffer_size=BUFFER) as file:
        names = file.schema_arrow.names
        if column not in names:
            raise ValueError(f"it has no column {column!r}, but {short(names)}")
        rows = _rows_of_a_part(file.metadata, column)
        of = max(1, -(-file.metadata.num_rows // rows))
        if all(source.part(number, of) in done for number in range(of)):
            return
        batches = file.iter_batches(batch_size=rows)
        for number in range(of):
            table = pa.table(next(batches)) if file.metadata.num_rows else file.schema_arrow.empty_table()
            if source.part(number, of) not in done:
                yield source.part(number, of), number * rows, table


def _rows_of_a_part(metadata: pq.FileMetaData, column: str) -> int:
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    stored = [group.column(i) for group in groups for i in range(group.num_columns)]
    n_bytes = sum(one.total_uncompressed_size for one in stored if f"{one.path_in_schema}.".startswith(f"{column}."))
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
        self.place = str(place) if "://" in str(place) else self.path

    def start(self, run: Mapping[str, Any], sources: Iterable[Source]) -> frozenset[str]:
        """Make the folder, or go on in it; the names of the parts that are there.

        Raises:
            ValueError: if it holds other things, was made in another way, or of a file that has changed since.
            OSError: if it can't be written.
        """
        info = self.files.get_file_info(self.path)
        if info.type is FileType.File:
            raise NotADirectoryError(f"{self.place} is a file: choose another out")
        inside = self.files.get_file_info(FileSelector(self.path, recursive=True, allow_not_found=True))
        names = {info.path.removeprefix(self.path).lstrip("/") for info in inside if info.type is FileType.File}
        states = {source.stem: source.state for source in sources}
        if RUN_FILE not in names and any(not name.endswith(UNFINISHED) for name in names):
            raise ValueError(f"{self.place} holds other files: choose another out, or empty it")
        done = frozenset(name for name in names if name.endswith(".parquet"))
        before = self.run() if done else {"embedder": None, "files": {}}
        if done:
            self._check_same(before, run, states)
        self.write_run({**before, **run, "files": before["files"] | states})
        for name in names:
            if name.endswith(UNFINISHED):  # of workers that were killed
                self.files.delete_file(f"{self.path}/{name}")
        return done

    def run(self) -> dict[str, Any]:
        """What the parts are of: settings, files with their states, and the embedder, once it is known."""
        with self.files.open_input_stream(f"{self.path}/{RUN_FILE}") as stream:
            try:
                return json.loads(stream.read())
            except ValueError as error:
                raise ValueError(f"{self.place}/{RUN_FILE} is damaged: choose another out") from error

    def write_run(self, run: Mapping[str, Any]) -> None:
        """Replace what `run` returns."""
        self._write(RUN_FILE, json.dumps(run, indent=1, ensure_ascii=False).encode())

    def _check_same(self, before: Mapping[str, Any], run: Mapping[str, Any], states: Mapping[str, list[int]]) -> None:
        others = [
            f"{name} {short(before.get(name))}, not {short(run[name])}" for name in run if before.get(name) != run[name]
        ]
        if others:
            raise ValueError(f"{self.place} was made with {'; '.join(others)}: choose another out, or empty it")
        changed = [name for name, state in states.items() if before["files"].get(name, state) != state]
        if changed:
            named = ", ".join(changed[:MOST_NAMED]) + ", ..." * (len(changed) > MOST_NAMED)
            raise ValueError(
                f"{len(changed)} files have changed since {self.place} was made of them ({named}): "
                "choose another out, or empty it"
            )

    def has(self, part: str) -> bool:
        """Whether a part is there."""
        return self.files.get_file_info(f"{self.path}/{part}").type is FileType.File

    def write(self, part: str, table: pa.Table) -> None:
        """Write a part, as a whole or not at all."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        self._write(part, sink.getvalue())

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
