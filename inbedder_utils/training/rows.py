"""Question-answer rows for training: read from many places, checked, shortened, and partly set aside."""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Any

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from inbedder_utils.data.natural_qa import natural_rows
from inbedder_utils.data.qa_sources import ROW_COLUMNS, Row, source_rows
from inbedder_utils.data.small_world import DOMAINS
from inbedder_utils.data.small_world_sets import generate, questions
from inbedder_utils.training.presets import Part

CARRIES_MEANING = frozenset(
    "no not nor never none nothing nobody nowhere cannot cant hasnt couldnt without against bill fire system computer "
    "cry sincere thick thin mill mine top bottom front back full empty one two three four five six eight nine ten "
    "eleven twelve fifteen twenty forty fifty sixty hundred first third up down above below before after".split()
)
STOP_WORDS = ENGLISH_STOP_WORDS - CARRIES_MEANING
"""scikit-learn's stop words without those that an answer can turn on: negations, numbers, directions, some nouns."""


@dataclass
class CheckedRows:
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
            self.bad.append(f"{where}: not an object with {', '.join(ROW_COLUMNS)}")
        elif wrong := [name for name in ROW_COLUMNS if not isinstance(row.get(name), str) or not row[name].strip()]:
            self.bad.append(f"{where}: {', '.join(wrong)} missing or empty")
        else:
            self.good.append(row)


def load_rows(part: Part, seed: int = 0) -> CheckedRows:
    """Read one part of the training data.

    Args:
        part: its source is `inbedder_qa` (the natural texts that ship with the package), `small_world` (generated
            texts), a name in `inbedder_utils.data.qa_sources.QA_SETS` or
            `inbedder_utils.data.label_sets.LABEL_SETS`, a JSON Lines file (.jsonl or .jsonl.gz) with the
            columns input, instruction and output, a folder of such files, or the hub id of a set with these columns.
            Public sets are taken from the folder in `INBEDDER_DATA`, as qa/NAME.jsonl.gz, if they are there.
        seed: of generated texts, of the wording of questions, and of the draw.

    Raises:
        ValueError: if there are no good rows, or a file is damaged.
        OSError: if there is no such source, or it can't be reached.
    """
    rows = CheckedRows()
    for n in range(part.passes):
        for where, row in source_rows(part.source, seed, n):
            rows.add(where, row)
    if not rows.good:
        problem = rows.bad[0] if rows.bad else "empty"
        raise ValueError(f"{part.source} holds no complete row; the first problem: {problem}")
    if part.limit is not None and part.limit < len(rows.good):
        # Of a text that is drawn all rows are: several questions about one are cheap to learn from.
        texts = list(dict.fromkeys(row["input"] for row in rows.good))
        place = {text: i for i, text in enumerate(Random(f"{seed} {part.source}").sample(texts, len(texts)))}
        rows.good = sorted(rows.good, key=lambda row: place[row["input"]])[: part.limit]
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
            problem = f"{len(rows.bad)} of {total} rows of {part.source} are bad: {'; '.join(rows.bad[:5])}"
            problem += f" ... and {len(rows.bad) - 5} more" if len(rows.bad) > 5 else ""
            if len(rows.bad) > total / 100:
                raise ValueError(f"{problem}. More than 1% means that something is wrong: mend or drop them")
            warnings.warn(f"{problem}. They are left out", stacklevel=2)
        together += rows.good
    return together


def held_out_rows(source: str, seed: int = 0) -> list[Row]:
    """Rows of a source (see `load_rows`) to evaluate on: of our own sets those that are never trained on, else all."""
    if source == "inbedder_qa":
        return natural_rows("dev")
    if source == "small_world":
        return [
            {"input": text.text, "instruction": questions(domain, name, "eval")[0], "output": value}
            for domain in DOMAINS
            for text in generate(domain, 60, seed=seed, split="eval")
            for name, value in text.attributes.items()
        ]
    return load_parts([Part(source)], seed)


def shorten_answer(answer: str) -> str:
    """Drop the stop words from an answer, as the paper does; an answer of stop words only stays as it is."""
    words = answer.split()
    kept = [word for word in words if word.lower().strip(".,;:!?\"'()") not in STOP_WORDS]
    return " ".join(kept or words)


def shortened(rows: Sequence[Row]) -> list[Row]:
    """Take the stop words out of the answers, as the paper does: a short answer is all meaning (section 3)."""
    return [row | {"output": shorten_answer(row["output"])} for row in rows]


def mean_length(rows: Sequence[Row]) -> float:
    """Words per answer."""
    return sum(len(row["output"].split()) for row in rows) / max(1, len(rows))


def set_aside(rows: Sequence[Row], share: float = 0.02, most: int = 500, seed: int = 0) -> tuple[list[Row], list[Row]]:
    """Part rows into those to train on and, at most about `most`, those to evaluate on.

    No text is in both, nor one that differs in case and spaces only.
    """
    counts = Counter(_bare(row) for row in rows)
    texts = sorted(counts)
    Random(f"{seed} held out").shuffle(texts)
    budget = min(most, share * len(rows))
    up_to = accumulate(counts[text] for text in texts)
    held = {text for text, total in zip(texts, up_to, strict=True) if total - counts[text] < budget}
    return [row for row in rows if _bare(row) not in held], [row for row in rows if _bare(row) in held]


def warn_of_overlap(rows: Sequence[Row], held: Sequence[Row]) -> None:
    """Say how many held-out rows have a text that is trained on, or that differs from one in case and spaces only."""
    texts = set(map(_bare, rows))
    if known := sum(_bare(row) in texts for row in held):
        says = "figures on them say little about new texts"
        warnings.warn(f"{known} of {len(held)} held-out rows are about texts that are trained on: {says}", stacklevel=2)


def _bare(row: Row) -> str:
    return " ".join(row["input"].casefold().split())
