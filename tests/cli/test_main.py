"""The command line encodes a file, says what it wrote, and explains a mistake in one line (`cli.shared`)."""

import errno
import html
import inspect
import json
import os
import sqlite3
import subprocess
import sys
import warnings
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from typer.testing import CliRunner

from inbedder_utils import list_checkpoints, load_encoder
from inbedder_utils.__main__ import app
from inbedder_utils.cli.cluster import cluster as cluster_verb
from inbedder_utils.cli.corpus import read_corpus
from inbedder_utils.cli.encode import encode as encode_verb
from inbedder_utils.cli.shared import has_bars
from inbedder_utils.clustering import ask
from inbedder_utils.data import small_set
from inbedder_utils.storage.vector_cache import VectorCache

OPT = ROOT / "tests" / "parity" / "opt"
ASK = "How does the customer feel?"
TEXTS = ["The parcel, late again.", 'I "love" it.', "It works."]


@pytest.fixture
def reviews(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text('id,review\n1,"The parcel, late again."\n2,"I ""love"" it."\n3,It works.\n', encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def encoder():
    return load_encoder(OPT, device="cpu")


def run(*arguments, typed=None):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=typed)


def encode(reviews, out, *more):
    return run(
        "encode", reviews, "--column", "review", "--ask", ASK, "--out", out, "--checkpoint", OPT, "--device=cpu", *more
    )


def test_encode_writes_what_the_encoder_returns(reviews, tmp_path, encoder):
    result = encode(reviews, tmp_path / "v.npy")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1 and result.stdout.startswith("3 vectors of width 32, encoded in ")
    assert result.stdout.strip().endswith(f"s, are in {tmp_path / 'v.npy'}")
    assert result.stderr == ""  # no progress bar where nobody watches
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), encoder.encode(TEXTS, ASK), rtol=1e-5)


def test_encode_with_a_cache_takes_its_vectors_from_there(reviews, tmp_path, encoder):
    first = encode(reviews, tmp_path / "first.npy", "--cache", tmp_path / "kept")
    assert first.exit_code == 0, first.output
    kept = VectorCache(tmp_path / "kept", json.loads(stored_identity(tmp_path / "kept")))
    kept.put(TEXTS[:1], [ASK], np.full((1, 32), 7.0))  # to know it again
    again = encode(reviews, tmp_path / "again.npy", "--cache", tmp_path / "kept")
    assert again.exit_code == 0, again.output
    vectors = np.load(tmp_path / "again.npy")
    assert (vectors[0] == 7).all()
    np.testing.assert_array_equal(vectors[1:], np.load(tmp_path / "first.npy")[1:])


def stored_identity(folder) -> bytes:
    (file,) = folder.glob("*.sqlite")
    with closing(sqlite3.connect(file)) as db:
        return db.execute("SELECT identity FROM embedder").fetchone()[0]


def test_encode_takes_the_encoders_settings(reviews, tmp_path, encoder):
    more = [
        "--pooling",
        "avg_ppt",
        "--layer",
        "-2",
        "--normalize",
        "--batch-size",
        "2",
        "--dtype",
        "float32",
        "--answers",
    ]
    assert encode(reviews, tmp_path / "v.npy", *more).exit_code == 0
    own = load_encoder(OPT, device="cpu", pooling="avg_ppt", layer=-2)
    expected = own.encode(TEXTS, ASK, normalize_embeddings=True)
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), expected, atol=1e-5)
    assert read_corpus(tmp_path / "v.answers.csv", "answer").texts == encoder.answer(TEXTS, ASK)


def test_encode_runs_as_a_program(reviews, tmp_path):
    command = [sys.executable, "-m", "inbedder_utils", "encode", str(reviews), "--column", "review", "--ask", ASK]
    command += ["--out", str(tmp_path / "v.parquet"), "--checkpoint", str(OPT), "--device", "cpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 vectors of width 32") and "Traceback" not in done.stderr
    assert read_corpus(tmp_path / "v.parquet").texts == TEXTS


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--ask", "And why?"], "got 2 questions: pass one --ask"),
        (["another.csv"], "got 2 files: pass one file, and call once for each; or --ray local"),
        (["--ray", "local", "--limit", "3", "--normalize"], "--limit, --normalize can't be had with --ray: leave"),
        (["--num-gpus", "1"], "--num-gpus can't be had without --ray"),
        (["--column", "reviw"], "did you mean 'review'?"),
        (["--out", "v.xlsx"], "expected one of .npy, .parquet, .csv"),
        (["--out", "nowhere/v.npy"], "there is no folder"),
        (["--checkpoint", "./nothing"], "is not a folder with a checkpoint"),
        (["--pooling", "fst_gn"], "did you mean 'fst_gen'"),
        (["--layer", "9"], "layer must be"),
        (["--dtype", "int8"], "unknown dtype 'int8'"),
        (["--device", "abacus"], "device 'abacus'"),
    ],
)
def test_mistakes_are_explained_in_one_line(reviews, tmp_path, monkeypatch, more, message):
    monkeypatch.chdir(tmp_path)
    result = encode(reviews, "v.npy", *more)
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1 and message in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.csv"]


def test_an_empty_question_and_a_missing_file_are_mistakes_too(reviews, tmp_path):
    result = run("encode", reviews, "--ask", " ", "--out", tmp_path / "v.npy")
    assert result.exit_code == 2 and "is empty: ask something" in result.stderr
    result = run("encode", tmp_path / "other.csv", "--ask", ASK, "--out", tmp_path / "v.npy")
    assert result.exit_code == 2 and "does not exist" in result.stderr


@pytest.mark.parametrize(("texts", "out"), [("reviews.csv", "reviews.csv"), ("v.answers.csv", "v.npy")])
def test_the_texts_are_never_replaced(reviews, tmp_path, texts, out):
    source = reviews.rename(tmp_path / texts)
    before = source.read_bytes()
    result = encode(source, tmp_path / out, "--answers")
    assert result.exit_code == 2 and "would be replaced: choose another --out" in result.stderr
    assert source.read_bytes() == before


def test_output_is_checked_before_anything_is_loaded(reviews, tmp_path, monkeypatch):
    monkeypatch.setattr("inbedder_utils.loading.load.load_encoder", lambda *_, **__: pytest.fail("loaded"))
    assert encode(reviews, tmp_path / "v.xlsx").exit_code == 2


def test_a_checkpoint_without_answers_says_so(reviews, tmp_path, monkeypatch):
    monkeypatch.setattr("inbedder_utils.loading.load.load_encoder", lambda *_, **__: SimpleNamespace())
    result = encode(reviews, tmp_path / "v.npy", "--answers")
    assert result.exit_code == 2 and "leave out --answers" in result.stderr


def test_a_bug_keeps_its_traceback(reviews, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ValueError("from somewhere else")

    monkeypatch.setattr("inbedder_utils.loading.load.load_encoder", broken)
    result = encode(reviews, tmp_path / "v.npy")
    assert isinstance(result.exception, ValueError) and "error:" not in result.output


def test_every_checkpoint_is_listed():
    result = run("checkpoints")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["name", *list_checkpoints().index]


def test_train_writes_a_checkpoint_that_encode_reads(folder_of, rows_file, reviews, tmp_path):
    out, vectors = tmp_path / "mine", tmp_path / "v.npy"
    more = ["--batch-size", 8, "--max-steps", 2, "--eval-steps", 1, "--seed", 3, "--learning-rate", 1e-3]
    data = ["--data", rows_file, "--data", rows_file, "--held-out", rows_file, "--device", "cpu"]
    result = run("train", "--base", folder_of("bert"), "--output", out, *data, *more)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"the checkpoint is in {out}: load_encoder({str(out)!r})"
    started = json.loads((out / "run.json").read_text(encoding="utf-8"))
    settings = started["settings"]
    assert (started["seed"], started["max_steps"], started["lora"]) == (3, 2, False)
    assert (settings["batch_size"], settings["learning_rate"]) == (8, 1e-3)
    assert [part["source"] for part in settings["data"]] == [str(rows_file)] * 2
    assert run("encode", reviews, "--column=review", "--ask", ASK, "--out", vectors, "--checkpoint", out).exit_code == 0
    np.testing.assert_allclose(np.load(vectors), load_encoder(out, device="cpu").encode(TEXTS, ASK), atol=1e-4)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--preset", "mimi"], "unknown preset 'mimi'"),
        ([], "name a base model to start from, or a preset"),
        (["--base", "./nothing"], "is not a folder with a checkpoint"),
        (["--base", OPT, "--data", "./none.jsonl"], "no data set './none.jsonl'"),
        (["--base", OPT, "--epochs", "-1"], "epochs must be above 0"),
        (["--base", OPT, "--device", "abacus"], "device 'abacus'"),
    ],
)
def test_mistakes_in_training_are_explained_in_one_line(tmp_path, more, message):
    result = run("train", "--output", tmp_path / "mine", *more)
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1 and message in result.stderr


@pytest.fixture
def copies(tmp_path):
    """The sets of the awareness tests, small, in the hub's layout."""
    sets = {
        "IntentEmotion": {"emotion": "triplets/messages_feeling", "intent": "triplets/messages_need"},
        "InstructSTSB": {"": "pairs"},
        "NYTClustering": {"topic": "clustering/news_topic", "location": "clustering/news_place"},
    }
    for name, configs in sets.items():
        folder = tmp_path / "copies" / "BrandonZYW" / name
        for config, rows in configs.items():
            (folder / config).mkdir(parents=True, exist_ok=True)
            small_set(rows).head(12).to_json(folder / config / "test.jsonl", orient="records", lines=True)
        listed = [{"config_name": config, "data_files": f"{config}/test.jsonl"} for config in configs if config]
        if listed:
            (folder / "README.md").write_text(f"---\nconfigs: {json.dumps(listed)}\n---\n")
    return tmp_path / "copies"


def test_evaluate_runs_the_papers_tests_on_local_copies(copies, tmp_path):
    folder = tmp_path / "results"
    sweep = ["--layers", "1,-1", "--poolings", "fst_gen,avg_ppt"]
    more = ["--suite", "awareness", "--data", copies, "--output", folder, "--seeds", "2", "--device", "cpu", *sweep]
    result = run("evaluate", "--checkpoint", OPT, *more)
    assert result.exit_code == 0, result.output
    (model,) = folder.iterdir()
    assert sorted(path.name for path in model.iterdir()) == [
        "InstructSTSB.json",
        "IntentEmotion.json",
        "NYTClustering.json",
    ]
    scores = json.loads((model / "NYTClustering.json").read_text())["scores"]
    assert len(scores) == 3 * 4 * 2  # two parts and the whole, poolings and layers, two ways to cluster
    rows = [line.split() for line in result.stdout.splitlines() if "89.68" in line]  # the best published one, for scale
    assert [row[0] for row in rows] == ["IntentEmotion"] * 4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--suite", "smal"], "unknown suite 'smal'"),
        (["--layers", "last"], "layers must be numbers with commas, such as 0,6,12, or all; got 'last'"),
        (["--layers", "99"], "layer"),
        (["--poolings", "fst"], "unknown pooling 'fst'"),
        (["--suite", "awareness"], "InstructSTSB can't be loaded"),
        (["--checkpoint", "tfidf", "--layers", "all"], "has one embedding only"),
        (["--checkpoint", "./nothing"], "is not a folder with a checkpoint"),
    ],
)
def test_mistakes_in_evaluating_are_explained_in_one_line(copies, tmp_path, more, message):
    (copies / "BrandonZYW" / "InstructSTSB").rename(tmp_path / "away")
    chosen = [] if "--checkpoint" in more else ["--checkpoint", OPT, "--device", "cpu"]
    result = run("evaluate", *chosen, "--data", copies, "--output", tmp_path / "results", *more)
    assert result.exit_code == 2 and not (tmp_path / "results").exists()
    assert result.stderr.splitlines()[-1].startswith("error: ") and message in result.stderr


def cluster(texts, out, *more):
    return run(
        "cluster", texts, "--column", "review", "--ask", ASK, "--out", out, "--checkpoint", OPT, "--device=cpu", *more
    )


@pytest.fixture
def many_reviews(tmp_path):
    rows = [f"{i},The parcel no. {i} is {'late' if i % 2 else 'here'}.,{'a' if i % 2 else 'b'}" for i in range(12)]
    path = tmp_path / "reviews.csv"
    path.write_text("id,review,kind\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_cluster_writes_what_ask_finds(many_reviews, tmp_path, encoder):
    out = tmp_path / "deep" / "out"
    other = "What is it about?"
    result = cluster(many_reviews, out, "--ask", other, "--clusters", 3, "--seed", 1, "--labels", "kind")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"the report is in {out / 'report.html'}"
    assert "question 2 of 2: What is it about?" in result.stderr
    assert "12/12" not in result.stderr
    table = pd.read_csv(out / "assignments.csv")
    assert list(table)[:2] == ["id", "text"] and table["id"].tolist() == list(range(12)) and "kind" in table
    for question in (ASK, other):
        expected = ask(encoder, read_corpus(many_reviews, "review").texts, question, 3, seed=1)
        assert table[f"cluster ({question})"].tolist() == expected.assignments.tolist()
        assert table[f"name ({question})"].unique().size == len(expected) == 3
    assert {"flow.png", "composition-2.png"} <= {path.name for path in out.iterdir()}


def test_cluster_breaks_its_clusters_down_by_columns(many_reviews, tmp_path):
    lines = many_reviews.read_text(encoding="utf-8").splitlines()
    dated = [f"{line},{'' if i == 3 else f'{1 + i % 3}/24/2024 11:35'}" for i, line in enumerate(lines[1:])]
    many_reviews.write_text("\n".join([f"{lines[0]},created", *dated, "99, ,a,"]), encoding="utf-8")
    result = cluster(many_reviews, tmp_path / "out", "--clusters", 2, "--by", "kind", "--by", "created")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "By kind" in page and "By created" in page and "all (12)" in page
    assert "11 texts (1 without a value are left out); by week" in page
    assert {"by-1-1.png", "by-1-2.png"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_cluster_reads_plain_text_and_chooses_the_number(tmp_path):
    texts = tmp_path / "texts.txt"
    lamps = [f"The lamp is {word}." for word in "red blue on off old new".split()]
    texts.write_text("\n".join([*lamps, "The lamp is gone. " * 200]), encoding="utf-8")
    result = run("cluster", texts, "--ask", ASK, "--out", tmp_path / "out", "--checkpoint", OPT)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "number-1.png").exists()
    page = html.unescape((tmp_path / "out" / "report.html").read_text(encoding="utf-8")).casefold()
    warned = [line.removeprefix("warning: ") for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert warned and all(warning.casefold() in page for warning in warned)  # those that the report holds


def tokens_read(monkeypatch, *arguments):
    """Run a command; how many tokens its model was given."""
    counts = []

    def counting(*args, **kwargs):
        loaded = load_encoder(*args, **kwargs)
        loaded.lm.get_input_embeddings().register_forward_hook(lambda _, given, __: counts.append(given[0].numel()))
        return loaded

    monkeypatch.setattr("inbedder_utils.loading.load.load_encoder", counting)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return sum(counts)


def test_cluster_reads_each_text_once_and_takes_vectors_from_its_cache(many_reviews, tmp_path, monkeypatch, encoder):
    line = ["cluster", many_reviews, "--column=review", "--ask", ASK, "--ask", "What is it?", "--checkpoint", OPT]
    line += ["--clusters", 2, "--device=cpu"]
    once = tokens_read(monkeypatch, *line, "--out", tmp_path / "a")
    kept = ["--cache", tmp_path / "kept"]
    first, second = (tokens_read(monkeypatch, *line, "--out", tmp_path / name, *kept) for name in "bc")
    monkeypatch.setattr("inbedder_utils.encoder.Encoder.remembering", lambda self: self)
    assert once < tokens_read(monkeypatch, *line, "--out", tmp_path / "d")
    assert second < first
    table = (tmp_path / "a" / "assignments.csv").read_bytes()
    assert all((tmp_path / name / "assignments.csv").read_bytes() == table for name in "bcd")


def test_rows_without_text_or_label_keep_their_place_in_the_report(many_reviews, tmp_path):
    content = many_reviews.read_text(encoding="utf-8").replace("The parcel no. 3 is late.,a", ",a")
    many_reviews.write_text(content.replace("no. 5 is late.,a", "no. 5 is late.,"), encoding="utf-8")
    result = cluster(many_reviews, tmp_path / "out", "--clusters", 2, "--labels", "kind")
    assert result.exit_code == 0, result.output
    assert "1 of 12 texts are blank (row 5) and left out; their rows stay" in result.stderr
    assert "1 of 11 texts have no label in column 'kind': they are clustered, and not judged" in result.stderr
    table = pd.read_csv(tmp_path / "out" / "assignments.csv")
    assert table["id"].tolist() == list(range(12))
    assert np.flatnonzero(table[f"cluster ({ASK})"].isna()).tolist() == [3]
    assert np.flatnonzero(table["label"].isna()).tolist() == [3, 5]


def test_quiet_leaves_warnings_and_results(many_reviews, tmp_path):
    result = cluster(many_reviews, tmp_path / "out", "--clusters", 2, "--quiet", "--limit", 5)
    assert result.exit_code == 0 and "the report is in" in result.stdout
    assert all(line.startswith("warning: ") for line in result.stderr.splitlines())
    assert len(pd.read_csv(tmp_path / "out" / "assignments.csv")) == 5


def test_a_sample_of_a_file_without_names_of_columns(many_reviews, tmp_path):
    content = many_reviews.read_text(encoding="utf-8").split("\n", 1)[1]
    many_reviews.write_text(content, encoding="utf-8")
    read = ["--column", 2, "--no-header", "--sample", 4]
    result = cluster(many_reviews, tmp_path / "out", "--clusters", 2, *read)
    assert result.exit_code == 0, result.output
    assert len(pd.read_csv(tmp_path / "out" / "assignments.csv")) == 4


def test_bars_are_drawn_on_a_terminal_only_and_may_be_forbidden(monkeypatch):
    monkeypatch.setattr("sys.stderr", SimpleNamespace(isatty=lambda: True))
    assert has_bars(quiet=False) and not has_bars(quiet=True)
    code = (
        "from inbedder_utils import load_encoder; import sys\n"
        f"load_encoder({str(OPT)!r}, device='cpu').encode(['a'], 'b', show_progress_bar=True)"
    )
    for value, drawn in (("1", False), (None, True)):
        environment = dict(os.environ) | ({"TQDM_DISABLE": value} if value else {})
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment)
        assert ("1/1" in done.stderr) == drawn, done.stderr


def test_a_full_disk_is_named_and_what_was_encoded_is_elsewhere(reviews, tmp_path, monkeypatch, encoder):
    real, out, spare = os.fsync, tmp_path / "v.npy", tmp_path / "spare"

    def full_at_first(descriptor):
        monkeypatch.setattr("os.fsync", real)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full_at_first)
    spare.mkdir()
    monkeypatch.setattr("inbedder_utils.cli.shared.mkdtemp", lambda prefix: str(spare))
    result = encode(reviews, out)
    assert result.exit_code == 2 and not out.exists()
    assert result.stderr == (
        f"error: {out} can't be written (No space left on device): make room on the disk; what was made is in "
        f"{spare / 'v.npy'}\n"
    )
    np.testing.assert_allclose(np.load(spare / "v.npy"), encoder.encode(TEXTS, ASK), rtol=1e-5)


def test_a_warning_is_one_plain_line(reviews, tmp_path, monkeypatch):
    def warning(*args, **kwargs):
        for _ in range(2):
            warnings.warn("2 of 3 texts\nwere cut", stacklevel=2)
        return load_encoder(*args, **kwargs)

    monkeypatch.setattr("inbedder_utils.loading.load.load_encoder", warning)
    assert encode(reviews, tmp_path / "v.npy").stderr == "warning: 2 of 3 texts were cut\n"


def test_encode_says_what_was_not_read_whether_vectors_were_kept_or_not(tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("这家餐厅的服务很差。\n" + "so good " * 300 + "\n", encoding="utf-8")
    command = ["encode", texts, "--ask", ASK, "--out", tmp_path / "v.npy", "--cache", tmp_path / "kept"]
    for more in ([], ["--quiet"]):
        said = run(*command, *more).stderr
        assert "warning: 1 of 2 texts were longer than" in said and "warning: 1 of 2 texts can hardly be read" in said


def test_encode_keeps_the_other_columns_and_the_place_of_blank_texts(reviews, tmp_path):
    reviews.write_text(reviews.read_text(encoding="utf-8") + "4, \n", encoding="utf-8")
    result = encode(reviews, tmp_path / "v.csv")
    assert result.exit_code == 0 and "1 of 4 texts are blank (row 5)" in result.stderr
    table = pd.read_csv(tmp_path / "v.csv")
    assert list(table)[:3] == ["id", "text", "e0"] and table["e0"].isna().tolist() == [False] * 3 + [True]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--column", "reviw"], "expected one of id, review, kind; did you mean 'review'?"),
        (["--clusters", "0"], "n_clusters must be 1 or more"),
        (["--clusters", "about:13"], "13 clusters cannot be made of 12 texts"),
        (["--clusters", "some"], "pass a number, 'about 8', or nothing"),
        (["--clusters", "13"], "13 clusters cannot be made of 12 texts"),
        (["--ask", " "], "is empty: ask something"),
        (["--ask", ASK], "was asked twice"),
        (["--labels", "king"], "did you mean 'kind'?"),
        (["--by", "king"], "unknown column to break down by 'king': expected one of id, review, kind"),
        (["--out", "."], "holds something else than a report (reviews.csv)"),
        (["--out", "reviews.csv"], "is a file: choose a folder"),
        (["--out", "reviews.csv/below"], "can't be written"),
        (["--checkpoint", "./nothing"], "is not a folder with a checkpoint"),
        (["--dtype", "int8"], "unknown dtype 'int8'"),
        (["--device", "abacus"], "device 'abacus'"),
    ],
)
def test_mistakes_in_clustering_are_explained_in_one_line(many_reviews, tmp_path, monkeypatch, more, message):
    monkeypatch.chdir(tmp_path)
    result = cluster(many_reviews, "out", *more)
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1 and message in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.csv"]


def test_the_texts_are_never_replaced_by_a_report(many_reviews, tmp_path):
    assert cluster(many_reviews, tmp_path / "out", "--clusters", "about:2").exit_code == 0
    texts = tmp_path / "out" / "assignments.csv"
    result = run("cluster", texts, "--ask", ASK, "--out", tmp_path / "out", "--checkpoint", OPT)
    assert result.exit_code == 2 and "is in the folder that the report would replace" in result.stderr


@pytest.fixture
def caches(tmp_path):
    folder = tmp_path / "vectors"
    for name in ("mini", "tiny"):
        cache = VectorCache(folder, {"checkpoint": {"name": name, "pooling": "avg_gen", "layer": -1}})
        cache.put(["The parcel is late."], [ASK], np.zeros((1, 7), np.float32))
    return folder


def test_caches_are_listed(caches):
    result = run("cache", "list", caches)
    assert result.exit_code == 0, result.output
    head, *rows = (line.split() for line in result.stdout.splitlines())
    assert head[:6] == ["file", "checkpoint", "pooling", "layer", "vectors", "width"]
    assert sorted(row[1:6] for row in rows) == [
        ["mini", "avg_gen", "-1", "1", "7"],
        ["tiny", "avg_gen", "-1", "1", "7"],
    ]
    assert sorted(row[0] for row in rows) == sorted(path.name for path in caches.iterdir())


def test_a_damaged_cache_is_listed_without_its_contents(caches):
    damaged = next(caches.iterdir())
    damaged.write_bytes(b"not a database" * 1000)
    lines = run("cache", "list", caches).stdout.splitlines()
    assert any(line.split()[:3] == [damaged.name, "?", "?"] for line in lines)


def test_a_damaged_cache_is_explained_in_one_line(reviews, tmp_path):
    assert encode(reviews, tmp_path / "v.npy", "--cache", tmp_path / "kept").exit_code == 0
    (damaged,) = (tmp_path / "kept").iterdir()
    damaged.write_bytes(b"not a database" * 1000)
    result = encode(reviews, tmp_path / "v.npy", "--cache", tmp_path / "kept")
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.splitlines()[-1] == (
        f"error: {damaged} can't be used (file is not a database): it is damaged or not a cache of this embedder: "
        "delete it, or choose another folder for the cache"
    )


def test_caches_are_deleted_when_that_is_confirmed(caches):
    for typed in ("n\n", ""):
        result = run("cache", "clear", caches, typed=typed)
        assert result.exit_code == 1 and result.stdout.startswith(f"Delete 2 caches (0.1 MB) in {caches}?")
    assert len(list(caches.iterdir())) == 2
    assert run("cache", "clear", caches, "--checkpoint", "tiny", typed="y\n").stdout.endswith(
        "deleted 1 cache (0.0 MB)\n"
    )
    assert run("cache", "clear", caches, "--checkpoint", "tiny").stdout == f"no caches of tiny in {caches}\n"
    assert run("cache", "clear", caches, "--yes").stdout == "deleted 1 cache (0.0 MB)\n"
    assert not list(caches.iterdir()) and run("cache", "list", caches).stdout == f"no caches in {caches}\n"


@pytest.mark.parametrize("verb", ["list", "clear"])
def test_a_missing_folder_of_caches_is_explained_in_one_line(tmp_path, verb):
    result = run("cache", verb, tmp_path / "nowhere")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: {tmp_path / 'nowhere'} is not a folder: pass the one that holds the caches\n"


VERBS = ["checkpoints", "encode", "cluster", "train", "evaluate", "cache", "cache list", "cache clear"]


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(verb):
    *group, name = verb.split()
    assert f"  {name} " in run(*group, "--help").stdout
    result = run(*group, name, "--help")
    assert result.exit_code == 0 and f"python -m inbedder_utils {verb}" in result.stdout


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from inbedder_utils.__main__ import app\n"
        "for verb in ([], ['encode'], ['cluster'], ['cache', 'list']): app([*verb, '--help'], standalone_mode=False)\n"
        "print(sorted({'torch', 'transformers', 'pandas', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_default_checkpoint_is_load_encoders():
    default = inspect.signature(load_encoder).parameters["name_or_path"].default
    for verb in (encode_verb, cluster_verb):
        assert inspect.signature(verb).parameters["checkpoint"].default == default
