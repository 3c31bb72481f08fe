import numpy as np
import pytest

from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.diagnosis import UNRELATED, diagnose
from inbedder_utils.clustering.relations import in_words, relate
from inbedder_utils.clustering.result import Clustering
from inbedder_utils.data.own_sets import corpus
from inbedder_utils.evaluation.baselines import TfidfEmbedder

TEXTS = [f"text {i}" for i in range(40)]


class Answering:
    """Embeds every question in a space of its own, by given clusters, and gives given answers."""

    def __init__(self, clusters, answers, noise=0.03):
        self.clusters, self.answers, self.noise = np.asarray(clusters), list(answers), noise

    def encode(self, texts, instruction):
        rng = np.random.default_rng(UNRELATED.index(instruction) if instruction in UNRELATED else 9)
        groups = self.clusters if instruction not in UNRELATED else rng.permutation(self.clusters)
        return np.eye(64)[groups] + rng.normal(scale=self.noise, size=(len(texts), 64))

    def answer(self, texts, instruction):
        return self.answers


def diagnosed(encoder, question="Which?", texts=TEXTS, **settings):
    return diagnose(encoder, ask(encoder, texts, question, **settings))


def test_nothing_is_said_against_a_question_that_divides_the_texts():
    found = diagnosed(Answering([0, 1, 2, 3] * 10, ["sea", "sky", "land", "fire"] * 10))
    assert found.warnings == [] and "nothing speaks against this question" in repr(found)
    assert found.answer_entropy == 2 and found.distinct_answers == 4 and found.top_share == 0.25
    assert found.dependence > 0.5 and 0.5 < found.spread < 1 and found.silhouette > 0.8


def test_dependence_ignores_what_a_question_adds_to_every_text():
    class Shifted(Answering):
        def encode(self, texts, instruction):
            return np.eye(12)[self.clusters] + 5 * np.eye(12)[len(instruction) % 12]

    found = diagnosed(Shifted([0, 1] * 20, ["sea", "sky"] * 20), n_clusters=2)
    assert found.dependence == pytest.approx(0, abs=0.05)
    assert "doesn't listen" in found.warnings[0]


def test_an_embedder_that_is_deaf_to_questions_is_found_out_and_the_bundled_one_is_not(tiny_encoder):
    messages = corpus("messages")["text"].head(20).tolist()
    question = "How does the customer feel?"
    deaf = diagnosed(TfidfEmbedder(), question, messages, n_clusters=3)
    assert deaf.dependence == pytest.approx(0, abs=1e-6) and "doesn't listen" in deaf.warnings[0]
    assert np.isnan(deaf.top_share) and not any("answers" in warning for warning in deaf.warnings)
    listening = diagnosed(tiny_encoder, question, messages, n_clusters=3)
    assert listening.dependence > 0.3 and not any("listen" in warning for warning in listening.warnings)


@pytest.mark.parametrize(
    ("answers", "question", "warning"),
    [
        (["sea"] * 30 + ["sky"] * 10, "Which?", "75% of the answers are 'sea'"),
        (["sea"] * 28 + ["sky"] * 12, "Which?", None),
        ([""] * 12 + ["sea", "sky"] * 14, "Which?", "30% of the answers are empty"),
        ([""] * 40, "Which?", "100% of the answers are empty"),
        (["Colour"] * 20 + ["the boat"] * 20, "Which colour has the boat?", "100% of the answers only repeat"),
        (["good"] * 20 + ["bad"] * 20, "Is it good or bad?", None),
    ],
)
def test_answers_that_say_little_are_warned_of(answers, question, warning):
    groups = (
        [list(dict.fromkeys(answers)).index(answer) for answer in answers] if len(set(answers)) > 1 else [0, 1] * 20
    )
    found = diagnosed(Answering(groups, answers, noise=0.25), question, n_clusters=len(set(groups)))
    assert len(found.warnings) == (warning is not None)
    assert warning is None or found.warnings[0].startswith(warning)


def test_clusters_no_better_than_chance_are_warned_of():
    found = diagnosed(Answering([0] * 40, ["sea", "sky"] * 20, noise=2))
    assert [warning.split(" (")[0] for warning in found.warnings] == [
        "the clusters are not those of the answers",
        "the clusters are hardly apart",
        "the clusters are not stable",
    ]


@pytest.mark.parametrize(("noise", "warned"), [(0.03, False), (0.2, True)])
def test_to_be_answered_as_an_unrelated_question_is_warned_of_unless_clusters_are_apart(noise, warned):
    class Near(Answering):
        def encode(self, texts, instruction):
            return super().encode(texts, "Which?" if instruction == UNRELATED[2] else instruction)

    found = diagnosed(Near([0, 1, 2, 3] * 10, ["sea", "sky", "land", "fire"] * 10, noise))
    assert found.nearest == pytest.approx(0, abs=1e-6) and found.dependence > 0.5 and found.silhouette > 0.1
    assert [warning.split(":")[0] for warning in found.warnings] == [
        "the texts answer it much as they answer an unrelated question"
    ] * warned


def test_texts_that_are_all_the_same_are_warned_of():
    class Constant(Answering):
        def encode(self, texts, instruction):
            return np.ones((len(texts), 3))

    found = diagnosed(Constant([], ["sea"] * 40))
    assert found.spread == pytest.approx(0, abs=1e-6) and np.isnan(found.silhouette)
    assert any("nothing to cluster" in warning for warning in found.warnings)
    assert any("not two clusters" in warning for warning in found.warnings)


VERDICTS = ["good", "bad"] * 20


@pytest.mark.parametrize(("answers", "warned"), [(VERDICTS, False), (["good"] * 20 + ["bad"] * 20, True)])
def test_clusters_that_the_answers_contradict_are_warned_of(answers, warned):
    found = diagnosed(Answering([0, 1] * 20, answers), "Is it good or bad?", n_clusters=2)
    assert found.agreement == pytest.approx(0 if warned else 1, abs=0.05)
    assert [w.split(" (")[0] for w in found.warnings] == ["the clusters are not those of the answers"] * warned


def test_poor_answers_are_no_fault_of_clusters_that_are_clear_and_stable():
    found = diagnosed(Answering([0, 1, 2, 3] * 10, ["airline"] * 36 + ["delta"] * 4), "Which airline is it?")
    assert found.top_share == found.echo_share == 0.9 and found.stability > 0.9 and np.isnan(found.agreement)
    assert found.warnings == []


class Unread(Answering):
    def unread(self, texts, instruction):
        return [f"68% of the tokens of {len(texts)} of {len(texts)} texts are unknown to mini"]


def test_what_was_not_read_is_said_in_the_result_the_diagnosis_and_the_folder(tmp_path):
    encoder = Unread([0, 1] * 20, ["sea", "sky"] * 20)
    result = ask(encoder, TEXTS, "Which?", 2)
    assert result.notes == encoder.unread(TEXTS, "") == diagnose(encoder, result).warnings
    assert Clustering.load(result.save(tmp_path)).notes == result.notes


def test_a_bar_is_drawn_if_asked_for(tiny_encoder, capsys):
    result = ask(tiny_encoder, TEXTS, "Which?", 2)
    quiet = diagnose(tiny_encoder, result)
    assert capsys.readouterr().err == ""
    assert diagnose(tiny_encoder, result, show_progress_bar=True) == quiet
    assert "160/160" in capsys.readouterr().err


def test_a_single_text_and_a_question_of_the_unrelated_ones_can_be_diagnosed():
    found = diagnosed(Answering([1], ["sea"]), UNRELATED[0], ["text"])
    assert found.spread == pytest.approx(0, abs=1e-6) and found.warnings


def test_questions_that_divide_alike_agree_and_others_do_not():
    halves, thirds = [0, 1] * 30, [0, 0, 1, 1, 2, 2] * 10
    texts = [f"text {i}" for i in range(60)]
    asked = [
        ask(Answering(groups, [""] * 60), texts, question)
        for groups, question in ((halves, "Which half?"), (thirds, "Which third?"), (halves, "What half?"))
    ]
    agreement = relate(asked)
    assert agreement.index.tolist() == agreement.columns.tolist() == ["Which half?", "Which third?", "What half?"]
    assert agreement.iloc[0, 2] == pytest.approx(1) and abs(agreement.iloc[0, 1]) < 0.1
    assert np.array_equal(agreement, agreement.T)
    (said,) = in_words(agreement)
    assert said.startswith("'Which half?' and 'What half?' ask the same thing") and "1.00" in said
    assert in_words(relate(asked[:2])) == ["These 2 questions ask different things of these texts."]


def test_only_clusterings_of_the_same_texts_are_related():
    encoder = Answering([0, 1] * 20, ["sea", "sky"] * 20)
    one, other = ask(encoder, TEXTS, "Which?"), ask(encoder, TEXTS[::-1], "What?")
    with pytest.raises(ValueError, match="'What.' was asked of other texts than 'Which.'"):
        relate([one, other])
    with pytest.raises(ValueError, match="got 1 clustering"):
        relate([one])
    with pytest.raises(TypeError, match="what ask returns, got str, str"):
        relate(["Which?", "What?"])
