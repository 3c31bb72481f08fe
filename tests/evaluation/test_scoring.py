import numpy as np
import pandas as pd
import pytest

from inbedder_utils.data import corpus, small_set
from inbedder_utils.evaluation.baselines import TfidfEmbedder
from inbedder_utils.evaluation.scoring import Embedding, task_scores
from inbedder_utils.evaluation.tasks import SUITES, Task

LABELS = corpus("messages").set_index("text")
QUESTIONS = {"What does the customer need?": "need", "How does the customer feel?": "feeling"}


class Oracle(TfidfEmbedder):
    """Knows the label that is asked for, and nothing else."""

    def encode(self, texts, instruction=None, **options):
        label = LABELS[QUESTIONS[instruction]]
        return np.eye(label.nunique())[label.astype("category").cat.codes[texts]]


def scores(task, embedder, **kwargs):
    tables = {part: small_set(data) for part, data in task.parts.items()}
    return pd.DataFrame(task_scores(task, tables, Embedding(embedder), **kwargs))


@pytest.mark.parametrize(("name", "measures"), [("MessagesTriplets", 1), ("MessagesClustering", 2)])
def test_an_embedder_that_knows_what_is_asked_is_perfect_in_all_parts(name, measures):
    task = next(task for task in SUITES["small"] if task.name == name)
    table = scores(task, Oracle(), seeds=2)
    assert len(table) == 3 * measures
    assert set(table["part"]) == {"need", "feeling", ""}
    assert (table["score"] == 100).all()


def test_the_whole_is_the_harmonic_mean_of_the_parts():
    task = next(task for task in SUITES["small"] if task.name == "ReviewsTriplets")
    table = scores(task, TfidfEmbedder()).set_index("part")["score"]
    parts = table.drop("")
    assert table[""] == pytest.approx(len(parts) / (1 / parts).sum(), abs=1e-3)


def test_robustness_tells_a_right_question_from_a_wrong_one():
    right, wrong = QUESTIONS
    task = Task("Messages-need_robustness", "robustness", {"": "clustering/messages_need"})
    table = scores(task, Oracle(), instructions={"correct": [right], "incorrect": [wrong]}, seeds=1)
    by_kind = table[table["measure"] == "v_measure"].set_index("kind")
    assert by_kind.loc["correct", "score"] == 100 and by_kind.loc["incorrect", "score"] < 5
    assert by_kind["instruction"].tolist() == [right, wrong]


def test_instructions_asked_together_score_as_one_by_one(tiny_encoder):
    task = Task("Messages-need_robustness", "robustness", {"": "clustering/messages_need"})
    instructions = {"correct": ["What does the customer need?", "What is it for?"], "incorrect": ["How many words?"]}
    together, one_by_one = Embedding(tiny_encoder), Embedding(tiny_encoder)
    together.at_once, one_by_one.at_once = 2, 1
    tables = {"": small_set("clustering/messages_need").head(60)}
    found, expected = (task_scores(task, tables, embed, instructions, seeds=1) for embed in (together, one_by_one))
    assert found == expected and len({row["score"] for row in found}) > 3
    assert Embedding(tiny_encoder).at_once == 10
    assert Embedding(tiny_encoder, ["fst_gen", "avg_ppt"], [1, 2, 3]).at_once == Embedding(TfidfEmbedder()).at_once == 1


def test_a_sweep_reads_the_same_states_as_a_single_run(tiny_encoder):
    task = Task("Few", "triplets", {"": "triplets/messages_need"}, {"": "What does the customer need?"})
    tables = {"": small_set("triplets/messages_need").head(20)}
    (own,) = task_scores(task, tables, Embedding(tiny_encoder))
    swept = task_scores(task, tables, Embedding(tiny_encoder, ["fst_gen", "avg_ppt"], [2, -1]))
    depth = tiny_encoder.lm.config.num_hidden_layers
    assert [(row["pooling"], row["layer"]) for row in swept] == [
        (pooling, layer) for pooling in ("fst_gen", "avg_ppt") for layer in (2, depth)
    ]
    assert own in swept
    with pytest.raises(ValueError, match="TfidfEmbedder.*has one embedding only: leave out poolings and layers"):
        Embedding(TfidfEmbedder(), layers=[1])
