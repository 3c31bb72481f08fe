"""Question-answer rows for training: read from many places, checked, shortened, and partly set aside."""

import gzip
import json
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from inbedder_utils.natural_qa import natural_rows
from inbedder_utils.presets import Part
from inbedder_utils.qa_data import DOMAINS, generate, notes, qa_rows, questions, shorten_answer

COLUMNS = ("input", "instruction", "output")
MOST_BAD = 0.01  # share of bad rows from which something is wrong with the file
Row = dict[str, str]


@dataclass
class Rows:
    """Rows of one source.

    Attributes:
        good: rows with a text, a question and an answer.
        bad: for each other row where it stands and what is wrong with it.
    """

    good: list[Row] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)

    def add(self, where: str, row: Any) -> None:
        """Take a row if it is complete, else note what is wrong with it."""
        if not isinstance(row, dict):
            self.bad.append(f"{where}: not an object with {', '.join(COLUMNS)}")
            return
        wrong = [name for name in COLUMNS if not isinstance(row.get(name), str) or not row[name].strip()]
        if wrong:
            self.bad.append(f"{where}: {', '.join(wrong)} missing or empty")
        else:
            self.good.append(row)


@dataclass(frozen=True)
class PublicSet:
    """A permissively licensed set of question answering on the hub.

    Attributes:
        hub: its id.
        split: of the set.
        columns: from one of its rows to (text, question, answer).
        licence: as its authors give it.
        config: name of its configuration, if it has several.
    """

    hub: str
    split: str
    columns: Callable[[dict[str, Any]], tuple[str, str, str]]
    licence: str
    config: str | None = None


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
        lambda r: (r["context"], r["question"], next(iter(r["answers"]["text"]), "")),
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


def load_rows(part: Part, seed: int = 0) -> Rows:
    """Read one part of the training data.

    Args:
        part: its source is `inbedder_qa` (the natural texts that ship with the package), `small_world` (generated
            texts), a name in `PUBLIC`, a JSON Lines file (.jsonl or .jsonl.gz) with the columns input, instruction and
            output, a folder of such files, or the hub id of a set with these columns. Public sets are taken from
            the folder in `INBEDDER_DATA`, as qa/NAME.jsonl.gz, if they are there.
        seed: of generated texts, of the wording of questions, and of the draw.

    Raises:
        ValueError: if there are no good rows.
        OSError: if there is no such source, or it can't be reached.
    """
    rows = Rows()
    for n in range(part.passes):
        for where, row in _source(part.source, seed, n):
            rows.add(where, row)
    if not rows.good:
        raise ValueError(
            f"{part.source} holds no complete row; the first problem: {rows.bad[0] if rows.bad else 'empty'}"
        )
    if part.limit is not None and part.limit < len(rows.good):
        rows.good = Random(f"{seed} {part.source}").sample(rows.good, part.limit)
    return rows


def load_parts(parts: Sequence[Part], seed: int = 0) -> list[Row]:
    """Read all parts; say which rows are bad.

    Raises:
        ValueError, OSError: as `load_rows`; also if more than 1% of a source's rows are bad.
    """
    together = []
    for part in parts:
        rows = load_rows(part, seed)
        if rows.bad:
            total = len(rows.bad) + len(rows.good)
            said = f"{len(rows.bad)} of {total} rows of {part.source} are bad: {'; '.join(rows.bad[:5])}"
            said += f" ... and {len(rows.bad) - 5} more" if len(rows.bad) > 5 else ""
            if len(rows.bad) > MOST_BAD * total:
                raise ValueError(f"{said}. More than {MOST_BAD:.0%} means that something is wrong: mend or drop them")
            warnings.warn(f"{said}. They are left out", stacklevel=2)
        together += rows.good
    return together


def held_out_rows(source: str, seed: int = 0) -> list[Row]:
    """Rows to evaluate on: of the sets that ship with the package those that are never trained on, else all.

    Args:
        source: as for `load_rows`.
        seed: of generated texts.

    Raises:
        ValueError, OSError: as `load_rows`.
    """
    if source == "inbedder_qa":
        return natural_rows("dev")
    if source == "small_world":
        texts = [text for domain in DOMAINS for text in generate(domain, 60, seed=seed, split="eval")]
        return [
            {"input": text.text, "instruction": questions(text.domain, name, "eval")[0], "output": value}
            for text in texts
            for name, value in text.attributes.items()
        ]
    return load_parts([Part(source)], seed)


def shortened(rows: Sequence[Row]) -> list[Row]:
    """Take the stop words out of the answers, as the paper does: a short answer is all meaning (section 3)."""
    return [row | {"output": shorten_answer(row["output"])} for row in rows]


def mean_length(rows: Sequence[Row]) -> float:
    """Words per answer."""
    return sum(len(row["output"].split()) for row in rows) / max(1, len(rows))


def set_aside(rows: Sequence[Row], share: float = 0.02, most: int = 500, seed: int = 0) -> tuple[list[Row], list[Row]]:
    """Part rows into those to train on and those to evaluate on; no text is in both.

    Returns:
        Rows to train on, and at most about `most` rows held out.
    """
    counts = Counter(row["input"] for row in rows)
    texts = sorted(counts)
    Random(f"{seed} held out").shuffle(texts)
    budget = min(most, share * len(rows))
    held, taken = set(), 0
    for text in texts:
        if taken >= budget:
            break
        held.add(text)
        taken += counts[text]
    return [r for r in rows if r["input"] not in held], [r for r in rows if r["input"] in held]


def _source(name: str, seed: int, n: int) -> Iterator[tuple[str, Any]]:
    """Rows of the n-th pass, with the place that each came from."""
    if name == "small_world":
        rows = small_world_rows(seed)
        yield from ((f"small world, row {i}", row) for i, row in enumerate(rows))
    elif name == "inbedder_qa":
        rows = natural_rows("train", seed=None if n == 0 else seed + n)
        yield from ((f"{name}, row {i}", row) for i, row in enumerate(rows))
    elif name in PUBLIC:
        yield from _public(name)
    elif (path := Path(name).expanduser()).exists():
        files = sorted(path.glob("*.jsonl*")) if path.is_dir() else [path]
        for file in files:
            yield from _lines(file)
    elif name.startswith((".", "/", "~")) or name.count("/") != 1 or name.endswith((".jsonl", ".gz", ".json")):
        known = ", ".join(["inbedder_qa", "small_world", *PUBLIC])
        raise FileNotFoundError(
            f"no data set {name!r}: pass a JSON Lines file, a hub id (owner/name), or one of {known}"
        )
    else:
        for i, row in enumerate(_hub(name, "train", None)):
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
    for i, row in enumerate(_hub(public.hub, public.split, public.config)):
        yield f"{public.hub}, row {i}", dict(zip(COLUMNS, public.columns(row), strict=True))


def _lines(file: Path) -> Iterator[tuple[str, Any]]:
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield f"{file}, line {number}", json.loads(line)
            except json.JSONDecodeError as error:
                yield f"{file}, line {number} ({error})", None


def _hub(name: str, split: str, config: str | None) -> Any:
    import datasets  # a training extra

    try:
        rows = datasets.load_dataset(name, config, split=split)
    except (OSError, ValueError, RuntimeError) as error:
        raise OSError(
            f"data set {name!r} can't be loaded from the hub ({str(error).splitlines()[0]}); without a network, pass a "
            f"JSON Lines file, or put a copy of a public set under $INBEDDER_DATA/qa"
        ) from error
    labels = {column: kind for column, kind in rows.features.items() if isinstance(kind, datasets.ClassLabel)}
    return (row | {column: kind.int2str(row[column]) for column, kind in labels.items()} for row in rows)
