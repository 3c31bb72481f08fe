import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT

from inbedder_utils.data import small_set
from inbedder_utils.evaluation.baselines import TfidfEmbedder, load_embedder
from inbedder_utils.evaluation.run import evaluate, result_folder, suite_tasks
from inbedder_utils.evaluation.tasks import SUITES, Task
from inbedder_utils.storage.identity import identity

QUICK = [task for task in SUITES["small"] if task.kind == "triplets"]


class Counting(TfidfEmbedder):
    calls = 0

    def encode(self, *args, **options):
        self.calls += 1
        return super().encode(*args, **options)


def test_results_are_files_with_settings_versions_and_time(tmp_path):
    files = evaluate(TfidfEmbedder(), QUICK, tmp_path)
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [f"tfidf/{task.name}.json" for task in QUICK]
    result = json.loads(files[0].read_text())
    assert result["task"] == "MessagesTriplets" and result["checkpoint"] == "tfidf"
    assert result["settings"]["seeds"] == 5 and result["settings"]["instructions"] == QUICK[0].instructions
    assert set(result["versions"]) >= {"inbedder-utils", "torch", "scikit-learn"}
    assert result["seconds"] >= 0
    assert [row["part"] for row in result["scores"]] == ["need", "feeling", ""]


def test_stored_vectors_score_as_the_embedder_that_they_are_of(tmp_path):
    measured = ROOT / "results" / "scores" / "sentence-transformers__all-MiniLM-L6-v2"
    for file in evaluate(load_embedder("stored-all-MiniLM-L6-v2"), QUICK, tmp_path):
        stored, original = (
            json.loads((folder / file.name).read_text())["scores"] for folder in (file.parent, measured)
        )
        assert [row["score"] for row in stored] == pytest.approx([row["score"] for row in original], abs=1)


def test_stored_vectors_are_of_the_shipped_texts_only():
    stored = load_embedder("stored-all-MiniLM-L6-v2")
    vectors = stored.encode(small_set("guests")["text"].tolist(), "What is it about?")
    assert vectors.shape == (432, 384) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    with pytest.raises(ValueError, match="shipped texts only, not of 'Nobody knows me.': load_embedder"):
        stored.encode(["Nobody knows me."])
    with pytest.raises(ValueError, match="unknown stored embedder 'e5'"):
        load_embedder("stored-e5")


def test_what_is_done_is_not_done_again_unless_something_changed(tmp_path):
    embedder, task = Counting(), QUICK[0]
    (file,) = evaluate(embedder, [task], tmp_path)
    done = embedder.calls
    evaluate(embedder, [task], tmp_path)
    assert embedder.calls == done
    asked_otherwise = Task(task.name, task.kind, task.parts, task.instructions | {"need": "What is wanted?"})
    evaluate(embedder, [asked_otherwise], tmp_path)
    assert embedder.calls == 2 * done
    file.write_text(file.read_text()[:-20])
    evaluate(embedder, [asked_otherwise], tmp_path)
    assert embedder.calls == 3 * done
    assert json.loads(file.read_text())["settings"]["instructions"]["need"] == "What is wanted?"
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_other_weights_or_texts_are_measured_again(tmp_path):
    name = "random-tiny"
    encoder = load_embedder(name, device="cpu")
    local = tmp_path / "data" / "eval" / "fewrel.jsonl"
    local.parent.mkdir(parents=True)
    task = Task("FewRel", "clustering", {"": "FewRel"}, {"": "Which relation is it?"})
    texts = small_set("clustering/news_topic").head(20)

    def settings():
        (file,) = evaluate(encoder, [task], tmp_path, folder=tmp_path / "data", seeds=1)
        return json.loads(file.read_text())["settings"]

    texts.to_json(local, orient="records", lines=True)
    first = settings()
    assert first == settings()
    texts.head(19).to_json(local, orient="records", lines=True)
    second = settings()
    assert second["texts"] != first["texts"] and second["weights"] == first["weights"]
    encoder.lm.base_model.embed_tokens.weight.data += 1
    assert settings()["weights"] != first["weights"]


def test_random_weights_are_the_same_each_time_and_not_the_trained_ones():
    texts, question = ["The parcel is late."], "How does the customer feel?"
    one, other, trained = (load_embedder(name, device="cpu") for name in ("random-tiny", "random-tiny", "tiny"))
    assert one.checkpoint.name == "random-tiny" and trained.checkpoint.name == "tiny"
    assert (one.encode(texts, question) == other.encode(texts, question)).all()
    assert abs(one.encode(texts, question) - trained.encode(texts, question)).max() > 0.1


def test_a_set_that_is_missing_is_reported_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.delenv("INBEDDER_DATA", raising=False)
    embedder = Counting()
    with pytest.raises(OSError, match="BrandonZYW/IntentEmotion can't be loaded"):
        evaluate(embedder, [*QUICK, *suite_tasks("awareness")], tmp_path / "results")
    assert embedder.calls == 0 and not (tmp_path / "results").exists()


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    command = [sys.executable, "-m", "inbedder_utils", "evaluate", "--checkpoint", "tfidf", "--output", str(tmp_path)]
    process = subprocess.Popen([*command, "--seeds", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder, deadline = tmp_path / "tfidf", time.time() + 120
    while time.time() < deadline and len(list(folder.glob("*.json"))) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {file: file.read_text() for file in folder.glob("*.json")}
    assert 2 <= len(done) < len(SUITES["small"])
    assert all(json.loads(text)["scores"] for text in done.values())
    evaluate(TfidfEmbedder(), QUICK, tmp_path, seeds=1)
    for file, text in done.items():
        assert file.read_text() == text  # the time it took is in it: it was not measured again


def test_integers_of_numpy_and_all_poolings_of_a_plain_embedder_are_fine(tmp_path, tiny_encoder):
    few = [Task("Few", "triplets", {"": "triplets/messages_need"}, {"": "What does the customer need?"})]
    (swept,) = evaluate(tiny_encoder, few, tmp_path, layers=np.arange(2), seeds=np.int64(2))
    assert [row["layer"] for row in json.loads(swept.read_text())["scores"]] == [0, 1]
    (plain,) = evaluate(TfidfEmbedder(), few, tmp_path, poolings="all")
    assert [row["pooling"] for row in json.loads(plain.read_text())["scores"]] == ["own"]


def test_names_and_suites(tmp_path):
    assert result_folder(tmp_path, "BrandonZYW/llama-2-7b-InBedder").name == "BrandonZYW__llama-2-7b-InBedder"
    assert result_folder(tmp_path, "../runs/mine").name == "runs__mine"
    assert len(suite_tasks("all")) == sum(map(len, SUITES.values()))
    assert len({task.name for task in suite_tasks("all")}) == len(suite_tasks("all"))
    with pytest.raises(ValueError, match="unknown suite 'smal': expected one of small.*did you mean 'small'"):
        suite_tasks("smal")


@pytest.mark.parametrize("name", ["mini", "tiny"])
def test_the_scores_in_the_repository_are_those_of_the_bundled_weights(name):
    now = identity(load_embedder(name, device="cpu"))
    files = sorted((ROOT / "results" / "scores" / name).glob("*.json"))
    assert len(files) >= 8
    for file in files:
        settings = json.loads(file.read_text(encoding="utf-8"))["settings"]
        assert {key: settings[key] for key in now} == now, file.name
