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
NAMING_OPTIONS, NAMING_TRADE = 0.25, 0.3  # shares of those that name their options, and the trade, if there are such
INTRODUCED_SHARE = 0.25  # share of those with a sentence about the text in front


def natural_rows(split: str = "train", seed: int | None = None) -> list[dict[str, str]]:
    """Read the questions and answers of one split; no text is in two.

    Args:
        split: "train", "dev" or "test".
        seed: word most questions of "train" anew, and answer those that name their options with one of these; None
            leaves them as they were written.

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
    business = {row["input"]: row["output"] for row in rows if row["kind"] == "business"}
    for row in rows:
        if row["kind"] in kinds and row["output"] not in ("yes", "no") and rng.random() < REWORDED_SHARE:
            trade = business.get(row["input"])
            row["instruction"], row["output"] = reword(rng, row["kind"], row["output"], row["type"], trade=trade)
    return rows


def reword(
    rng: Random, kind: str, answer: str, text_type: str, held_out: bool = False, trade: str | None = None
) -> tuple[str, str]:
    """Word a question of one kind ("feeling") for a type of text ("customer message"), and its answer.

    A question may name its options, and is then answered with one of them ("Positive or negative?": "positive" for
    "liked"); it may name the trade ("Does the guest like the hotel?") that the type tells, or else `trade`; and a
    sentence about the text may stand in front. Wordings that are `held_out` are never trained on.
    """
    wordings = load_wordings()
    template = rng.choice(wordings["held_out" if held_out else "kinds"][kind])
    if not held_out:
        groups = [group for group in wordings["options"].get(kind, []) if answer in group["say"]]
        trades = wordings["trades"].get(kind, {})
        of_trade = trades.get(wordings["trade_of"].get(text_type)) or trades.get(trade)
        if groups and rng.random() < NAMING_OPTIONS:
            group = rng.choice(groups)
            template, answer = rng.choice(group["ask"]), group["say"][answer]
        elif of_trade and rng.random() < NAMING_TRADE:
            template = rng.choice(of_trade)
    return fill_in(rng, template, text_type), answer


def fill_in(rng: Random, template: str, text_type: str) -> str:
    """A question with words for the text and its writer in place, perhaps behind a sentence about the text."""
    names = load_wordings()["types"].get(text_type, load_wordings()["types"]["*"])
    question = template.replace("{writer}", rng.choice(names["writer"])).replace("{text}", rng.choice(names["text"]))
    return f"{rng.choice(names['intro'])} {question}" if rng.random() < INTRODUCED_SHARE else question


@cache
def load_wordings() -> dict[str, Any]:
    """Wordings of each kind of question, and the words for each type of text."""
    return json.loads(QA.joinpath("wordings.json").read_text(encoding="utf-8"))
