import numpy as np
import pandas as pd
import pytest

from inbedder_utils import load_encoder
from inbedder_utils.clustering import compare_wordings
from inbedder_utils.clustering.relations import SAME_QUESTION
from inbedder_utils.clustering.wordings import NEUTRAL, TEXTS_COMPARED
from inbedder_utils.data.own_sets import corpus
from inbedder_utils.evaluation.baselines import TfidfEmbedder

RIGHT = ["How does the customer feel?", "What is the customer's mood?", "Name the customer's emotion."]
WRONG = ["Is the message polite?", "How long has the customer been with the company?"]
DEAF = "What time is it now?"
TOPIC = "What is the text about?"


class NeverToRead:
    """An encoder that must not be asked."""

    def encode(self, texts, instruction):
        raise AssertionError("texts were encoded before the arguments were checked")


class Groups:
    """Places each text by its number modulo the length of the question, in a space of that question's own."""

    def __init__(self, noise=0.03):
        self.noise, self.read = noise, []

    def encode(self, texts, instruction):
        self.read.append((len(texts), instruction))
        noise = np.random.default_rng(len(instruction)).normal(scale=self.noise, size=(len(texts), 64))
        return np.eye(64)[[int(text) % len(instruction) for text in texts]] + noise


@pytest.fixture(scope="module")
def messages():
    return corpus("messages")["text"].sample(48, random_state=0)


@pytest.fixture(scope="module")
def mini():
    return load_encoder("mini", device="cpu")


@pytest.fixture(scope="module")
def comparison(mini, messages):
    return compare_wordings(mini, messages, [*WRONG, TOPIC, *RIGHT, DEAF], 5)


def test_right_wordings_come_first_whatever_their_place(comparison):
    assert set(comparison.table.index[:3]) == set(RIGHT) and sorted(comparison.best) == sorted(RIGHT)
    assert comparison.table["score"].is_monotonic_decreasing and comparison.table["score"].between(0, 1).all()
    assert list(comparison.results) == [*WRONG, TOPIC, *RIGHT, DEAF]


def test_the_agreement_is_that_of_the_clusters_best_first(comparison):
    agreement = comparison.agreement
    assert agreement.index.tolist() == agreement.columns.tolist() == comparison.table.index.tolist()
    assert agreement.loc[RIGHT, RIGHT].to_numpy().min() > agreement.loc[RIGHT, [*WRONG, DEAF]].to_numpy().max()
    others = agreement.loc[RIGHT[0]].drop(RIGHT[0])
    assert comparison.table.loc[RIGHT[0], "agreement"] == pytest.approx(others.mean())
    result = comparison.results[RIGHT[0]]
    assert comparison.table.loc[RIGHT[0], "silhouette"] == result.quality["silhouette"]
    assert comparison.table.loc[RIGHT[0], "stability"] == result.stability


def test_what_is_hardly_heard_is_told_with_what_it_is_taken_for(comparison):
    table = comparison.table
    assert not table.loc[RIGHT, "deaf"].any() and (table.loc[RIGHT, "like"] == "").all()
    assert table.loc[DEAF, "like"] == "What time is it?" and table.loc[TOPIC, "like"] in NEUTRAL
    said = "\n".join(comparison.in_words())
    assert f"{DEAF!r} is hardly heard: it is answered much as 'What time is it?', and may yield something else" in said
    assert f"{TOPIC!r} is hardly heard" in said and "the topic of the text" in said
    first = comparison.best[0]
    alike = (comparison.agreement[first] > SAME_QUESTION).sum() - 1
    assert f"{alike} of the 6 other wordings divide the texts much as {first!r} does." in said


def test_it_prints_a_row_for_each_wording_and_the_sentences(comparison):
    printed = repr(comparison)
    assert all(wording in printed for wording in [*RIGHT, *WRONG, *comparison.in_words()])
    assert "clearness" in printed.splitlines()[0]


def test_of_two_wordings_the_clear_one_is_best(mini, messages):
    compared = compare_wordings(mini, messages.head(30), [WRONG[0], RIGHT[0]], 4, seed=3)
    assert compared.table.index.tolist() == [RIGHT[0], WRONG[0]]
    assert all(len(result) == 4 and result.seed == 3 for result in compared.results.values())


def test_an_encoder_that_hears_no_question_has_no_best_wording(messages):
    compared = compare_wordings(TfidfEmbedder(), messages, RIGHT, 3)
    assert compared.best == [] and compared.in_words()[0].startswith("No wording is best")
    assert compared.table["heard"].to_numpy() == pytest.approx(0, abs=1e-6) and compared.table["deaf"].all()
    assert compared.agreement.to_numpy() == pytest.approx(1)


def test_a_sample_of_a_large_corpus_is_read_that_the_seed_draws():
    encoder, texts = Groups(), pd.Series([str(i) for i in range(500)], index=range(1000, 1500))
    compared = compare_wordings(encoder, texts, ["ab?", "abcd?"], 3, seed=1)
    assert {n for n, _ in encoder.read} == {TEXTS_COMPARED}
    one, other = compared.results.values()
    assert one.texts == other.texts == texts[one.index].tolist()
    again, another = (compare_wordings(Groups(), texts, ["ab?", "abcd?"], 3, seed=seed) for seed in (1, 2))
    pd.testing.assert_frame_equal(compared.table, again.table)
    assert another.results["ab?"].texts != one.texts
    assert np.isnan(compared.table["answered"]).all() and (compared.table["clearness"] == compared.table["heard"]).all()


def test_texts_that_are_all_the_same_have_no_best_wording():
    compared = compare_wordings(Groups(noise=0), ["7"] * 20, ["abcd?", "abc?"])
    assert (compared.table["score"] == 0).all() and compared.best == []


@pytest.mark.parametrize(
    ("texts", "wordings", "error", "message"),
    [
        (["a", "b"], ["Which?"], ValueError, "got 1 wording: pass two or more"),
        (["a", "b"], [], ValueError, "wordings is empty"),
        (["a", "b"], ["Which?", "What?", "Which?"], ValueError, "the wording 'Which.' is given twice"),
        (["a", "b"], ["Which?", " "], ValueError, "wording 1 is empty"),
        (["a", "b"], ["Which?", 3], TypeError, "wording 1 is 3 .int., not a string"),
        (["a", "b"], "Which?", TypeError, "wordings must be a list"),
        ([], ["Which?", "What?"], ValueError, "there are no texts"),
        (["a", None], ["Which?", "What?"], TypeError, r"texts\[1\] is None"),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything_is_read(texts, wordings, error, message):
    with pytest.raises(error, match=message):
        compare_wordings(NeverToRead(), texts, wordings)


@pytest.mark.parametrize(("settings", "error"), [({"seed": -1}, ValueError), ({"n_clusters": 3}, ValueError)])
def test_numbers_out_of_range_are_said_before_anything_is_read(settings, error):
    with pytest.raises(error, match=next(iter(settings))):
        compare_wordings(NeverToRead(), ["a", "b"], ["Which?", "What?"], **settings)


def test_only_an_encoder_encodes():
    with pytest.raises(TypeError, match=r"encoder must have encode.*pass load_encoder"):
        compare_wordings("mini", ["a"], ["Which?", "What?"])
