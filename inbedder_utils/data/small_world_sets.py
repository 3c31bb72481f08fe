"""Short texts with independent attributes, and questions about them: what the `tiny` checkpoint is trained on.

Every text carries several attributes (a customer message: need, feeling, product, time, name) that are drawn
independently of each other, so that only the question tells which of them an answer is about. Sentences, questions
and about one in eight combinations of attributes are held out: the split "eval" is made of them alone.
"""

from collections.abc import Iterable
from random import Random
from zlib import crc32

from inbedder_utils.checks import integer, one_of
from inbedder_utils.data.small_world import WORLD_SPLITS, Domain, LabelledText, load_domain, write, write_note

ONE_RESERVED_IN = 8  # combinations of attributes; the reserved ones are kept for the split "eval"


def attribute_values(domain: str) -> dict[str, list[str]]:
    """Return the values of each attribute of a domain; an unknown one raises ValueError."""
    return {name: list(values) for name, values in load_domain(domain).values.items()}


def questions(domain: str, attribute: str, split: str = "train") -> list[str]:
    """Return the wordings of the question about an attribute; those of "eval" are never trained on.

    Raises:
        ValueError: for an unknown domain, attribute or split.
    """
    listed = load_domain(domain).questions
    return list(listed[one_of(f"attribute of {domain}", attribute, listed)][one_of("split", split, WORLD_SPLITS)])


def is_reserved(domain: str, attributes: dict[str, str]) -> bool:
    """Whether texts with these attributes are kept for the split "eval" (a stable hash decides)."""
    combination = "|".join([domain, *(f"{name}={attributes[name]}" for name in sorted(attributes))])
    return crc32(combination.encode()) % ONE_RESERVED_IN == 0


def generate(domain: str, n: int, *, seed: int = 0, split: str = "train") -> list[LabelledText]:
    """Make `n` texts; their attributes are uniform and independent of each other.

    Args:
        domain: "messages", "news" or "reviews".
        n: number of texts.
        seed: the same seed gives the same texts.
        split: "train", or "eval" for texts made only of sentences and combinations held out from training.

    Raises:
        ValueError: for an unknown domain or split, or a negative `n`.
    """
    world, rng = load_domain(domain), Random(f"{seed} {domain} {one_of('split', split, WORLD_SPLITS)}")
    reserved = split == "eval"
    return [write(rng, world, _draw(rng, world, reserved), split) for _ in range(integer("n", n, at_least=0))]


def notes(domain: str, n: int, *, seed: int = 0, split: str = "train") -> list[LabelledText]:
    """Make `n` notes of one or two sentences, labelled with the attributes that they tell.

    They are the easy part of the training data: in a long text a small model takes very long to find the words that
    matter, and from notes it learns what they mean. Arguments and errors are those of `generate`.
    """
    world, rng = load_domain(domain), Random(f"{seed} {domain} {one_of('split', split, WORLD_SPLITS)} notes")
    return [write_note(rng, world, _draw(rng, world), split) for _ in range(integer("n", n, at_least=0))]


def qa_rows(texts: Iterable[LabelledText], *, seed: int = 0, split: str = "train") -> list[dict[str, str]]:
    """Ask about every attribute of every text.

    Args:
        texts: from `generate`.
        seed: decides the wording of each question.
        split: of the wordings.

    Returns:
        One row per text and attribute, with the columns of the public training set: input, instruction, output.

    Raises:
        ValueError: for an unknown split.
    """
    rng, rows = Random(f"{seed} questions {one_of('split', split, WORLD_SPLITS)}"), []
    for labelled in texts:
        for name, value in labelled.attributes.items():
            question = rng.choice(load_domain(labelled.domain).questions[name][split])
            rows.append({"input": labelled.text, "instruction": question, "output": value})
    return rows


def triplets(domain: str, attribute: str, n: int, *, seed: int = 0) -> list[dict[str, str]]:
    """Make triplets of held-out texts that can only be told apart by minding the question.

    The positive shares the attribute's value with the anchor and differs in every other attribute. The negative
    differs in this attribute and shares all others, so that a model blind to the question finds it closer.

    Returns:
        `n` rows with the texts anchor, positive, negative.

    Raises:
        ValueError: for an unknown domain or attribute, or a negative `n`.
    """
    world = load_domain(domain)
    one_of(f"attribute of {domain}", attribute, world.values)
    rng, rows = Random(f"{seed} {domain} {attribute} triplets"), []
    for _ in range(integer("n", n, at_least=0)):
        combinations = _triplet_attributes(rng, world, attribute)
        texts = [write(rng, world, combination, "eval").text for combination in combinations]
        rows.append(dict(zip(("anchor", "positive", "negative"), texts, strict=True)))
    return rows


def _draw(rng: Random, world: Domain, reserved: bool | None = None) -> dict[str, str]:
    """Draw a value per attribute, uniformly among the reserved combinations, the others, or (None) all."""
    while True:
        drawn = {name: rng.choice(options) for name, options in world.values.items()}
        if reserved is None or is_reserved(world.name, drawn) == reserved:
            return drawn


def _triplet_attributes(rng: Random, world: Domain, attribute: str) -> list[dict[str, str]]:
    """Draw reserved combinations for anchor, positive and negative."""
    while True:
        anchor = _draw(rng, world, reserved=True)
        changed = [anchor | {attribute: value} for value in world.values[attribute] if value != anchor[attribute]]
        negatives = [combination for combination in changed if is_reserved(world.name, combination)]
        if not negatives:
            continue
        others = {
            name: [value for value in options if (value == anchor[name]) == (name == attribute)]
            for name, options in world.values.items()
        }
        drawn = [{name: rng.choice(options) for name, options in others.items()} for _ in range(50)]
        positives = [combination for combination in drawn if is_reserved(world.name, combination)]
        if positives:
            return [anchor, positives[0], rng.choice(negatives)]
