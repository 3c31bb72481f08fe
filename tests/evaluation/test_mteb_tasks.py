"""The benchmark in mteb: complete by mteb's own rules, for any of its models, with the scores of `evaluate`."""

import json

import datasets
import mteb
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from mteb.abstasks import AbsTask
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.get_tasks import TASK_LIST
from mteb.models import CachedEmbeddingWrapper
from mteb.models.instruct_wrapper import InstructSentenceTransformerModel
from scipy.stats import hmean
from test_mteb_bridge import FEELING, NEED, Blind, Spelling, letters, score

from inbedder_utils import load_encoder
from inbedder_utils.data import small_set
from inbedder_utils.data.public_sets import PUBLIC_SETS
from inbedder_utils.evaluation import evaluate, suite_tasks, triplet_success, v_measures
from inbedder_utils.evaluation.baselines import TfidfEmbedder
from inbedder_utils.evaluation.mteb_bridge import MtebEncoder, instruction_tasks

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


class Mixed(Spelling):
    """Its vectors depend on the question as well."""

    def encode(self, texts, instruction, **options):
        self.asked += [instruction] * len(texts)
        return letters([f"{text} {instruction[-12:] * (len(text) % 3)}" for text in texts])


def whole(model, task, **options):
    """All scores of a task."""
    result = mteb.evaluate(model, task, **{"cache": None} | options, show_progress_bar=False)
    return result.task_results[0].scores["test"][0]


def questions_of(tasks):
    """The tasks that are run, one per question."""
    return {part.metadata.name: part for task in tasks for part in (task.tasks if task.is_aggregate else [task])}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small copies of all of the paper's sets, in both layouts that `load_set` reads."""
    made = tmp_path_factory.mktemp("sets")
    (made / "eval").mkdir()
    for name, public in PUBLIC_SETS.items():
        if "anchor" in public.columns:
            label = "feeling" if public.config == "emotion" else "need"
            table = small_set(f"triplets/messages_{label}").head(24)
        elif "score" in public.columns:
            table = small_set("pairs").head(24)
        else:
            table = small_set("clustering/messages_need").groupby("cluster").head(10)
        if public.rows:
            table = pd.concat([table] * (public.rows // len(table) + 1)).head(public.rows)
        file = made / "eval" / f"{name.lower()}.jsonl"
        if name == "InstructSTSB":
            file = made / public.hub / "test.jsonl"
            file.parent.mkdir(parents=True)
        table.to_json(file, orient="records", lines=True)
    return made


@pytest.fixture
def paper(folder):
    return {
        task.metadata.name: task for suite in ("awareness", "robustness") for task in instruction_tasks(suite, folder)
    }


@pytest.fixture(scope="module")
def own():
    return {task.metadata.name: task for task in instruction_tasks()}


def test_there_is_a_task_for_every_corpus_and_a_part_for_every_question(own, paper):
    clustered = [task.name for task in suite_tasks("small") if task.kind == "clustering"]
    assert list(own)[-4:] == [*clustered, "GuestsClustering"] and len(own) == 8
    assert list(own["ReviewsTriplets"].taskname_to_task) == [
        f"ReviewsTriplets-{label}" for label in ("product", "liking", "aspect")
    ]
    assert list(paper)[:3] == ["IntentEmotion", "InstructSTSB", "NYTClustering"] and len(paper) == 8
    assert {task.metadata.name for task in instruction_tasks("all")} == {*own, *paper}
    with pytest.raises(ValueError, match="unknown suite 'generic': expected one of small, awareness, robustness, all"):
        instruction_tasks("generic")


def test_the_papers_sets_are_at_their_commits_and_ask_its_questions(paper):
    tasks = questions_of(paper.values())
    assert set(tasks) == set(PUBLIC_SETS)
    for name, task in tasks.items():
        public = PUBLIC_SETS[name]
        assert task.metadata.dataset["path"] == public.hub and task.metadata.revision == public.revision
        assert task.metadata.dataset.get("name") == public.config
    assert tasks["NYTClustering-location"].metadata.prompt == "Where did the news happen?"
    assert tasks["FewNerd"].metadata.prompt.startswith("Here is a sentence.")
    assert tasks["FewEvent"].metadata.license == "mit" and tasks["FewRel"].metadata.license == "not specified"


def test_metadata_are_complete_as_mteb_demands(own, paper):
    wholes = [*own.values(), *paper.values()]
    tasks = {task.metadata.name: task for task in wholes} | questions_of(wholes)
    assert len(tasks) == 16 + 2 * (2 + 2 + 3) + 3 + 2 * 2
    assert not set(tasks) & {task.metadata.name for task in TASK_LIST}
    for task in tasks.values():
        task.metadata._validate_metadata()
        assert task.metadata.is_filled(), task
        assert task.metadata.hf_subsets == ["default"] and task.metadata.simplified_task_type
        assert task.metadata.prompt is None or isinstance(task.metadata.prompt, str)
    revisions = {task.metadata.revision for task in questions_of(own.values()).values()}
    assert len(revisions) == 16 and {len(revision) for revision in revisions} == {40}


def test_mteb_describes_every_set_of_ours(own, tmp_path, monkeypatch):
    place = property(lambda metadata: tmp_path / f"{metadata.name}.json")  # else it is in mteb's own folder
    monkeypatch.setattr(TaskMetadata, "descriptive_stat_path", place)
    for name, task in questions_of(own.values()).items():
        described = task.calculate_descriptive_statistics()["test"]
        rows = len(task.dataset["test"])
        task.unload_data()
        assert task.metadata.n_samples == {"test": rows} and rows >= 150
        one = described.get("text1_statistics") or described["text_statistics"]
        assert one["min_text_length"] > 3
        if name == "SmallPairs":
            assert 2 * described["unique_pairs"] == rows and described["label_statistics"]["max_score"] == 1
        elif "Triplets" in name:
            assert described["unique_pairs"] == rows and described["labels_statistics"]["unique_labels"] == 2
        else:
            assert one["unique_texts"] == rows and 2 <= described["labels_statistics"]["unique_labels"] <= 6


def test_scores_are_those_of_evaluate(paper, folder, tiny_encoder, tmp_path):
    measures = {"success": "triplet_success", "spearman": "cosine_spearman"}
    files = evaluate(tiny_encoder, suite_tasks("awareness"), tmp_path, folder=folder)
    for file in files:
        rows = json.loads(file.read_text())["scores"]
        scores = whole(MtebEncoder(tiny_encoder), paper[file.stem])
        found = {(row["part"], row["measure"]): row["score"] for row in rows}
        for (part, measure), expected in found.items():
            if not part:
                assert 100 * scores[measures.get(measure, measure)] == pytest.approx(expected, abs=1e-3)
            elif measure != "v_measure_minibatch":
                assert 100 * scores[part] == pytest.approx(expected, abs=1e-3)


def test_a_plain_embedder_has_the_scores_that_ship_with_the_project(own):
    SentenceTransformer = pytest.importorskip("sentence_transformers").SentenceTransformer
    try:
        model = SentenceTransformer(MINILM, device="cpu")
    except OSError:
        pytest.skip(f"{MINILM} is not in the Hugging Face cache")
    scores = whole(model, own["NewsTriplets"])
    file = ROOT / "results" / "scores" / MINILM.replace("/", "__") / "NewsTriplets.json"
    shipped = {row["part"]: row["score"] for row in json.loads(file.read_text())["scores"]}
    found = {part: scores[part or "main_score"] for part in shipped}
    assert {part: 100 * share for part, share in found.items()} == pytest.approx(shipped, abs=1e-3)


def test_any_model_runs_on_all_sets_of_the_paper(paper):
    result = mteb.evaluate(Blind(), list(paper.values()), cache=None, show_progress_bar=False)
    scores = {found.task_name: found.get_score() for found in result.task_results}
    assert set(scores) == set(paper)
    assert all(-1 <= found <= 1 for found in scores.values())
    assert score(Blind(), paper["FewEvent"]) == scores["FewEvent"]


def test_the_score_of_a_corpus_is_the_harmonic_mean_over_its_questions(paper, tmp_path):
    parts = {
        "emotion": score(Blind(), paper["IntentEmotion"].tasks[0]),
        "intent": score(Blind(), paper["IntentEmotion"].tasks[1]),
    }
    cache = mteb.ResultCache(cache_path=tmp_path)
    for strategy in ("only-missing", "only-cache"):
        scores = whole(Blind(), paper["IntentEmotion"], cache=cache, overwrite_strategy=strategy)
        assert scores["main_score"] == pytest.approx(hmean(list(parts.values())), abs=1e-6)
        assert {part: scores[part] for part in parts} == pytest.approx(parts, abs=1e-6)
    assert 0 < parts["intent"] != parts["emotion"] > 0


def test_mteb_itself_can_load_the_sets_of_the_hub(paper, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    configs = "".join(
        f"- config_name: {part}\n  data_files:\n  - split: test\n    path: {part}.csv\n"
        for part in ("emotion", "intent")
    )
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    for task in paper["IntentEmotion"].tasks:
        part = task.metadata.dataset["name"]
        label = {"emotion": "feeling", "intent": "need"}[part]
        small_set(f"triplets/messages_{label}").head(24).to_csv(tmp_path / f"{part}.csv", index=False)
        metadata = task.metadata.model_copy(update={"dataset": task.metadata.dataset | {"path": str(tmp_path)}})
        as_upstream = type("Upstream", (type(task),), {"metadata": metadata, "load_data": AbsTask.load_data})()
        assert score(Blind(), as_upstream) == score(Blind(), task) > 0


def test_a_corpus_has_no_score_if_a_question_has_none(tmp_path):
    task = instruction_tasks("awareness", tmp_path)[0]
    with pytest.warns(UserWarning, match="same version"):
        assert whole(Blind(), task, raise_error=False)["main_score"] is None


def test_a_model_is_asked_the_question_of_the_task_or_the_one_it_is_told(paper, tiny_encoder):
    rows = small_set("triplets/messages_feeling").head(24)
    asked = {
        question: triplet_success(*(tiny_encoder.encode(rows[side], question) for side in rows))
        for question in (FEELING, NEED)
    }
    assert whole(MtebEncoder(tiny_encoder), paper["IntentEmotion"])["emotion"] == pytest.approx(
        asked[FEELING], abs=1e-6
    )
    other = MtebEncoder(tiny_encoder, {"IntentEmotion-emotion": NEED})
    assert whole(other, paper["IntentEmotion"])["emotion"] == pytest.approx(asked[NEED], abs=1e-6)
    assert asked[NEED] < asked[FEELING]


def test_each_pair_is_asked_its_own_question(paper):
    spelling, rows = Mixed(), small_set("pairs").head(24)
    found = score(MtebEncoder(spelling), paper["InstructSTSB"])
    assert set(spelling.asked) == set(rows["instruction"])
    one, other = (
        np.concatenate(
            [Mixed().encode([text], question) for text, question in zip(rows[side], rows["instruction"], strict=True)]
        )
        for side in ("sentence1", "sentence2")
    )
    cosines = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    assert found == pytest.approx(pd.Series(cosines).round(6).corr(rows["score"], method="spearman"), abs=1e-5)
    assert found != score(Blind(), paper["InstructSTSB"])
    assert -1 <= score(MtebEncoder(TfidfEmbedder()), paper["InstructSTSB"]) <= 1  # of other widths for each question


def test_models_of_mteb_that_take_an_instruction_get_the_question(paper, folder_of):
    checkpoint = folder_of("bert")
    model = InstructSentenceTransformerModel(
        str(checkpoint), None, device="cpu", instruction_template="Instruct: {instruction}\nQuery: "
    )
    model.mteb_model_meta = Blind.mteb_model_meta
    rows = small_set("triplets/messages_need").head(24)
    vectors = (model.model.encode(rows[side].tolist(), prompt=f"Instruct: {NEED}\nQuery: ") for side in rows)
    assert score(model, paper["IntentEmotion"].tasks[1]) == triplet_success(*vectors)
    plain = load_encoder(checkpoint, family="sentence", device="cpu").model
    for name in ("IntentEmotion", "InstructSTSB", "FewRel"):
        assert -1 <= score(plain, paper[name]) <= 1


@pytest.mark.parametrize("name", ["IntentEmotion", "InstructSTSB", "NYTClustering"])
def test_mtebs_cache_of_embeddings_keeps_the_questions_apart(paper, tmp_path, name):
    cached = CachedEmbeddingWrapper(MtebEncoder(Mixed()), tmp_path)
    fresh = score(MtebEncoder(Mixed()), paper[name])
    assert [score(cached, paper[name]) for _ in range(2)] == [fresh] * 2
    assert len(cached._model.encoder.asked) > 24 and len(cached.cache_dict) > 1


def test_clusters_are_judged_by_the_label_that_is_asked_for(own):
    guests = small_set("guests")
    scores = whole(Blind(), own["GuestsClustering"])
    for label in ("aspect", "feeling", "country"):
        assert scores[label] == pytest.approx(v_measures(letters(guests["text"]), guests[label])["v_measure"].mean())
    assert scores["v_measure_minibatch"] != scores["v_measure"] == scores["main_score"]


def test_a_set_that_is_nowhere_is_told_with_the_way_to_get_it(tmp_path):
    (task,) = [task for task in instruction_tasks("robustness", tmp_path) if task.metadata.name == "FewRel"]
    with pytest.raises(OSError, match="BrandonZYW/FewRelClustering can't be loaded from the hub.*hf download"):
        score(Blind(), task)
