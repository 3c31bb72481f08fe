from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans, MiniBatchKMeans
from sklearn.feature_extraction.text import HashingVectorizer
from transformers import pipeline

from inbedder_utils.clustering import asking, partition
from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.display import in_one_line
from inbedder_utils.clustering.result import Clustering
from inbedder_utils.data.own_sets import corpus
from inbedder_utils.evaluation.baselines import TfidfEmbedder
from inbedder_utils.prompts import INBEDDER

MESSAGES = corpus("messages").head(60)
TEXTS = MESSAGES["text"].tolist()
NEED, FEELING = "What does the customer need?", "How does the customer feel?"
LABELS = {question: MESSAGES.set_index("text")[label] for question, label in ((NEED, "need"), (FEELING, "feeling"))}


class Oracle:
    """Knows the label that is asked for, and blurs it a little; answers with it."""

    def encode(self, texts, instruction):
        label = LABELS[instruction]
        exact = np.eye(label.nunique())[label.astype("category").cat.codes[texts]]
        return exact + np.random.default_rng(0).normal(scale=0.02, size=exact.shape)

    def answer(self, texts, instruction):
        return LABELS[instruction][texts].tolist()


class Given:
    """Returns given vectors."""

    def __init__(self, vectors):
        self.vectors = np.asarray(vectors, dtype=float)

    def encode(self, texts, instruction):
        return self.vectors


class Words:
    """A text lies where its words do; unlike those of tf-idf, its vector doesn't depend on the other texts."""

    def encode(self, texts, instruction):
        return HashingVectorizer(n_features=4096, alternate_sign=False).transform(texts).toarray()


TOPICS = {"sea": "boat sail wave harbour", "rail": "train track station signal", "food": "bread soup cheese apple"}
TOPICS |= {"sky": "cloud star moon plane"}


def about(*topics, n=12, seed=0):
    """n texts on each topic, of its name and two of its words."""
    rng = np.random.default_rng(seed)
    return [" ".join([topic, *rng.choice(TOPICS[topic].split(), 2)]) for topic in topics for _ in range(n)]


def blobs(*sizes, width=8, noise=0.05):
    centres = np.eye(width)[np.repeat(np.arange(len(sizes)), sizes)]
    return centres + np.random.default_rng(1).normal(scale=noise, size=centres.shape)


def numbered(n):
    return [f"text {i}" for i in range(n)]


@pytest.fixture(scope="module")
def asked():
    return ask(Oracle(), TEXTS, NEED, labels=LABELS[NEED][TEXTS])


def test_one_corpus_under_two_questions_forms_the_clusters_that_were_asked_for():
    for question in (NEED, FEELING):
        labels = LABELS[question][TEXTS]
        result = ask(Oracle(), TEXTS, question, labels=labels)
        assert len(result) == labels.nunique() == result.curve.idxmax()
        assert [result.quality[name] for name in ("v_measure", "adjusted_rand")] == pytest.approx([1, 1])
        assert result.quality["entropy"] == 0 and result.quality["silhouette"] > 0.8
        assert sorted(result.names) == sorted(labels.unique())


def test_clusters_are_numbered_from_the_largest_on():
    result = ask(Given(blobs(5, 20, 10)), numbered(35), "Which?", 3)
    assert result.sizes.tolist() == [20, 10, 5]
    assert result.assignments.tolist() == [2] * 5 + [0] * 20 + [1] * 10


def test_the_number_of_clusters_is_chosen_by_silhouette_and_the_curve_is_kept():
    result = ask(Given(blobs(15, 15, 15, 15)), numbered(60), "Which?")
    assert len(result) == 4 and result.curve.index.tolist() == list(range(2, 13))
    assert result.curve.idxmax() == 4 and result.curve[4] > result.curve[3]
    assert result.quality["silhouette"] == pytest.approx(result.curve[4])
    assert ask(Given(blobs(15, 15)), numbered(30), "Which?", 2).curve is None


def curve(*scores):
    return pd.Series(scores, index=range(2, 2 + len(scores)))


def test_a_finer_peak_that_is_nearly_as_high_goes_before_the_fewest_clusters():
    assert partition.chosen_number(curve(0.23, 0.17, 0.18, 0.16)) == 4
    assert partition.chosen_number(curve(0.36, 0.23, 0.24, 0.20)) == 2  # too low
    assert partition.chosen_number(curve(0.36, 0.35, 0.34, 0.33)) == 2  # no peak
    assert partition.chosen_number(curve(0.20, 0.30, 0.25, 0.29)) == 3  # not the fewest


@pytest.mark.parametrize("wish", ["about 8", "about:8"])
def test_about_so_many_clusters_are_chosen_near_that_number(wish):
    result = ask(Given(blobs(*[10] * 7)), numbered(70), "Which?", wish)
    assert len(result) == 7 and result.curve.index.tolist() == [6, 7, 8, 9, 10]


def test_shuffled_rows_give_the_same_clusters():
    vectors, texts = np.random.default_rng(0).normal(size=(200, 8)), numbered(200)
    order = np.random.default_rng(1).permutation(200)
    first = ask(Given(vectors), texts, "Which?", 9)
    again = ask(Given(vectors[order]), [texts[i] for i in order], "Which?", 9)
    assert np.array_equal(again.assignments, first.assignments[order])
    assert again.stability == first.stability


def test_stability_tells_groups_from_noise():
    stable = ask(Given(blobs(30, 30, 30)), numbered(90), "Which?", 3)
    assert stable.stability == pytest.approx(1) and stable.notes == [] and "stability 1.00" in repr(stable)
    shaky = ask(Given(np.random.default_rng(0).normal(size=(90, 8))), numbered(90), "Which?", 9)
    assert shaky.stability < 0.6 and f"not stable (adjusted Rand index {shaky.stability:.2f}" in shaky.notes[0]
    assert ask(Given(blobs(9)), numbered(9), "Which?", 1).stability is None


def test_a_table_keeps_the_rows_of_the_callers_after_a_filter():
    table = pd.DataFrame({"text": numbered(60), "group": np.repeat([0, 1], 30)})[20:50]
    result = ask(Given(np.eye(4)[table["group"]]), table["text"], "Which?", 2)
    table["cluster"] = result.to_frame()["cluster"]
    assert table.groupby("group")["cluster"].agg(["nunique", "count"]).to_numpy().tolist() == [[1, 10], [1, 20]]


def test_the_same_seed_gives_the_same_clusters():
    noise = Given(np.random.default_rng(0).normal(size=(80, 5)))
    first, again = (ask(noise, numbered(80), "Which?", 5, seed=3).assignments for _ in range(2))
    assert np.array_equal(first, again)
    others = [ask(noise, numbered(80), "Which?", 5, seed=seed).assignments for seed in range(4)]
    assert any(not np.array_equal(first, other) for other in others)


@pytest.mark.parametrize(
    "estimator",
    [KMeans(3, random_state=0), MiniBatchKMeans(3, random_state=0), AgglomerativeClustering(3), HDBSCAN(8, copy=True)],
    ids=lambda estimator: type(estimator).__name__,
)
def test_any_estimator_of_scikit_learn_will_do(estimator):
    result = ask(Given(blobs(30, 20, 10)), numbered(60), "Which?", estimator=estimator)
    assert result.sizes.tolist() == [30, 20, 10]


def test_texts_that_the_estimator_leaves_out_belong_to_no_cluster():
    vectors = np.vstack([blobs(20, 20), -np.ones((1, 8))])
    labels = ["a"] * 20 + ["b"] * 21
    result = ask(Given(vectors), numbered(41), "Which?", estimator=HDBSCAN(8, copy=True), labels=labels)
    assert result.assignments[-1] == -1 and result.sizes.tolist() == [20, 20]
    assert result.quality["entropy"] == 0 and 0 < result.quality["v_measure"] < 1
    assert result.to_frame()["name"].iloc[-1] == "(no cluster)" and "1 in none" in repr(result)
    assert 40 not in [i for e in result.explanations for i in e.typical + e.borderline]


def test_an_estimator_may_leave_everything_out():
    vectors = np.random.default_rng(0).normal(size=(30, 8))
    result = ask(Given(vectors), numbered(30), "Which?", estimator=HDBSCAN(25, copy=True), labels=numbered(30))
    assert len(result) == 0 and result.notes == ["HDBSCAN left every text out"]
    assert np.isnan(result.quality["silhouette"]) and "0 clusters, 30 in none" in repr(result)


def test_many_texts_are_clustered_in_batches_and_answered_in_a_sample(monkeypatch):
    for module in (asking, partition):
        monkeypatch.setattr(module, "LARGE_CORPUS", 40)
        monkeypatch.setattr(module, "TEXTS_SAMPLED", 20)
    result = ask(Oracle(), TEXTS, NEED, labels=LABELS[NEED][TEXTS])
    assert sum(answer is not None for answer in result.answers) == 20
    assert result.quality["v_measure"] == pytest.approx(1)
    assert all(result.to_frame().dropna()["answer"] == result.to_frame().dropna()["name"])


def test_embeddings_that_are_there_already_are_not_made_again(monkeypatch):
    class OnlyAnswers(Oracle):
        def encode(self, texts, instruction):
            raise AssertionError("the texts have embeddings")

    monkeypatch.setattr(asking, "TEXTS_ANSWERED", 20)
    vectors = Oracle().encode(TEXTS, NEED)
    result, whole = ask(OnlyAnswers(), TEXTS, NEED, embeddings=vectors.tolist()), ask(Oracle(), TEXTS, NEED)
    assert np.array_equal(result.assignments, whole.assignments) and result.embeddings.dtype == np.float32
    assert sum(answer is not None for answer in result.answers) == 20 and sorted(result.names) == sorted(whole.names)
    assert ask(Given(vectors), TEXTS, NEED, embeddings=vectors).answers is None


@pytest.mark.parametrize(
    ("embeddings", "error", "message"),
    [
        (np.ones((59, 3)), ValueError, r"one row per text, \(60, d\); got \(59, 3\)"),
        (np.ones(60), ValueError, r"got \(60,\)"),
        (np.full((60, 3), np.inf), ValueError, "60 of 60 texts hold NaN or infinity"),
        ("vectors.npy", TypeError, "embeddings must be numbers, got the str"),
    ],
)
def test_embeddings_of_other_texts_are_refused_before_any_is_answered(embeddings, error, message):
    class Silent:
        def answer(self, texts, instruction):
            raise AssertionError("no text was to be answered")

        encode = answer

    for how in ({}, {"options": ["a", "b"]}):
        with pytest.raises(error, match=message):
            ask(Silent(), TEXTS, NEED, embeddings=embeddings, **how)


def test_identical_texts_make_one_cluster_and_a_note():
    for n_clusters in (None, 3):
        result = ask(Given(np.ones((6, 4))), ["same"] * 6, "Which?", n_clusters)
        assert len(result) == 1 and "all embeddings are the same" in result.notes[0]
        assert np.isnan(result.quality["silhouette"]) and result.project().shape == (6, 2)
        assert np.isfinite(result.project()).all()
    few = ask(Given(np.repeat(np.eye(2), 3, axis=0)), numbered(6), "Which?", 4)
    assert len(few) == 2 and few.notes == ["2 clusters instead of 4: there are no more different embeddings"]


def test_texts_without_words_have_no_vectors_to_tell_apart():
    result = ask(TfidfEmbedder(), ["one two", "one two", "one two"], "Which?")
    assert len(result) == 1 and result.notes


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_few_texts_still_have_clusters_explanations_and_a_map(n):
    result = ask(Given(np.eye(7)[:n]), numbered(n), "Which?", labels=numbered(n))
    assert len(result) == 1 if n < 3 else len(result) > 1
    assert result.sizes.sum() == n and len(set(result.names)) == len(result)
    assert result.coordinates.shape == (n, 2) and np.isfinite(result.coordinates).all()
    assert len(ask(Given(np.eye(7)[:n]), numbered(n), "Which?", n)) == n


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"texts": []}, ValueError, "no texts to cluster"),
        ({"texts": "a text"}, TypeError, "texts must be a list"),
        ({"texts": ["a", None]}, TypeError, r"texts\[1\] is None"),
        ({"encoder": object()}, TypeError, "encoder must have encode"),
        ({"instruction": ["one", "two"]}, TypeError, "call ask once for each"),
        ({"instruction": " "}, ValueError, "is empty"),
        ({"n_clusters": 41}, ValueError, "41 clusters cannot be made of 40 texts"),
        ({"n_clusters": 0}, ValueError, "n_clusters must be 1 or more"),
        ({"n_clusters": "eight"}, ValueError, "n_clusters is 'eight': pass a number, 'about 8', or nothing"),
        ({"n_clusters": "about 50"}, ValueError, "50 clusters cannot be made of 40 texts"),
        ({"n_clusters": 2.0}, TypeError, "n_clusters must be an integer"),
        ({"labels": ["a"]}, ValueError, "1 labels for 40 texts"),
        ({"labels": [None] * 40}, ValueError, "all 40 labels are missing"),
        ({"estimator": object()}, TypeError, "estimator must be an object with fit_predict"),
        ({"estimator": KMeans}, TypeError, "estimator is the class KMeans"),
        ({"estimator": KMeans(2), "n_clusters": 2}, ValueError, "both given"),
        ({"namer": "gpt2"}, TypeError, r"namer must be a function of \(question, texts, words\) to a name, got 'gpt2'"),
        ({"namer": lambda *_: " "}, ValueError, "namer returned an empty name for cluster 0"),
        ({"encoder": Given(np.full((40, 3), np.nan))}, ValueError, r"40 of 40 texts hold NaN.*texts\[0\]"),
        ({"encoder": Given(np.ones((39, 3)))}, ValueError, r"one row per text, \(40, d\); got \(39, 3\)"),
        ({"encoder": Given(np.ones(40))}, ValueError, r"got \(40,\)"),
    ],
)
def test_what_cannot_be_clustered_is_refused(change, error, message):
    settings = {"encoder": Given(blobs(20, 20)), "texts": numbered(40), "instruction": "Which?"} | change
    with pytest.raises(error, match=message):
        ask(**settings)


def test_an_estimator_must_assign_every_text():
    class Short(KMeans):
        def fit_predict(self, vectors):
            return np.zeros(3, dtype=int)

    with pytest.raises(ValueError, match="Short.fit_predict must return 40 integers"):
        ask(Given(blobs(20, 20)), numbered(40), "Which?", estimator=Short())


def test_a_table_has_one_row_per_text(asked):
    table = asked.to_frame()
    assert table.columns.tolist() == ["text", "cluster", "name", "answer", "label"]
    assert table["text"].tolist() == TEXTS
    assert (table["name"] == table["label"]).all()
    plain = ask(TfidfEmbedder(), TEXTS, NEED, 3).to_frame()
    assert plain.columns.tolist() == ["text", "cluster", "name", "answer"] and plain["answer"].isna().all()


def test_clusters_are_a_table_too(asked):
    table = asked.clusters()
    assert table["size"].sum() == len(TEXTS) and table["entropy"].tolist() == [0] * len(asked)
    assert all(table["words"] == table["name"])
    assert table["typical"].map(len).tolist() == [3] * len(asked)


def test_a_namer_names_clusters_by_their_typical_texts_and_words_for_good(asked, tmp_path):
    result = ask(Oracle(), TEXTS, NEED, namer=lambda question, texts, words: f"{question} {words[0]}: {texts[0]}")
    for given, ours in zip(result.explanations, asked.explanations, strict=True):
        name = f"{NEED} {ours.name}: {TEXTS[ours.typical[0]]}"
        assert given == replace(ours, name=in_one_line(name, 60)) and given.name != ours.name
    assert Clustering.load(result.save(tmp_path)).names == result.names


def test_what_a_namer_raises_is_not_swallowed():
    def offline(question, texts, words):
        raise ConnectionError("no route to the model")

    with pytest.raises(ConnectionError, match="no route"):
        ask(Given(blobs(20, 20)), numbered(40), "Which?", 2, namer=offline)


def test_a_pipeline_of_transformers_names_clusters(tiny_encoder):
    generate = pipeline("text-generation", model=tiny_encoder.lm, tokenizer=tiny_encoder.tokenizer)

    def namer(question, texts, words):
        prompt = INBEDDER.format(input=" ".join(texts), instruction=question)
        return generate(prompt, max_new_tokens=4, do_sample=False, return_full_text=False)[0]["generated_text"]

    result = ask(Oracle(), TEXTS, FEELING, namer=namer)
    said = [tiny_encoder.answer([" ".join(result.texts[i] for i in e.typical)], FEELING) for e in result.explanations]
    assert [name.partition(" (")[0] for name in result.names] == np.ravel(said).tolist()
    assert len(set(result.names)) == len(result)


class Odd(Given):
    """Answers with half a character, as no tokenizer does."""

    def answer(self, texts, instruction):
        return [f"sea \udc00 {i % 2}" for i in range(len(texts))]


def test_half_characters_are_replaced_in_everything_that_is_read_or_kept(tmp_path):
    texts, whole = ([f"{odd} number {i}" for i in range(6)] for odd in ("\ud83d", "\ufffd"))
    result = ask(Odd(blobs(3, 3)), texts, "Which \udfff?", 2, labels=["\ud800"] * 3 + ["b"] * 3, seed=np.int64(1))
    table, clusters = result.to_frame(), result.clusters()
    assert table["text"].tolist() == whole and table["label"].tolist() == ["\ufffd"] * 3 + ["b"] * 3
    assert table["answer"].tolist() == ["sea \ufffd 0", "sea \ufffd 1"] * 3
    assert sorted(clusters["typical"].sum()) == whole and clusters["entropy"].tolist() == [0, 0]
    table.to_csv(tmp_path / "table.csv")
    assert "Which \ufffd?" in repr(result) and f"{result!r}{result._repr_html_()}".encode()
    again = Clustering.load(result.save(tmp_path / "kept"))
    pd.testing.assert_frame_equal(again.to_frame(), table)
    assert repr(again) == repr(result)


def test_the_bundled_encoder_asks_answers_and_reads(tiny_encoder):
    table = MESSAGES.head(24)
    result = ask(tiny_encoder, table["text"], FEELING, 3, labels=table["feeling"])
    assert result.answers == tiny_encoder.answer(table["text"], FEELING)
    assert all(e.decoded_words for e in result.explanations) and len(set(result.names)) == 3


def test_texts_whose_embeddings_are_given_are_not_read_to_say_what_is_cut():
    class Unread(Given):
        def unread(self, texts, instruction):
            raise AssertionError("nothing was encoded")

    vectors = blobs(6, 6)
    assert ask(Unread(vectors), numbered(12), "Which?", 2, embeddings=vectors).notes == []
