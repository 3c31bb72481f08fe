import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from test_asking import Given, Words, about, numbered

from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.options import anchors_of_options, checked_examples, checked_options, doubts
from inbedder_utils.evaluation.baselines import TfidfEmbedder

FEELINGS = ["angry", "confused", "disappointed", "happy", "worried"]
THREE = ["sea", "rail", "food"]
TEXTS = about(*THREE)


class OnlyEncodes:
    """An encoder without its answers, which take longer and don't decide where texts belong."""

    def __init__(self, encoder, **settings):
        self.encoder, self.settings = encoder, settings

    def encode(self, texts, instruction):
        return self.encoder.encode(texts, instruction, **self.settings)


class Silent:
    """Refuses to work: what is wrong is to be said before."""

    def encode(self, texts, instruction):
        raise AssertionError("no text was to be encoded")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["late", "lost"], {"late": "", "lost": ""}),
        (("late: came too late", "lost: never: came"), {"late": "came too late", "lost": "never: came"}),
        ({"late": "came too late", "lost: stolen": "gone"}, {"late": "came too late", "lost: stolen": "gone"}),
        (pd.Series([" Late ", "at 9:30"], index=[4, 2]), {"Late": "", "at 9:30": ""}),
        (["late: ", "half \ud83d"], {"late": "", "half \ufffd": ""}),
    ],
)
def test_options_are_names_with_or_without_descriptions(options, expected):
    assert [*checked_options(options).items()] == [*expected.items()]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ("late,lost", TypeError, r"options must be a list, got the str 'late,lost': pass \[option\]"),
        ({"late", "lost"}, TypeError, "options must be a list, got the set"),
        (["late", 2], TypeError, "option must be a string, got 2"),
        ({"late": "came", "lost": None}, TypeError, "description of 'lost' must be a string, got None"),
        ({"late": "came", 2: "gone"}, TypeError, "option must be a string, got 2"),
        ({"late": "came", "lost": " "}, ValueError, "description of 'lost' is empty"),
        (["late", " "], ValueError, "option is empty"),
        (["late", ": came too late"], ValueError, "option is empty"),
        ([], ValueError, r"got 0 options: pass two or more, such as \['late', 'lost'\]"),
        (["late"], ValueError, "got 1 option: pass two or more"),
        (["late", "lost", " LATE: again"], ValueError, "option 'LATE' comes twice"),
        (["late", "Other"], ValueError, "leave out option 'Other': texts that fit no option are put there anyway"),
    ],
)
def test_what_are_no_options_is_refused_before_any_text_is_read(options, error, message):
    with pytest.raises(error, match=message):
        ask(Silent(), TEXTS, "Which?", options=options)


@pytest.mark.parametrize(
    ("examples", "error", "message"),
    [
        ({"sky": ["a cloud"]}, ValueError, "examples are given for 'sky', which is no option: sea, rail"),
        ({"Sea": ["a boat"]}, ValueError, "examples are given for 'Sea', which is no option"),
        ([("sea", ["a boat"])], TypeError, r"examples must be \{option: \[text\]\}, got list"),
        ({"sea": "a boat"}, TypeError, "examples must be a list, got the str 'a boat'"),
        ({"sea": ["a boat", None]}, TypeError, r"examples\[1\] is None"),
    ],
)
def test_what_are_no_examples_is_refused_before_any_text_is_read(examples, error, message):
    with pytest.raises(error, match=message):
        ask(Silent(), TEXTS, "Which?", options=["sea", "rail"], examples=examples)


def test_examples_are_paired_with_the_number_of_their_option():
    assert checked_examples({"b": ("x", "y"), "a": []}, {"a": "", "b": ""}) == [("x", 1), ("y", 1)]
    assert checked_examples({}, {"a": "", "b": ""}) == []


@pytest.mark.parametrize(
    "besides", [{"n_clusters": 2}, {"n_clusters": "about 4"}, {"estimator": KMeans(2)}, {"namer": lambda *_: "name"}]
)
def test_what_only_clusters_have_is_refused_beside_options(besides):
    with pytest.raises(ValueError, match="n_clusters, estimator and namer are for clusters: leave them out"):
        ask(Silent(), TEXTS, "Which?", options=THREE, **besides)


def test_examples_without_options_and_options_without_texts_are_refused():
    with pytest.raises(ValueError, match="examples are of options: pass options too"):
        ask(Silent(), TEXTS, "Which?", examples={"sea": ["a boat"]})
    with pytest.raises(ValueError, match="no texts"):
        ask(Silent(), [], "Which?", options=THREE)


def test_an_option_that_the_encoder_cannot_read_is_refused(mini_encoder):
    with pytest.raises(ValueError, match="the encoder can't read option '怒り'.*: write it in short, known words"):
        ask(mini_encoder, ["I am angry"], "How does the customer feel?", options=["happy", "怒り"])


@pytest.fixture(scope="module")
def result():
    texts = [*TEXTS, "cloud star", "moon plane"]
    return ask(Words(), texts, "Which?", options=THREE, labels=[*np.repeat(THREE, 12), None, None])


def test_texts_are_sorted_into_options_in_the_order_given_and_what_fits_none_is_other(result):
    assert result.names == result.options == THREE and len(result) == 3
    assert result.assignments.tolist() == [*np.repeat([0, 1, 2], 12), -1, -1]
    assert result.names_and_outside == [*THREE, "other"] and result.to_frame()["name"].iloc[-1] == "other"
    assert result.notes == [] and result.curve is result.stability is None
    assert result.quality["v_measure"] == pytest.approx(1) and result.quality["entropy"] == 0
    assert "38 texts, 3 options, 2 other" in repr(result) and "sea" in result.explanations[0].words


def test_options_in_another_order_give_the_same_in_that_order(result):
    other = ask(Words(), result.texts, "Which?", options=["food", "sea", "rail"])
    assert [other.names_and_outside[c] for c in other.assignments] == result.to_frame()["name"].tolist()
    assert other.memberships == pytest.approx(result.memberships[:, [2, 0, 1]])


def test_texts_in_another_order_are_sorted_alike(result):
    order = np.random.default_rng(0).permutation(len(result.texts))
    other = ask(Words(), [result.texts[i] for i in order], "Which?", options=THREE)
    assert np.array_equal(other.assignments, result.assignments[order])
    assert other.memberships == pytest.approx(result.memberships[order], abs=1e-5)


def test_a_description_says_what_a_name_does_not():
    texts, described = about("sea", "rail"), {"first": "sea boat sail", "second": "rail train track"}
    assert (ask(Words(), texts, "Which?", options=[*described]).assignments == -1).all()
    sorted_ = ask(Words(), texts, "Which?", options=described)
    assert sorted_.assignments.tolist() == [*np.repeat([0, 1], 12)] and sorted_.names == ["first", "second"]


def test_examples_say_what_a_name_does_not():
    examples = {"second": about("rail", n=3, seed=1), "first": about("sea", n=3, seed=1)}
    result = ask(Words(), about("sea", "rail"), "Which?", options=["first", "second"], examples=examples)
    assert result.assignments.tolist() == [*np.repeat([0, 1], 12)]
    assert len(result.texts) == 24 and result.memberships.shape == (24, 2)
    for none in ({}, {"first": []}):
        plain = ask(Words(), about("sea", "rail"), "Which?", options=["first", "second"], examples=none)
        assert (plain.assignments == -1).all()


def test_where_no_text_fits_each_option_says_so():
    result = ask(Words(), TEXTS, "Which?", options=["qqq", "zzz"], labels=[*np.repeat(THREE, 12)])
    assert (result.assignments == -1).all() and result.sizes.tolist() == [0, 0]
    assert result.notes == ["no text was sorted into 'qqq'", "no text was sorted into 'zzz'"]
    assert np.isnan(result.quality["silhouette"]) and result.quality["v_measure"] == 0
    assert result.clusters()["typical"].tolist() == [[], []] and "36 other" in repr(result)
    assert result._repr_html_() and result.mixed().empty and result.coordinates.shape == (36, 2)


@pytest.mark.parametrize("texts", [["sea boat"], ["sea boat", "rail train"], ["sea boat"] * 4, [""], ["", "sea boat"]])
def test_few_equal_and_empty_texts_are_sorted_too(texts):
    result = ask(Words(), texts, "Which?", options=THREE)
    assert [result.names_and_outside[c] for c in result.assignments] == [
        {"s": "sea", "r": "rail"}.get(text[:1], "other") for text in texts
    ]
    assert np.isfinite(result.memberships).all() and result.memberships.sum(axis=1) == pytest.approx(1)


def test_many_and_long_options_are_sorted_by():
    many = [*(f"kind{i}" for i in range(39)), "sea, that is all with a boat or a harbour in it, or waves, or a sail"]
    result = ask(Words(), TEXTS, "Which?", options=many)
    assert len(result) == 40 and result.memberships.shape == (36, 40)
    assert result.sizes[-1] >= 12 and (result.assignments[:12] == 39).all()


def test_an_encoder_that_tells_no_options_apart_is_refused():
    class Deaf:
        def encode(self, texts, instruction):
            return np.ones((len(texts), 3))

    with pytest.raises(ValueError, match="all options have the same embedding: pass an encoder that tells them apart"):
        ask(Deaf(), TEXTS, "Which?", options=THREE)
    with pytest.raises(ValueError, match=r"one row per text, \(4, d\); got \(3, 2\)"):
        ask(Given(np.ones((3, 2))), numbered(3), "Which?", options=["a", "b"])


def test_vectors_that_depend_on_the_other_texts_are_refused():
    with pytest.raises(ValueError, match=r"options have embeddings of width \d+, the texts of \d+: use one encoder"):
        ask(TfidfEmbedder(), TEXTS, "Which?", options=THREE)


def test_an_option_is_read_with_the_question_and_an_anchor_keeps_half_its_own_place():
    read = []

    def encode(texts):
        read.extend(texts)
        return Words().encode(texts, "")

    options = {"sea": "", "rail": "train and track"}
    anchors, likeness = anchors_of_options(encode, "Which?", encode(TEXTS), options)
    assert read[len(TEXTS) :] == ["sea", "Which? sea", "rail", "Which? rail", "train and track"]
    assert np.linalg.norm(anchors.centres, axis=1) == pytest.approx(1) and likeness.shape == (2,)
    assert (likeness > 0.35).all() and (likeness < 1).all()


def test_doubts_are_about_options_without_texts_or_unlike_them():
    said = doubts(["a", "b", "c", "d"], np.array([0.9, 0.2, 0.2, 0.2]), np.array([9, 9, 0, 2]))
    assert len(said) == 2 and said[1] == "no text was sorted into 'c'"
    assert said[0].startswith("'b' is hardly like the texts that were sorted into it (cosine 0.20, below 0.35)")


def test_the_bundled_encoder_sorts_messages_by_feeling(felt, mini_encoder):
    sorted_ = ask(OnlyEncodes(mini_encoder), felt.texts, felt.instruction, options=FEELINGS, embeddings=felt.embeddings)
    right = sorted_.to_frame()["name"].to_numpy() == np.array(felt.labels)
    assert right.mean() >= 0.75 and sorted_.notes == []
    sure = sorted_.memberships.max(axis=1) > 0.8
    assert right[sure].mean() > right[~sure].mean() and sure.sum() > 40


def test_options_that_do_not_answer_the_question_are_doubted(felt, mini_encoder):
    options = ["a kitchen table", "the Roman Empire", "photosynthesis"]
    sorted_ = ask(OnlyEncodes(mini_encoder), felt.texts, felt.instruction, options=options, embeddings=felt.embeddings)
    assert any("is it an answer to the question" in note for note in sorted_.notes)


def test_the_bundled_encoder_sorts_alike_in_any_batches_and_order(felt, mini_encoder):
    texts = felt.texts[:40]
    order = np.random.default_rng(0).permutation(40)
    first = ask(OnlyEncodes(mini_encoder), texts, felt.instruction, options=FEELINGS)
    other = ask(
        *(OnlyEncodes(mini_encoder, batch_size=7), [texts[i] for i in order], felt.instruction), options=FEELINGS
    )
    assert np.array_equal(other.assignments, first.assignments[order])
    assert other.memberships == pytest.approx(first.memberships[order], abs=1e-3)
