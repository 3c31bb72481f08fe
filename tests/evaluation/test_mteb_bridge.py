"""Our encoders on mteb's tasks, on small local data."""

import importlib
import sys

import mteb
import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from mteb.abstasks import AbsTaskClustering, AbsTaskRetrieval, AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta
from sklearn.metrics import average_precision_score
from small_models import ASK as FEELING
from torch.utils.data import DataLoader

from inbedder_utils import load_encoder
from inbedder_utils.adapters import as_sentence_transformer
from inbedder_utils.data import small_set
from inbedder_utils.evaluation.mteb_bridge import MtebEncoder, generic_score
from inbedder_utils.evaluation.tasks import SUITES

pytestmark = pytest.mark.filterwarnings("ignore:The task 'TwentyNewsgroupsClustering' is superseded")

NEED = "What does the customer need?"
GENERIC = {task.name: task for task in SUITES["generic"]}


def metadata(name, kind, main_score, **more):
    return TaskMetadata(
        name=name,
        description="for tests",
        type=kind,
        dataset={"path": "local", "revision": "1"},
        eval_langs=["eng-Latn"],
        main_score=main_score,
        **more,
    )


class Feelings(AbsTaskClustering):
    metadata = metadata("Feelings", "Clustering", "v_measure", prompt=FEELING)
    max_fraction_of_documents_to_embed = None
    n_clusters, max_documents_per_cluster = 2, 64  # of repeated samples, by default 10 of 16,384 texts

    def load_data(self, num_proc=None, **options):
        rows = small_set("clustering/messages_feeling").head(32)
        columns = {"sentences": rows["text"].tolist(), "labels": rows["cluster"].tolist()}
        self.dataset, self.data_loaded = DatasetDict(test=Dataset.from_dict(columns)), True


class Alike(AbsTaskSTS):
    metadata = metadata("Alike", "STS", "cosine_spearman")
    abstask_prompt = ""
    min_score, max_score = 0, 1

    def load_data(self, num_proc=None, **options):
        rows = small_set("pairs").head(24).to_dict("list")
        self.dataset, self.data_loaded = DatasetDict(test=Dataset.from_dict(rows)), True


class Blind(AbsEncoder):
    """Counts letters, whatever is asked."""

    mteb_model_meta = ModelMeta.create_empty({"name": "tests/blind", "revision": "1"})

    def encode(self, inputs, *, task_metadata, hf_split, hf_subset, prompt_type=None, **options):
        return letters([text for batch in inputs for text in batch["text"]])


def letters(texts):
    return np.array([[text.lower().count(letter) for letter in "etaoinshrdlu"] for text in texts], dtype=np.float32)


class Spelling:
    """An embedder with nothing but what is needed, which records what it was asked."""

    name = "some/spelling"

    def __init__(self):
        self.asked = []

    def encode(self, texts, instruction, **options):
        self.asked += [instruction] if isinstance(instruction, str) else instruction
        return letters(texts)

    def __repr__(self):
        return "Spelling()"


def score(model, task, cache=None, **options):
    cache = mteb.ResultCache(cache_path=cache) if cache else None
    result = mteb.evaluate(model, task, cache=cache, show_progress_bar=False, **options)
    return result.task_results[0].get_score()


def test_our_encoder_runs_on_tasks_of_mteb_under_their_own_prompt(tiny_encoder):
    asked = score(MtebEncoder(tiny_encoder), Feelings())
    assert asked > 0.3
    assert asked == score(MtebEncoder(tiny_encoder, {"Feelings": FEELING}), Feelings())
    assert asked > score(MtebEncoder(tiny_encoder, {"Feelings": NEED}), Feelings()) + 0.1


def test_an_instruction_of_ours_goes_before_the_prompt_of_the_task():
    spelling = Spelling()
    result = mteb.evaluate(MtebEncoder(spelling, {"Feelings": NEED}), [Feelings(), Alike_with("Why?")()], cache=None)
    assert set(spelling.asked) == {NEED, "Why?"}
    assert [found.task_name for found in result.task_results] == ["Feelings", "Alike"]


def Alike_with(prompt):
    return type("Alike", (Alike,), {"metadata": Alike.metadata.model_copy(update={"prompt": prompt})})


@pytest.mark.parametrize("prompt", [None, "", {"query": "Why?"}])
def test_a_task_without_an_instruction_is_named_with_the_way_to_pass_one(prompt):
    with pytest.raises(
        ValueError, match=r"no instruction for the task Alike: pass one, MtebEncoder\(encoder, \{'Alike'"
    ):
        mteb.evaluate(MtebEncoder(Spelling()), Alike_with(prompt)(), cache=None)


def test_instructions_are_checked_when_they_are_passed():
    with pytest.raises(ValueError, match="instruction 0 is empty"):
        MtebEncoder(Spelling(), {"Feelings": " "})
    with pytest.raises(TypeError, match="instruction 1 is None"):
        MtebEncoder(Spelling(), {"Feelings": NEED, "Alike": None})


def test_vectors_are_those_of_encode(tiny_encoder):
    texts = small_set("clustering/messages_need")["text"].head(5).tolist()
    batches = DataLoader(Dataset.from_dict({"text": texts}), batch_size=2)
    where = {"task_metadata": Feelings.metadata, "hf_split": "test", "hf_subset": "default"}
    vectors = MtebEncoder(tiny_encoder).encode(batches, **where, batch_size=2)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, tiny_encoder.encode(texts, FEELING), atol=1e-5)


def test_a_name_is_needed_and_fit_for_a_file():
    with pytest.raises(TypeError, match="has no name to keep scores under"):
        MtebEncoder(object())
    assert MtebEncoder(Spelling()).mteb_model_meta.name == "inbedder/some_spelling"


def test_the_revision_tells_settings_and_instructions_apart(tiny_encoder, encoder_of):
    encoders = [tiny_encoder, load_encoder("tiny", device="cpu", pooling="avg_ppt"), encoder_of("llama"), Spelling()]
    made = [MtebEncoder(encoder, asked) for encoder in encoders for asked in (None, {"A": NEED}, {"A": FEELING})]
    assert len({model.mteb_model_meta.revision for model in made}) == len(made)
    again = MtebEncoder(load_encoder("tiny", device="cpu"), {"A": NEED})
    assert again.mteb_model_meta.revision == made[1].mteb_model_meta.revision


def test_a_cached_score_is_never_another_models(tiny_encoder, tmp_path):
    other = load_encoder("tiny", device="cpu", pooling="avg_ppt")
    models = [MtebEncoder(tiny_encoder), MtebEncoder(tiny_encoder, {"Feelings": NEED}), MtebEncoder(other)]
    fresh = [score(model, Feelings()) for model in models]
    assert len(set(fresh)) == 3
    assert [score(model, Feelings(), tmp_path) for model in models] == fresh
    kept = [score(model, Feelings(), tmp_path, overwrite_strategy="only-cache") for model in models]
    assert kept == pytest.approx(fresh, abs=1e-6)


def test_mteb_evaluates_our_sentence_transformer_and_keeps_the_scores_of_questions_apart(tiny_encoder, tmp_path):
    for question in (FEELING, NEED):
        ours = score(MtebEncoder(tiny_encoder, {"Feelings": question}), Feelings())
        assert score(as_sentence_transformer(tiny_encoder, question), Feelings(), tmp_path) == pytest.approx(
            ours, abs=1e-6
        )
    by_type_of_task = as_sentence_transformer(tiny_encoder, FEELING, {"Clustering": NEED})
    assert score(by_type_of_task, Feelings(), tmp_path) == pytest.approx(ours, abs=1e-6)


def test_mteb_has_the_generic_sets_at_known_commits():
    known = {
        "AskUbuntu": ("mteb/AskUbuntuDupQuestions", "c5691e3c48741d5f83b5cc8e630653d7a8cfc048"),
        "SciDocs": ("mteb/SciDocsRR", "39b8377811871075eed9de3b8a7e21aaa6acb3d8"),
        "StackOverflow": ("mteb/StackOverflowDupQuestions", "5debda000fe8e27ebb5c123d38081f92e1847a59"),
        "TwentyNewsgroups": ("mteb/twentynewsgroups-clustering", "6125ec4e24fa026cec8a478383ee943acfbd5449"),
    }
    in_paper = {
        "AskUbuntu": "2000358ca161889fa9c082cb41daa8dcfb161a54",
        "SciDocs": "d3c5e1fc0b855ab6097bf1cda04dd73947d7caab",
        "StackOverflow": "e185fbe320c72810689fc5848eb6114e1ef5ec69",
        "TwentyNewsgroups": "6125ec4e24fa026cec8a478383ee943acfbd5449",
    }
    assert set(known) == set(GENERIC)
    for name, task in GENERIC.items():
        data = mteb.get_task(task.parts[""]).metadata
        assert (data.dataset["path"], data.revision) == known[name]
        assert data.main_score == ("v_measure" if name == "TwentyNewsgroups" else "map_at_1000")
    same = [name for name in known if known[name][1] == in_paper[name]]
    assert same == ["TwentyNewsgroups"], "generic_score's docstring says which sets are at the paper's commit"


@pytest.mark.parametrize("name", GENERIC)
def test_a_generic_task_without_its_data_tells_the_way_out(name, tmp_path):
    with pytest.raises(
        OSError, match=rf"the data of {GENERIC[name].parts['']} can't be loaded.*with a network.*HF_HOME"
    ):
        generic_score(Spelling(), GENERIC[name], tmp_path)


def test_only_generic_tasks_have_a_generic_score(tiny_encoder):
    with pytest.raises(ValueError, match="InstructSTSB is none of mteb's tasks"):
        generic_score(tiny_encoder, next(task for task in SUITES["awareness"] if task.name == "InstructSTSB"))


def reranking(texts, relevant):
    """A reranking task: the first text is the query, the others are its candidates; then the same reversed."""
    queries = {"q1": (texts, relevant), "q2": (texts[::-1], relevant[::-1])}
    corpus = [
        {"id": f"{q}-{i}", "title": "", "text": text} for q in queries for i, text in enumerate(queries[q][0][1:])
    ]
    split = {
        "corpus": Dataset.from_list(corpus),
        "queries": Dataset.from_list([{"id": q, "text": queries[q][0][0]} for q in queries]),
        "relevant_docs": {q: {f"{q}-{i}": int(r) for i, r in enumerate(queries[q][1][1:])} for q in queries},
        "top_ranked": {q: [f"{q}-{i}" for i in range(len(texts) - 1)] for q in queries},
    }

    class Reranking(AbsTaskRetrieval):
        metadata = metadata("AskUbuntuDupQuestions", "Reranking", "map_at_1000", prompt="Retrieve duplicates")

        def load_data(self, num_proc=None, **options):
            self.dataset, self.data_loaded = {"default": {"test": split}}, True

    return Reranking(), queries.values()


def test_reranking_is_scored_by_the_mean_average_precision_over_the_candidates(monkeypatch, tiny_encoder, tmp_path):
    rows = small_set("clustering/messages_need").head(20)
    task, queries = reranking(rows["text"].tolist(), (rows["cluster"] == rows["cluster"][0]).tolist())
    monkeypatch.setattr(mteb, "get_task", lambda name: task)
    found = generic_score(tiny_encoder, GENERIC["AskUbuntu"], tmp_path)
    precisions = []
    for texts, relevant in queries:
        vectors = tiny_encoder.encode(texts, "What does the user want?", normalize_embeddings=True)
        precisions.append(average_precision_score(relevant[1:], vectors[1:] @ vectors[0]))
    assert found == pytest.approx(100 * np.mean(precisions), abs=0.01)
    task.load_data = None
    assert generic_score(tiny_encoder, GENERIC["AskUbuntu"], tmp_path) == found


def test_an_error_of_the_encoder_stays_what_it_is(monkeypatch):
    class Broken(Spelling):
        def encode(self, texts, instruction, **options):
            raise OSError("disk full")

    rows = small_set("clustering/messages_need").head(6)
    task, _ = reranking(rows["text"].tolist(), [True] * 6)
    monkeypatch.setattr(mteb, "get_task", lambda name: task)
    with pytest.raises(OSError, match="^disk full$"):
        generic_score(Broken(), GENERIC["AskUbuntu"])


def test_without_mteb_the_import_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mteb", None)
    monkeypatch.delitem(sys.modules, "inbedder_utils.evaluation.mteb_bridge")
    with pytest.raises(ImportError, match=r"mteb.*pip install -e '\.\[evaluate\]'"):
        importlib.import_module("inbedder_utils.evaluation.mteb_bridge")
