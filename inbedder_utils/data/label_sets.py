"""Public sets of labelled texts, asked about their labels: in many wordings, and answered as a person would."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import Any

from inbedder_utils.data.natural_qa import QA, fill_in, reword

Labelled = dict[str, Any]
"""A text and its labels, in the columns of a local copy (docs/training.md)."""
NEUTRAL_SHARE = 0.15
"""Share of texts without an opinion or a feeling that are asked about it; there are more of them than of all others."""
CLEAR_RATING = 1.0
"""Of -4 to 4, the mean of ten people: from here on a text is for or against something."""
ENTITIES = {
    **dict.fromkeys(("date", "time", "timeofday"), "time"),
    **dict.fromkeys(("place_name", "house_place"), "place"),
    **dict.fromkeys(("person", "relation", "artist_name"), "who"),
    **dict.fromkeys(("food_type", "device_type", "coffee_type", "game_name"), "product"),
    **dict.fromkeys(("business_name", "transport_agency"), "company"),
}
"""What kind of question asks for an entity in a request."""


def questions_about(name: str, labelled: Labelled, rng: Random) -> Iterator[dict[str, str]]:
    """Rows (input, instruction, output, kind, type) about one text of a set in `LABEL_SETS`.

    The wordings are drawn anew at every call.
    """
    text_type, answers = LABEL_SETS[name](labelled, rng)
    for kind, answer in answers:
        if kind in _words()["asked"]:
            question, of = rng.choice(_words()["asked"][kind]), ""
            if isinstance(answer, tuple):
                of, answer = answer
            question = fill_in(rng, question.replace("{of}", of), text_type)
        else:
            question, answer = reword(rng, kind, answer, text_type)
        row = {"input": labelled["text"], "instruction": question, "output": answer}
        yield row | {"kind": kind, "type": text_type}


Answers = tuple[str, list[tuple[str, Any]]]
"""The type of a text, and for each question about it the kind and the answer."""


def _snippet(labelled: Labelled, rng: Random) -> Answers:
    rating = labelled["rating"]
    if abs(rating) >= CLEAR_RATING:
        return labelled["type"], [("liking", "liked" if rating > 0 else "disliked")]
    is_neutral = abs(rating) < 0.3 and rng.random() < NEUTRAL_SHARE
    return labelled["type"], [("liking", "neutral")] if is_neutral else []


def _comment(labelled: Labelled, rng: Random) -> Answers:
    feeling = _words()["labels"]["goemotions"].get(labelled["label"])
    asked = feeling is not None and (feeling != "neutral" or rng.random() < NEUTRAL_SHARE)
    return "comment", [("feeling", feeling)] if asked else []


def _restaurant(labelled: Labelled, rng: Random) -> Answers:
    says = {"positive": "liked", "negative": "disliked", "neutral": "neutral"}
    judged = {of: says[polarity] for of, polarity in labelled["aspects"].items() if of != "miscellaneous"}
    answers: list[tuple[str, Any]] = [("judged", pair) for pair in judged.items()]
    for kind, verdict in {"praised": "liked", "criticised": "disliked"}.items():
        such = [of for of, said in judged.items() if said == verdict]
        answers += [(kind, such[0])] if len(such) == 1 else []
    verdicts = set(judged.values()) - {"neutral"}
    if verdicts:
        answers.append(("liking", "mixed" if len(verdicts) == 2 else verdicts.pop()))
    return "restaurant review", answers


def _request(labelled: Labelled, rng: Random) -> Answers:
    words, scenario = _words()["labels"], labelled["scenario"]
    answers = [("topic", words["hwu64 scenario"].get(scenario, scenario))]
    intent = labelled["intent"]
    answers += [("need", words["hwu64 intent"].get(f"{scenario} {intent}", intent.replace("_", " ")))]
    kinds = [ENTITIES.get(entity) for entity in labelled["entities"]]
    for entity, value in labelled["entities"].items():
        if value and entity in ENTITIES and kinds.count(ENTITIES[entity]) == 1:
            answers.append((ENTITIES[entity], value))
    return "assistant request", answers


def _bank(labelled: Labelled, rng: Random) -> Answers:
    return "customer message", [("need", labelled["label"])]


LABEL_SETS: dict[str, Callable[[Labelled, Random], Answers]] = {
    "banking77": _bank,
    "goemotions": _comment,
    "hwu64": _request,
    "mams": _restaurant,
    "vader": _snippet,
}
"""Sets by name: what makes questions of a labelled text."""


@cache
def _words() -> dict[str, Any]:
    return json.loads(QA.joinpath("label_words.json").read_text(encoding="utf-8"))
