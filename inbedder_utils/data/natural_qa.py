"""Natural short texts with questions and answers, written for this project (`data/qa`)."""

import gzip
import json
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any

from inbedder_utils.checks import one_of

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
    file = f"data/qa/{one_of('split', split, NATURAL_SPLITS)}.jsonl.gz"
    compressed = files("inbedder_utils").joinpath(file).read_bytes()
    rows = [json.loads(line) for line in gzip.decompress(compressed).decode("utf-8").splitlines()]
    if seed is None:
        return rows
    rng, kinds = Random(f"{seed} wordings"), load_wordings()["kinds"]

    def asked_anew(row: dict[str, str]) -> bool:
        return row["kind"] in kinds and row["output"] not in ("yes", "no") and rng.random() < REWORDED_SHARE

    return [row | {"instruction": reword(rng, row["kind"], row["type"])} if asked_anew(row) else row for row in rows]


def reword(rng: Random, kind: str, text_type: str, held_out: bool = False) -> str:
    """Word the question of one kind for one type of text, perhaps after a sentence about the text.

    Args:
        rng: draws the wording.
        kind: such as "feeling".
        text_type: such as "customer message".
        held_out: take a wording that is never trained on.
    """
    types = load_wordings()["types"]
    names = types.get(text_type, types["*"])
    template = rng.choice(load_wordings()["held_out" if held_out else "kinds"][kind])
    question = template.replace("{writer}", rng.choice(names["writer"])).replace("{text}", rng.choice(names["text"]))
    return f"{rng.choice(names['intro'])} {question}" if rng.random() < INTRODUCED_SHARE else question


@cache
def load_wordings() -> dict[str, Any]:
    """Wordings of each kind of question, and the words for each type of text."""
    return json.loads(files("inbedder_utils").joinpath("data/qa/wordings.json").read_text(encoding="utf-8"))
