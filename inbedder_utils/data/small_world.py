"""The sentences of the small world (`data/small_world.json`), and how a text is written with them."""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from inbedder_utils.checks import one_of

DOMAINS = ("messages", "news", "reviews")
WORLD_SPLITS = ("train", "eval")
MIN_WORDS, MAX_WORDS = 20, 60
SLOT = re.compile(r"\{(\w+)\}")
JOINABLE = re.compile(r"(?:I|It|The|My|We|This|There|They|Our|Somebody|Nobody) ")


@dataclass(frozen=True)
class LabelledText:
    """A generated text.

    Attributes:
        domain: one of `DOMAINS`.
        text: 20 to 60 words.
        attributes: the value of each attribute, such as `{"need": "refund", "feeling": "angry", ...}`.
        templates: the sentences it was made from, before their slots were filled.
    """

    domain: str
    text: str
    attributes: dict[str, str]
    templates: tuple[str, ...]


@dataclass(frozen=True)
class Sentence:
    """A sentence for texts whose attributes have the values in `when`; `covers` names the attributes it tells."""

    template: str
    when: dict[str, str]
    covers: frozenset[str]

    def fits(self, attributes: dict[str, str]) -> bool:
        """Whether it may stand in a text with these attributes."""
        return all(attributes[name] == value for name, value in self.when.items())


class Domain:
    """The values, questions, expressions and sentences of one domain, each sentence marked "train" or "eval"."""

    def __init__(self, name: str, listed: dict[str, Any]) -> None:
        self.name, attributes = name, listed["attributes"]
        self.values: dict[str, list[str]] = {attribute: spec["values"] for attribute, spec in attributes.items()}
        self.questions: dict[str, dict[str, list[str]]] = {a: spec["questions"] for a, spec in attributes.items()}
        self.expressions: dict[str, dict[str, list[str]]] = listed["expressions"]
        self.openers: dict[str, list[str]] = listed["openers"]
        self.closers: dict[str, list[str]] = listed["closers"]
        self._fillers = {split: _sentences(listed["fillers"], split) for split in WORLD_SPLITS}
        self._about = {split: self._by_value(_sentences(listed["sentences"], split)) for split in WORLD_SPLITS}

    def _by_value(self, sentences: list[Sentence]) -> dict[tuple[str, str], list[Sentence]]:
        return {
            (name, value): [s for s in sentences if name in s.covers and s.when.get(name, value) == value]
            for name, values in self.values.items()
            for value in values
        }

    def about(self, name: str, attributes: dict[str, str], untold: set[str], split: str) -> list[Sentence]:
        """Sentences that tell attribute `name`, and nothing that has been told already."""
        listed = self._about[split][name, attributes[name]]
        return [s for s in listed if s.covers <= untold and s.fits(attributes)]

    def fillers(self, attributes: dict[str, str], split: str) -> list[Sentence]:
        """Sentences that tell nothing new."""
        return [s for s in self._fillers[split] if s.fits(attributes)]

    def templates(self, split: str) -> set[str]:
        """Everything of a split that can stand in a text, before slots are filled."""
        told = {s.template for sentences in self._about[split].values() for s in sentences}
        return told | {s.template for s in self._fillers[split]} | {*self.openers[split], *self.closers[split]}


def _sentences(groups: list[dict[str, Any]], split: str) -> list[Sentence]:
    return [
        Sentence(template, group["when"], frozenset(SLOT.findall(template)) | frozenset(group["when"]))
        for group in groups
        for template in group[split]
    ]


@cache
def _listed() -> dict[str, Any]:
    return json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


@cache
def load_domain(name: str) -> Domain:
    """Load one domain; an unknown one raises ValueError."""
    return Domain(one_of("domain", name, DOMAINS), _listed()[name])


def write(rng: Random, domain: Domain, attributes: dict[str, str], split: str) -> LabelledText:
    """Write a text that tells each attribute once, in any order, among sentences that tell nothing."""
    while True:
        sentences = _told(rng, domain, attributes, split)
        sentences += rng.sample(domain.fillers(attributes, split), rng.choice((0, 0, 1, 1, 2, 3)))
        rng.shuffle(sentences)
        templates = [sentence.template for sentence in sentences]
        if rng.random() < 0.35:
            templates.insert(0, rng.choice(domain.openers[split]))
        if rng.random() < 0.25:
            templates.append(rng.choice(domain.closers[split]))
        text = _filled(rng, domain, templates, attributes)
        if MIN_WORDS <= len(text.split()) <= MAX_WORDS:
            return LabelledText(domain.name, text, attributes, tuple(templates))


def write_note(rng: Random, domain: Domain, attributes: dict[str, str], split: str) -> LabelledText:
    """Write one or two sentences, any of those that fit; the note is labelled with the attributes they tell."""
    templates: list[str] = []
    untold = set(attributes)
    for _ in range(rng.choice((1, 1, 2))):
        telling = [s for name in sorted(untold) for s in domain.about(name, attributes, untold, split)]
        sentence = rng.choice(telling)
        templates.append(sentence.template)
        untold -= sentence.covers
        if not untold:
            break
    told = {name: value for name, value in attributes.items() if name not in untold}
    return LabelledText(domain.name, _filled(rng, domain, templates, attributes), told, tuple(templates))


def _told(rng: Random, domain: Domain, attributes: dict[str, str], split: str) -> list[Sentence]:
    untold, told = set(attributes), []
    for name in rng.sample(list(attributes), len(attributes)):
        if name in untold:
            told.append(rng.choice(domain.about(name, attributes, untold, split)))
            untold -= told[-1].covers
    return told


def _filled(rng: Random, domain: Domain, templates: list[str], attributes: dict[str, str]) -> str:
    """Fill slots; join the sentences, some of them by "and"; contract "do not" to "don't" in half of the texts."""

    def expression(slot: re.Match) -> str:
        return rng.choice(domain.expressions[slot[1]][attributes[slot[1]]])

    text, *sentences = (s[0].upper() + s[1:] for s in [SLOT.sub(expression, template) for template in templates])
    for sentence in sentences:
        if text.endswith(".") and JOINABLE.match(sentence) and rng.random() < 0.2:
            start = sentence[0] if sentence.startswith("I ") else sentence[0].lower()
            text = f"{text[:-1]}, and {start}{sentence[1:]}"
        else:
            text = f"{text} {sentence}"
    if rng.random() < 0.5:
        for long, short in _listed()["contractions"].items():
            text = re.sub(rf"\b{long}\b", short, text)
    return text
