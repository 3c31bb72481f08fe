"""The verbs `cluster --options` and `assign`."""

import json
import shutil

import pandas as pd
import pytest
from test_main import OPT, run

ASK = "How does the writer feel?"
FEELINGS = ["I am so angry!", "What a happy day.", "She is angry with you.", "We are happy and grateful."]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("assign")
    pd.DataFrame({"id": range(8), "text": FEELINGS * 2, "mood": ["bad", "good"] * 4}).to_csv(
        folder / "january.csv", index=False
    )
    pd.DataFrame({"id": [8, 9], "text": ["He was angry.", "Happy to help!"]}).to_csv(
        folder / "february.csv", index=False
    )
    result = run(
        *("cluster", folder / "january.csv", "--ask", ASK, "--options", "angry; happy: glad", "--out", folder / "out")
    )
    assert result.exit_code == 0, result.output
    return folder, result


@pytest.fixture
def report(made, tmp_path):
    shutil.copytree(made[0] / "out", tmp_path / "out")
    return tmp_path / "out"


def test_texts_are_sorted_into_options(made):
    folder, result = made
    assert "8 texts, 2 options" in result.stdout
    table = pd.read_csv(folder / "out" / "assignments.csv")
    assert table[f"name ({ASK})"].tolist() == ["angry", "happy"] * 4
    assert "8 texts sorted into 2 options; other: 0 (0%)" in (folder / "out" / "report.html").read_text("utf-8")


def test_further_texts_are_sorted_by_the_encoder_that_asked_and_added_once(made, report):
    february = made[0] / "february.csv"
    result = run("assign", report, february)
    assert result.exit_code == 0, result.output
    assert f"'{ASK}': angry 1; happy 1" in result.stdout and "the encoder is mini" in result.stderr
    table = pd.read_csv(report / "assignments.csv")
    assert table["id"].tolist() == list(range(10)) and table["added from"].tolist()[8:] == ["february.csv"] * 2
    assert table[f"name ({ASK})"].tolist()[8:] == ["angry", "happy"]
    again = run("assign", report, february)
    assert again.exit_code == 2 and "the texts of february.csv were added to" in again.stderr
    assert len(pd.read_csv(report / "assignments.csv")) == 10


@pytest.mark.parametrize("content", ["id;text\n1;angry\n", "a,b\n1,2\n", b"text,\xff\xfe\n"])
def test_a_table_that_was_changed_is_not_added_to(made, report, content):
    path = report / "assignments.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = path.read_bytes()
    result = run("assign", report, made[0] / "february.csv")
    assert result.exit_code == 2 and "keep it as it was written" in result.stderr and path.read_bytes() == before


def test_another_encoder_is_refused(made, report):
    result = run("assign", report, made[0] / "february.csv", "--checkpoint", OPT)
    assert result.exit_code == 2 and "load 'mini' in float32" in result.stderr


def test_an_encoder_that_is_on_a_server_is_named(made, report):
    contents = report / "question-1" / "clustering.json"
    served = "HttpEncoder('http://localhost:8000/v1', 'tiny', model='tiny', as_text=False)"
    known = json.loads(contents.read_text("utf-8")) | {"encoder": {"elsewhere": served, "digits": served}}
    contents.write_text(json.dumps(known), encoding="utf-8")
    result = run("assign", report, made[0] / "february.csv")
    assert result.exit_code == 2 and f"{served} asked in" in result.stderr and "from Python" in result.stderr


def test_a_checkpoint_in_a_folder_is_found_from_everywhere(made, tmp_path, monkeypatch):
    monkeypatch.chdir(OPT.parent)
    line = ["cluster", made[0] / "january.csv", "--ask", ASK, "--clusters", 2, "--out", tmp_path / "out"]
    assert run(*line, "--checkpoint", OPT.name).exit_code == 0
    monkeypatch.chdir(tmp_path)
    result = run("assign", "out", made[0] / "february.csv")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--options", "angry"], "two options or more, with semicolons between them"),
        (["--options", "angry; Angry"], "option 'Angry' comes twice"),
        (["--options", "a; b", "--clusters", 2], "either into clusters or into options"),
        (["--by", "month"], "mood"),
    ],
)
def test_mistakes_are_explained_before_anything_is_loaded(made, tmp_path, monkeypatch, more, message):
    monkeypatch.setattr("inbedder_utils.loading.load.load_encoder", lambda *_, **__: pytest.fail("loaded"))
    result = run("cluster", made[0] / "january.csv", "--ask", ASK, "--out", tmp_path / "out", *more)
    assert result.exit_code == 2 and message in result.stderr and result.stderr.count("\n") == 1


def test_a_folder_without_a_report_is_refused(made, tmp_path):
    result = run("assign", tmp_path, made[0] / "february.csv")
    assert result.exit_code == 2 and "expected the folder of a report" in result.stderr
