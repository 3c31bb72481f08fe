"""Where question-answer rows come from: this package, JSON Lines files, and the hub."""

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from inbedder_utils.checks import as_path
from inbedder_utils.data.hub import HubSet, local_copies, read_hub
from inbedder_utils.data.label_sets import LABEL_SETS, questions_about
from inbedder_utils.data.label_sources import LABEL_SOURCES
from inbedder_utils.data.natural_qa import natural_rows
from inbedder_utils.data.small_world import DOMAINS
from inbedder_utils.data.small_world_sets import generate, notes, qa_rows

ROW_COLUMNS = ("input", "instruction", "output")
Row = dict[str, str]
"""A text, a question about it, and the answer: `ROW_COLUMNS`, and perhaps type (of text) and kind (of question)."""

QA_SETS = {
    "qamr": HubSet(
        "biu-nlp/qamr", lambda r: (r["sentence"], r["question"], r["answer"]), split="validation", licence="MIT"
    ),
    "fairytale": HubSet(
        "WorkInTheDark/FairytaleQA",
        lambda r: (r["story_section"], r["question"], r["answer1"]),
        split="train",
        licence="Apache-2.0",
    ),
    "squad": HubSet(
        "rajpurkar/squad_v2",
        lambda r: (r["context"], r["question"], r["answers"]["text"][0]),
        split="validation",
        licence="CC BY-SA 4.0",
    ),
    "cosmos": HubSet(
        "allenai/cosmos_qa",
        lambda r: (r["context"], r["question"], r[f"answer{r['label']}"]),
        split="validation",
        licence="CC BY 4.0",
    ),
}
"""Permissively licensed sets of question answering, by name; for those of labels see `label_sets`."""


def source_rows(name: str, seed: int, n: int) -> Iterator[tuple[str, Any]]:
    """Read a source (see `inbedder_utils.training.rows.load_rows`), good rows and bad ones.

    `seed` is that of generated texts and of the wording of questions, which differs from one pass `n` to the next.

    Yields:
        Where a row stands, and the row; None for one that can't be parsed.

    Raises:
        ValueError: for a file that is damaged.
        OSError: if there is no such source, or it can't be reached.
    """
    if name == "small_world":
        yield from _numbered("small world", small_world_rows(seed))
    elif name == "inbedder_qa":
        yield from _numbered(name, natural_rows("train", seed=None if n == 0 else seed + n))
    elif name in QA_SETS:
        yield from _public(name)
    elif name in LABEL_SETS:
        yield from _about_labels(name, Random(f"{seed} {n} {name}"))
    elif (path := as_path("data", name)).exists():
        for file in sorted(path.glob("*.jsonl*")) if path.is_dir() else [path]:
            yield from _lines(file)
    elif name.startswith((".", "/", "~")) or name.count("/") != 1 or name.endswith((".jsonl", ".gz", ".json")):
        known = ", ".join(["inbedder_qa", "small_world", *QA_SETS, *LABEL_SETS])
        raise FileNotFoundError(
            f"no data set {name!r}: pass a JSON Lines file, a hub id (owner/name), or one of {known}"
        )
    else:
        yield from _numbered(name, _from_hub(HubSet(name, split="train")))


def small_world_rows(seed: int, texts: int = 4500, notes_per_domain: int = 6000) -> list[Row]:
    """Generated texts and notes of each domain, asked about all of their attributes."""
    labelled = [text for domain in DOMAINS for text in generate(domain, texts, seed=seed)]
    labelled += [note for domain in DOMAINS for note in notes(domain, notes_per_domain, seed=seed)]
    return qa_rows(labelled, seed=seed)


def _numbered(where: str, rows: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"{where}, row {i}", row) for i, row in enumerate(rows))


def _public(name: str) -> Iterator[tuple[str, Any]]:
    public, copy = QA_SETS[name], _local_copy(name)
    if copy:  # in the columns of rows
        yield from _lines(copy)
        return
    for where, row in _numbered(public.hub, _from_hub(public)):
        if name != "squad" or row["answers"]["text"]:  # half of SQuAD's questions have no answer, on purpose
            yield where, dict(zip(ROW_COLUMNS, public.columns(row), strict=True))


def _about_labels(name: str, rng: Random) -> Iterator[tuple[str, Any]]:
    copy = _local_copy(name)
    for where, labelled in _lines(copy) if copy else _numbered(name, LABEL_SOURCES[name].rows(name)):
        try:
            rows = list(questions_about(name, labelled, rng)) if labelled is not None else [None]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{where} has not the columns of {name}, see docs/training.md: {error!r}") from error
        yield from ((where, row) for row in rows)


def _local_copy(name: str) -> Path | None:
    folder = local_copies()
    copy = folder / "qa" / f"{name}.jsonl.gz" if folder else None
    return copy if copy is not None and copy.is_file() else None


def _lines(file: Path) -> Iterator[tuple[str, Any]]:
    opened = gzip.open if file.suffix == ".gz" else open
    number = 0
    try:
        with opened(file, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    yield f"{file}, line {number}", json.loads(line)
                except json.JSONDecodeError as error:
                    yield f"{file}, line {number} ({error})", None
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{file} can't be read after line {number} ({error}): it must be whole, and in UTF-8"
        ) from error


def _from_hub(public: HubSet) -> Iterator[dict[str, Any]]:
    """All rows, with words for the numbers that labels are stored as."""
    fix = "; without a network, pass a JSON Lines file, or put a copy of a public set under $INBEDDER_DATA/qa"
    rows = read_hub(public, f"data set {public.hub!r}", fix)
    labels = {column: kind for column, kind in rows.features.items() if hasattr(kind, "int2str")}
    return (row | {column: kind.int2str(row[column]) for column, kind in labels.items()} for row in rows)
