"""Natural short texts with questions and answers, written for this project (`data/qa`)."""

import gzip
import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from inbedder_utils.checks import one_of

QA = Path(__file__).parent / "qa"
NATURAL_SPLITS = ("train", "dev", "test")
REWORDED_SHARE = 0.7  # share of rows whose question is worded anew when a seed is given
INTRODUCED_SHARE = 0.35  # share of those with a sentence about the text in front


def natural_rows(split: str = "train", seed: int | None = None) -> list[dict[str, str]]:
    """Read the questions and answers of one split; no text is in two.

    Args:
        split: "train", "dev" or "test".
        seed: word most questions of "train" anew; None leaves them as they were written.

    Returns:
        Rows with input, instruction, output, and also type (kind of text) and kind (of question: feeling, place, ...).

    Raises:
        ValueError: for an unknown split.
    """
    compressed = QA.joinpath(f"{one_of('split', split, NATURAL_SPLITS)}.jsonl.gz").read_bytes()
    rows = [json.loads(line) for line in gzip.decompress(compressed).decode("utf-8").splitlines()]
    if seed is None:
        return rows
    rng, kinds = Random(f"{seed} wordings"), load_wordings()["kinds"]
    for row in rows:
        if row["kind"] in kinds and row["output"] not in ("yes", "no") and rng.random() < REWORDED_SHARE:
            row["instruction"] = reword(rng, row["kind"], row["type"])
    return rows


def reword(rng: Random, kind: str, text_type: str, held_out: bool = False) -> str:
    """Word a question of one kind ("feeling") for a type of text ("customer message"), perhaps after an introduction.

    Wordings that are `held_out` are never trained on.
    """
    wordings = load_wordings()
    names = wordings["types"].get(text_type, wordings["types"]["*"])
    template = rng.choice(wordings["held_out" if held_out else "kinds"][kind])
    question = template.replace("{writer}", rng.choice(names["writer"])).replace("{text}", rng.choice(names["text"]))
    return f"{rng.choice(names['intro'])} {question}" if rng.random() < INTRODUCED_SHARE else question


@cache
def load_wordings() -> dict[str, Any]:
    """Wordings of each kind of question, and the words for each type of text."""
    return json.loads(QA.joinpath("wordings.json").read_text(encoding="utf-8"))
