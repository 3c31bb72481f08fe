"""The hand-written sets: complete, with labels that are independent of each other."""

import pandas as pd
import pytest

from inbedder_utils.data.own_sets import QUESTIONS, corpus, small_set, small_sets

SETS = [(domain, label) for domain, labels in QUESTIONS.items() for label in labels]


def test_every_set_that_is_named_can_be_read_and_holds_no_gaps():
    assert len(small_sets()) == 2 * len(SETS) + 3
    for name in small_sets():
        table = small_set(name)
        assert len(table) >= 100
        assert not table.isna().any(axis=None)
        assert not table.duplicated().any()


def test_an_unknown_set_is_named_with_close_matches():
    with pytest.raises(
        ValueError, match="unknown small set 'triplets/message_need'.*did you mean 'triplets/messages_need'"
    ):
        small_set("triplets/message_need")
    with pytest.raises(ValueError, match="unknown domain 'new': expected one of messages, news, reviews"):
        corpus("new")


@pytest.mark.parametrize("domain", QUESTIONS)
def test_labels_of_a_domain_are_independent(domain):
    texts = corpus(domain)
    assert len(texts) >= 100 and texts["text"].is_unique
    counts = texts.groupby(list(QUESTIONS[domain])).size()
    combinations = pd.Series({label: texts[label].nunique() for label in QUESTIONS[domain]}).prod()
    assert len(counts) == combinations
    assert counts.min() == counts.max()


@pytest.mark.parametrize(("domain", "label"), SETS)
def test_a_positive_shares_only_the_label_and_a_negative_only_the_others(domain, label):
    labels = corpus(domain).set_index("text")
    triplets = small_set(f"triplets/{domain}_{label}")
    anchor, positive, negative = (labels.loc[triplets[side]].reset_index(drop=True) for side in triplets)
    for column in labels:
        shared = positive if column == label else negative
        differing = negative if column == label else positive
        assert (anchor[column] == shared[column]).all()
        assert (anchor[column] != differing[column]).all()


def test_every_pair_is_judged_alike_under_one_question_and_unlike_under_another():
    pairs = small_set("pairs")
    by_pair = pairs.groupby(["sentence1", "sentence2"])["score"]
    assert len(by_pair) >= 100
    assert (by_pair.size() == 2).all() and (by_pair.sum() == 1).all()
    frequent = pairs.groupby("instruction")["score"].agg(["size", "mean"]).query("size >= 4")
    assert frequent["mean"].between(0.35, 0.65).all(), "a question gives the score away"


@pytest.mark.parametrize(("domain", "label"), [pair for pair in SETS if pair[1] != "product"])
def test_texts_mostly_do_not_say_their_label(domain, label):
    texts = corpus(domain)
    named = [row[label].lower() in row["text"].lower() for _, row in texts.iterrows()]
    assert sum(named) / len(named) < 0.2


def test_the_guests_labels_are_crossed():
    guests = small_set("guests")
    assert list(guests) == ["text", "aspect", "feeling", "country"] and guests["text"].is_unique
    counts = guests.groupby(["aspect", "feeling", "country"]).size()
    assert len(counts) == 6 * 4 * 6 and (counts == 3).all()
