"""The small world: independent attributes, clean splits, triplets that need the question."""

import re
from itertools import combinations
from random import Random

import pytest
from sklearn.metrics import mutual_info_score

from inbedder_utils.data.small_world import DOMAINS, load_domain
from inbedder_utils.data.small_world_sets import (
    _triplet_attributes,
    attribute_values,
    generate,
    is_reserved,
    notes,
    qa_rows,
    questions,
    triplets,
)

ATTRIBUTES = [(domain, attribute) for domain in DOMAINS for attribute in attribute_values(domain)]


@pytest.fixture(scope="module", params=DOMAINS)
def sample(request):
    return generate(request.param, 1500, seed=1)


def test_texts_are_short_and_filled_in(sample):
    for labelled in sample:
        assert 20 <= len(labelled.text.split()) <= 60
        assert not re.search(r"[{}]|  | $|^ ", labelled.text)


def test_every_value_occurs_about_equally_often(sample):
    for name, values in attribute_values(sample[0].domain).items():
        counts = [sum(labelled.attributes[name] == value for labelled in sample) for value in values]
        expected = len(sample) / len(values)
        assert all(0.6 * expected < count < 1.4 * expected for count in counts)


def test_one_attribute_tells_nothing_about_another(sample):
    for a, b in combinations(sample[0].attributes, 2):
        x, y = ([labelled.attributes[name] for labelled in sample] for name in (a, b))
        cells = len(set(x)) * len(set(y))
        # For independent attributes, 2 n times the mutual information is chi-square distributed with < cells degrees.
        assert 2 * len(sample) * mutual_info_score(x, y) < cells + 5 * (2 * cells) ** 0.5


@pytest.mark.parametrize("domain", DOMAINS)
def test_held_out_sentences_and_combinations_never_occur_in_training(domain):
    held_out, trained = load_domain(domain).templates("eval"), load_domain(domain).templates("train")
    assert not held_out & trained
    for split, own, other in (("train", trained, held_out), ("eval", held_out, trained)):
        texts = generate(domain, 800, seed=5, split=split)
        used = {template for labelled in texts for template in labelled.templates}
        assert used <= own and not used & other
        assert all(is_reserved(domain, labelled.attributes) == (split == "eval") for labelled in texts)


def test_between_one_in_ten_and_one_in_six_combinations_are_reserved():
    values = attribute_values("reviews")
    share = sum(
        is_reserved("reviews", {"product": p, "liking": liking, "aspect": a, "amount": m})
        for p in values["product"]
        for liking in values["liking"]
        for a in values["aspect"]
        for m in values["amount"]
    ) / (len(values["product"]) * len(values["liking"]) * len(values["aspect"]) * len(values["amount"]))
    assert 0.1 < share < 0.16


@pytest.mark.parametrize(("domain", "attribute"), ATTRIBUTES)
def test_question_wordings(domain, attribute):
    train, held_out = (questions(domain, attribute, split) for split in ("train", "eval"))
    assert len(set(train)) >= 14 and len(set(held_out)) >= 4
    assert not set(train) & set(held_out)
    others = [question for d, a in ATTRIBUTES if d == domain and a != attribute for question in questions(d, a)]
    assert not set(train) & set(others), "the same wording asks about two attributes"


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_value_can_be_told_in_both_splits(domain):
    world = load_domain(domain)
    for name, values in world.values.items():
        for value in values:
            for split in ("train", "eval"):
                first = {other: options[0] for other, options in world.values.items()} | {name: value}
                assert world.about(name, first, set(first), split)


@pytest.mark.parametrize("domain", DOMAINS)
def test_most_words_of_held_out_sentences_are_known_from_training(domain):
    def words(texts):
        return {word for text in texts for word in re.findall(r"[a-z]{4,}", re.sub(r"\{\w+\}", "", text.lower()))}

    world = load_domain(domain)
    expressions = (e for values in world.expressions.values() for listed in values.values() for e in listed)
    known = words([*world.templates("train"), *expressions])
    held_out = words(world.templates("eval"))
    assert len(held_out - known) < 0.06 * len(held_out)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("split", ["train", "eval"])
def test_notes_are_labelled_with_what_they_tell(domain, split):
    world = load_domain(domain)
    for note in notes(domain, 200, split=split):
        told = [sentence for template in note.templates for sentence in _sentences(world, template, split)]
        assert 1 <= len(note.templates) <= 2 and set(note.templates) <= world.templates(split)
        assert set(note.attributes) <= set().union(*(sentence.covers for sentence in told))
    assert notes(domain, 20, seed=3, split=split) == notes(domain, 20, seed=3, split=split)


def _sentences(world, template, split):
    return [s for listed in world._about[split].values() for s in listed if s.template == template]


def test_the_seed_decides():
    assert generate("news", 20, seed=3) == generate("news", 20, seed=3) != generate("news", 20, seed=4)
    texts = generate("news", 20)
    assert qa_rows(texts, seed=1) == qa_rows(texts, seed=1) != qa_rows(texts, seed=2)
    assert triplets("news", "topic", 5, seed=1) == triplets("news", "topic", 5, seed=1)


def test_more_texts_begin_with_the_same_texts():
    assert generate("reviews", 30)[:10] == generate("reviews", 10)


@pytest.mark.parametrize("split", ["train", "eval"])
def test_qa_rows_ask_about_every_attribute(split):
    texts = generate("messages", 50, split=split)
    rows = qa_rows(texts, split=split)
    assert len(rows) == sum(len(labelled.attributes) for labelled in texts)
    assert all(list(row) == ["input", "instruction", "output"] for row in rows)
    assert rows[0]["output"] == texts[0].attributes["need"]
    assert rows[0]["instruction"] in questions("messages", "need", split)


@pytest.mark.parametrize(("domain", "attribute"), ATTRIBUTES)
def test_triplets_can_only_be_told_apart_by_the_question(domain, attribute):
    world, rng = load_domain(domain), Random(0)
    for _ in range(30):
        anchor, positive, negative = _triplet_attributes(rng, world, attribute)
        assert all(is_reserved(domain, combination) for combination in (anchor, positive, negative))
        assert anchor[attribute] == positive[attribute] != negative[attribute]
        for other in set(anchor) - {attribute}:
            assert anchor[other] == negative[other] != positive[other]


def test_triplets_are_rows_of_texts():
    assert len(triplets("reviews", "amount", 300)) == 300
    rows = triplets("messages", "feeling", 7)
    assert len(rows) == 7
    assert all(list(row) == ["anchor", "positive", "negative"] and all(row.values()) for row in rows)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: generate("mesages", 1), ["'mesages'", "messages, news, reviews", "did you mean 'messages'"]),
        (lambda: generate("news", 1, split="test"), ["'test'", "train, eval"]),
        (lambda: generate("news", -1), ["-1", "0 or more"]),
        (lambda: qa_rows([], split="dev"), ["'dev'", "train, eval"]),
        (lambda: questions("news", "feeling"), ["'feeling'", "topic, place, person, day"]),
        (lambda: triplets("reviews", "colour", 1), ["'colour'", "product, liking, aspect, amount"]),
        (lambda: attribute_values("emails"), ["'emails'", "messages, news, reviews"]),
    ],
)
def test_errors_name_the_value_and_what_is_accepted(call, named):
    with pytest.raises(ValueError) as error:
        call()
    assert all(part in str(error.value) for part in named)
