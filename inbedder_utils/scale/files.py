"""Parquet files on a Ray cluster: read, asked and written in parts, of which a run that dies loses none."""

import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from inbedder_utils.checks import TextsCut, first_line
from inbedder_utils.scale.parts import PartFolder, Source, find_sources, read_parts, unfinished
from inbedder_utils.scale.rows import Asked, AskRows, actors, beside, told_by

if TYPE_CHECKING:
    from inbedder_utils.clustering import Clustering, Lens

BLOCK = 2**17
"""Bytes of texts that one actor is handed at once: with Ray's own 128 MB, all of a small corpus would go to one."""
MOST_READERS, CORES_FOR_A_READER = 64, 8
"""Tasks that read files, each one after another, and no faster than their texts are taken."""
TEXT, NUMBER = pa.string(), pa.int64()
PACKED = pa.schema({"file": TEXT, "part": TEXT, "first": NUMBER, "rows": pa.binary(), "error": TEXT})
"""What a reader sends to an actor: one row is one part, however many texts it has."""
TOLD = pa.schema(
    {"file": TEXT, "texts": NUMBER, "bad": NUMBER, "first_bad": NUMBER, "cut": NUMBER}
    | {"seconds": pa.float64(), "embedder": TEXT, "error": TEXT}
)
"""What an actor tells of a part; of some that were asked together, the last one has prompts cut, and seconds."""


@dataclass
class Encoded:
    """What became of files.

    Attributes:
        out: the folder with the parts.
        n_texts: texts that were encoded.
        n_cut: prompts (text and question) that were too long to be read whole.
        n_bad, first_bad: rows that are null, empty or not text, and where the first of them is.
        n_parts, n_before: parts that were written, and those that were there already.
        failed: {file: what is wrong with it}; a later run does what is missing of them.
    """

    out: str
    n_texts: int = 0
    n_cut: int = 0
    n_bad: int = 0
    first_bad: str | None = None
    n_parts: int = 0
    n_before: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def count(self, done: dict[str, Any]) -> None:
        """Take in what is told of a part, or of a file that can't be read."""
        if done["error"]:
            self.failed[done["file"]] = done["error"]
            return
        self.n_parts += 1
        self.n_texts += done["texts"]
        self.n_cut += done["cut"] or 0
        self.n_bad += done["bad"]
        if done["bad"] and self.first_bad is None:
            self.first_bad = f"row {done['first_bad']} of {done['file']}"


def encode_files(
    files: str | Path | Iterable[str | Path],
    out: str | Path,
    checkpoint: Any = "mini",
    questions: str | Sequence[str] = "",
    *,
    column: str = "text",
    answers: bool = False,
    clusters: "Clustering | None" = None,
    lens: "Lens | None" = None,
    num_gpus: float | None = None,
    show_progress_bar: bool = False,
    **settings: Any,
) -> Encoded:
    """Ask all texts of Parquet files, on the Ray cluster that `ray.init` has joined, or one of this machine's cores.

    The folder `out` gets the files' rows with what `encode_dataset` adds, and "row", their number in the file, from 0
    on: parts of up to 1,024 rows, "NAME-00000-of-00003.parquet" of NAME.parquet. Each appears when it is complete. A
    worker or machine that dies costs what it had not yet written, and others take that over; a run that was killed goes
    on when it is started again in the same way, and also does files that came since. Texts go through memory a block at
    a time, whatever the sizes of files and row groups.

    Args:
        files: a file, folder or pattern, or several; paths, or URIs of pyarrow's file systems ("s3://bucket/folder").
        out: a folder, which all machines reach; or a URI.
        checkpoint: this and what follows are those of `encode_dataset`.
        questions: one, or several.
        column: the column with the texts.
        answers: also answer the questions in words.
        clusters: clusters or options, which tell where each text belongs.
        lens: for the vectors of the first question.
        num_gpus: GPUs of an actor.
        show_progress_bar: have Ray draw its bars.
        **settings: of `load_encoder`.

    Returns:
        What was done. A file that can't be read is named in it, and keeps no other from being done.

    Raises:
        TypeError, ValueError: as `encode_dataset`; or if `out` holds other things, was made by another embedder or in
            another way, or of files that have changed since.
        OSError: if there are no such files, or `out` can't be written.
        ImportError: if Ray is not installed.
    """
    asked = Asked(checkpoint, questions, column, answers, clusters, lens, settings)
    sources, folder = find_sources(files), PartFolder(out)
    pool = actors(num_gpus)  # nothing is made without Ray
    done = folder.start(asked.said(), sources)
    result = Encoded(folder.place, n_before=len(done))
    if left := unfinished(sources, done):
        embedder = folder.run()["embedder"]
        for told in _told(left, asked, folder, done, embedder, pool, show_progress_bar):
            result.count(told)
            if told["embedder"] and embedder is None:
                embedder = told["embedder"]
                folder.write_run(folder.run() | {"embedder": embedder})
            if told["embedder"] not in (None, embedder):
                what = f"machines have different embedders by the name of {asked.checkpoint}"
                raise ValueError(f"{what}: make them the same, and begin anew with another out")
    return result


def _told(
    sources: list[Source],
    asked: Asked,
    folder: PartFolder,
    done: frozenset[str],
    embedder: str | None,
    pool: dict[str, Any],
    shown: bool,
) -> Iterator[dict[str, Any]]:
    """Have Ray write all parts that aren't done, and yield what is told of each, or of a file that can't be read."""
    import ray.data
    from ray.exceptions import RayTaskError

    readers = max(2, min(MOST_READERS, int(ray.cluster_resources()["CPU"]) // CORES_FOR_A_READER))
    # They ask for no core: actors hold all, and would wait for ever if a node died and its texts had to be read again.
    places = {"compute": ray.data.TaskPoolStrategy(readers), "num_cpus": 0}
    items = [{"file": source.file, "stem": source.stem} for source in sources]
    dataset = ray.data.from_items(items, override_num_blocks=min(MOST_READERS, len(items)))
    dataset.context.target_max_block_size = BLOCK
    dataset.context.enable_progress_bars = shown
    dataset.context.raise_original_map_exception = True
    read = {"column": asked.column, "done": done}
    texts = dataset.map_batches(_read, batch_size=1, fn_kwargs=read, **places)
    parts = texts.map_batches(AskParts, fn_constructor_args=[asked, folder, embedder], **pool)
    try:
        yield from parts.iter_rows()
    except RayTaskError as error:
        raise error.cause from error


def _read(sources: dict[str, np.ndarray], column: str, done: frozenset[str]) -> Iterator[pa.Table]:
    """Pack the parts of files for their way to an actor, one at a time; or say what is wrong with a file."""
    for file, stem in zip(sources["file"], sources["stem"], strict=True):
        try:
            for part, first, table in read_parts(Source(file, stem, []), column, done):
                packed = {"file": file, "part": part, "first": first, "rows": _packed(table)}
                yield pa.Table.from_pylist([packed], PACKED)
        except (OSError, ValueError, pa.ArrowException) as error:
            yield pa.Table.from_pylist([{"file": file, "error": first_line(error)}], PACKED)


def _packed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


class AskParts(AskRows):
    """Writes the parts that it is handed, with their new columns, and tells of each."""

    def __init__(self, asked: Asked, folder: PartFolder, embedder: str | None) -> None:
        super().__init__(asked)
        self.folder, self.expected = folder, embedder

    @cached_property
    def embedder(self) -> str:
        """What its vectors are known by."""
        return told_by(self.encoder)

    def __call__(self, packed: pa.Table) -> pa.Table:
        """Write all parts that aren't there: another actor, that died, may have written some."""
        if self.expected not in (None, self.embedder):
            what = f"{self.folder.place} was made by another embedder than {self.asked.checkpoint} is now"
            raise ValueError(f"{what}: choose another out, or empty it")
        parts = packed.to_pylist()
        told = [{"file": part["file"], "error": part["error"]} for part in parts if part["error"]]
        parts = [part for part in parts if not part["error"] and not self.folder.has(part["part"])]
        started = time.perf_counter()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", TextsCut)
            asked = self.add([pa.ipc.open_stream(part["rows"]).read_all() for part in parts]) if parts else []
        for part, table in zip(parts, asked, strict=True):
            rows = np.arange(part["first"], part["first"] + len(table))
            bad = rows[table[self.asked.vectors[0]].is_null().to_numpy()]
            self.folder.write(part["part"], beside(table, {"row": pa.array(rows)}))
            told.append(
                {"file": part["file"], "texts": len(table) - len(bad), "bad": len(bad), "embedder": self.embedder}
            )
            told[-1] |= {"first_bad": int(bad[0])} if len(bad) else {}
        if parts:
            cut = sum(warning.message.cut for warning in warned if isinstance(warning.message, TextsCut))
            told[-1] |= {"cut": cut, "seconds": time.perf_counter() - started}
        return pa.Table.from_pylist(told, TOLD)
