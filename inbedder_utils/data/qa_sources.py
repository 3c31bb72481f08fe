"""Where question-answer rows come from: this package, JSON Lines files, and the hub."""

import gzip
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inbedder_utils.checks import as_path, first_line
from inbedder_utils.data.natural_qa import natural_rows
from inbedder_utils.data.small_world_sets import DOMAINS, generate, notes, qa_rows

COLUMNS = ("input", "instruction", "output")
Row = dict[str, str]


@dataclass(frozen=True)
class PublicSet:
    """A permissively licensed set of question answering on the hub.

    Attributes:
        hub: its id.
        split: of the set.
        columns: from one of its rows to (text, question, answer).
        licence: as its authors give it.
    """

    hub: str
    split: str
    columns: Callable[[dict[str, Any]], tuple[str, str, str]]
    licence: str


INTENT_QUESTION = "What does the customer want to talk about?"
PUBLIC = {
    "qamr": PublicSet("biu-nlp/qamr", "validation", lambda r: (r["sentence"], r["question"], r["answer"]), "MIT"),
    "fairytale": PublicSet(
        "WorkInTheDark/FairytaleQA",
        "train",
        lambda r: (r["story_section"], r["question"], r["answer1"]),
        "Apache-2.0",
    ),
    "squad": PublicSet(
        "rajpurkar/squad_v2",
        "validation",
        lambda r: (r["context"], r["question"], r["answers"]["text"][0]),
        "CC BY-SA 4.0",
    ),
    "cosmos": PublicSet(
        "allenai/cosmos_qa",
        "validation",
        lambda r: (r["context"], r["question"], r[f"answer{r['label']}"]),
        "CC BY 4.0",
    ),
    "banking77": PublicSet(
        "PolyAI/banking77", "train", lambda r: (r["text"], INTENT_QUESTION, r["label"].replace("_", " ")), "CC BY 4.0"
    ),
}


def source_rows(name: str, seed: int, n: int) -> Iterator[tuple[str, Any]]:
    """Read a source (see `inbedder_utils.training.rows.load_rows`), good rows and bad ones.

    Args:
        name: of the source.
        seed: of generated texts and of the wording of questions.
        n: which pass over it; passes are worded differently.

    Yields:
        Where a row stands, and the row; None for one that can't be parsed.

    Raises:
        ValueError: for a file that is damaged.
        OSError: if there is no such source, or it can't be reached.
    """
    if name == "small_world":
        rows = small_world_rows(seed)
        yield from ((f"small world, row {i}", row) for i, row in enumerate(rows))
    elif name == "inbedder_qa":
        rows = natural_rows("train", seed=None if n == 0 else seed + n)
        yield from ((f"{name}, row {i}", row) for i, row in enumerate(rows))
    elif name in PUBLIC:
        yield from _public(name)
    elif (path := as_path("data", name)).exists():
        files = sorted(path.glob("*.jsonl*")) if path.is_dir() else [path]
        for file in files:
            yield from _lines(file)
    elif name.startswith((".", "/", "~")) or name.count("/") != 1 or name.endswith((".jsonl", ".gz", ".json")):
        known = ", ".join(["inbedder_qa", "small_world", *PUBLIC])
        raise FileNotFoundError(
            f"no data set {name!r}: pass a JSON Lines file, a hub id (owner/name), or one of {known}"
        )
    else:
        for i, row in enumerate(_hub(name, "train")):
            yield f"{name}, row {i}", row


def small_world_rows(seed: int, texts: int = 4500, notes_per_domain: int = 6000) -> list[Row]:
    """Generated texts and notes of each domain, asked about all of their attributes."""
    labelled = [text for domain in DOMAINS for text in generate(domain, texts, seed=seed)]
    labelled += [note for domain in DOMAINS for note in notes(domain, notes_per_domain, seed=seed)]
    return qa_rows(labelled, seed=seed)


def _public(name: str) -> Iterator[tuple[str, Any]]:
    local = Path(os.environ.get("INBEDDER_DATA", "")) / "qa" / f"{name}.jsonl.gz"
    if os.environ.get("INBEDDER_DATA") and local.is_file():
        rows = _lines(local)
        if name == "banking77":  # a set of labels: the question is ours
            rows = (
                (w, r | {"input": r["text"], "instruction": INTENT_QUESTION, "output": r["label"]}) for w, r in rows
            )
        yield from rows
        return
    public = PUBLIC[name]
    for i, row in enumerate(_hub(public.hub, public.split)):
        if name == "squad" and not row["answers"]["text"]:
            continue  # half of the questions of SQuAD 2.0 have no answer, on purpose
        yield f"{public.hub}, row {i}", dict(zip(COLUMNS, public.columns(row), strict=True))


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


def _hub(name: str, split: str) -> Any:
    import datasets  # a training extra

    try:
        try:
            rows = datasets.load_dataset(name, split=split)
        except RuntimeError:  # the set has a script, which datasets no longer runs; the hub keeps a copy as parquet
            rows = datasets.load_dataset(name, split=split, revision="refs/convert/parquet")
    except (OSError, ValueError, RuntimeError) as error:
        raise OSError(
            f"data set {name!r} can't be loaded from the hub ({first_line(error)}); without a network, pass a "
            f"JSON Lines file, or put a copy of a public set under $INBEDDER_DATA/qa"
        ) from error
    labels = {column: kind for column, kind in rows.features.items() if isinstance(kind, datasets.ClassLabel)}
    return (row | {column: kind.int2str(row[column]) for column, kind in labels.items()} for row in rows)
