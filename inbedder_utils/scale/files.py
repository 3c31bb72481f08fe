"""Parquet files on a Ray cluster: read, asked and written in parts, of which a run that dies loses none."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from inbedder_utils.checks import TextsCut, first_line
from inbedder_utils.scale.cluster import actors
from inbedder_utils.scale.parts import PartFolder, Source, find_sources, read_parts, unfinished
from inbedder_utils.scale.rows import Asked, AskRows, beside

if TYPE_CHECKING:
    from inbedder_utils.clustering import Clustering, Lens

BLOCK = 2**17
"""Bytes from which on parts are handed over: with Ray's own 128 MB, all of a small corpus would go to one actor."""
MOST_READERS, CORES_FOR_A_READER = 64, 8
"""Tasks that read files, each one after another, and no faster than their texts are taken."""
TEXT, NUMBER = pa.string(), pa.int64()
PACKED = pa.schema({"file": TEXT, "part": TEXT, "first": NUMBER, "rows": pa.binary(), "error": TEXT})
"""What a reader sends to an actor: one row is one part, however many texts it has."""
TOLD = pa.schema({"file": TEXT, "texts": NUMBER, "bad": NUMBER, "first_bad": NUMBER, "cut": NUMBER, "error": TEXT})
"""What an actor tells of a part."""


@dataclass
class Encoded:
    """What became of files.

    Attributes:
        out: the folder with the parts.
        n_texts: texts that were encoded.
        n_cut: prompts (text and question) that were too long to be read whole.
        n_bad, first_bad: rows that are null, empty or not text, and where one of them is.
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
        self.n_cut += done["cut"]
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
    folder = PartFolder(out)
    root, sources = find_sources(files, without=folder.path)
    pool = actors(num_gpus)  # nothing is made without Ray
    done = folder.start({"folder": root} | asked.said(), sources)
    result = Encoded(folder.path, n_before=len(done))
    if left := unfinished(sources, done):
        for told in _told_parts(left, asked, folder, done, pool, show_progress_bar):
            result.count(told)
    return result


def _told_parts(
    sources: list[Source],
    asked: Asked,
    folder: PartFolder,
    done: frozenset[str],
    pool: dict[str, Any],
    shown: bool,
) -> Iterator[dict[str, Any]]:
    """Have Ray write all parts that aren't done, and yield what is told of each, or of a file that can't be read."""
    import ray.data
    from ray.exceptions import RayError

    readers = max(2, min(MOST_READERS, int(ray.cluster_resources().get("CPU", 0)) // CORES_FOR_A_READER))
    # They ask for no core: actors hold all, and would wait for ever if a node died and its texts had to be read again.
    places = {"compute": ray.data.TaskPoolStrategy(readers), "num_cpus": 0}
    items = [vars(source) for source in sources]
    dataset = ray.data.from_items(items, override_num_blocks=min(MOST_READERS, len(items)))
    dataset.context.target_max_block_size = BLOCK
    dataset.context.enable_progress_bars = shown
    dataset.context.raise_original_map_exception = True
    read = {"column": asked.column, "done": done}
    texts = dataset.map_batches(_read, batch_size=1, batch_format="pyarrow", fn_kwargs=read, **places)
    parts = texts.map_batches(AskParts, fn_constructor_args=[asked, folder], **pool)
    try:
        yield from parts.iter_rows()
    except RayError as error:
        raise getattr(error, "cause", None) or RuntimeError(f"Ray gave up: {first_line(error)}") from error


def _read(sources: pa.Table, column: str, done: frozenset[str]) -> Iterator[pa.Table]:
    """Pack the parts of files for their way to an actor, one at a time; or say what is wrong with a file."""
    for source in [Source(**source) for source in sources.to_pylist()]:
        try:
            for part, first, table in read_parts(source, column, done):
                packed = {"file": source.file, "part": part, "first": first, "rows": _packed(table)}
                yield pa.Table.from_pylist([packed], PACKED)
        except (OSError, ValueError, pa.ArrowException) as error:
            yield pa.Table.from_pylist([{"file": source.file, "error": first_line(error)}], PACKED)


def _packed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


class AskParts(AskRows):
    """Writes the parts that it is handed, with their new columns, and tells of each."""

    def __init__(self, asked: Asked, folder: PartFolder) -> None:
        super().__init__(asked)
        self.folder = folder

    @cached_property
    def encoder(self) -> Any:
        """The encoder, if the parts that are there are its own."""
        encoder = super().encoder
        self.folder.check_embedder(told_by(encoder))
        return encoder

    def __call__(self, packed: pa.Table) -> pa.Table:
        """Write all parts that aren't there: another actor, that died, may have written some."""
        parts = packed.to_pylist()
        failed = [{"file": part["file"], "error": part["error"]} for part in parts if part["error"]]
        return pa.Table.from_pylist(failed + [self._told(part) for part in parts if not part["error"]], TOLD)

    def _told(self, part: dict[str, Any]) -> dict[str, Any]:
        cut = 0
        if self.folder.has(part["part"]):
            table = self.folder.read(part["part"])
        else:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always", TextsCut)
                table = self._asked(part)
            cut = sum(warning.message.cut for warning in warned if isinstance(warning.message, TextsCut))
        bad = table["row"].filter(table[self.asked.vectors[0]].is_null())
        counts = {"texts": len(table) - len(bad), "bad": len(bad), "first_bad": bad[0].as_py() if len(bad) else None}
        return {"file": part["file"], "cut": cut} | counts

    def _asked(self, part: dict[str, Any]) -> pa.Table:
        """A part with its new columns, which is written."""
        rows = pa.ipc.open_stream(part["rows"]).read_all()
        try:
            table = super().__call__(rows)
        except ValueError as error:
            where = f"{part['file']}, rows {part['first']} to {part['first'] + len(rows) - 1}"
            raise ValueError(f"{error}; it was in {where}") from error
        table = beside(table, {"row": pa.array(np.arange(part["first"], part["first"] + len(rows)))})
        self.folder.write(part["part"], table)
        return table


def told_by(encoder: Any) -> str:
    """What tells an encoder from others."""
    if not hasattr(encoder, "checkpoint"):
        return repr(encoder)
    from inbedder_utils.storage import identity  # imports torch, which an encoder of one's own may do without

    return identity.told_by(encoder)
