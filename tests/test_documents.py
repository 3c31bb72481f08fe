"""What README.md and docs/ show is what happens, and their numbers are those that were measured."""

import contextlib
import io
import json
import re
from itertools import pairwise

import pytest
from conftest import ROOT

README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [*DOCUMENTS, ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("teaching/*.md")), *sorted(ROOT.glob("site/*.md"))]
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```[ ]*$", flags=re.MULTILINE | re.DOTALL)
SERVER = "http://localhost:8000/v1"
LINK = re.compile(r"\]\((?!https?://)([^)#]+)")
ROWS = {
    "`mini`, bundled": "mini",
    "all-MiniLM-L6-v2": "sentence-transformers__all-MiniLM-L6-v2",
    "the same, the question": "instructed-sentence-transformers__all-MiniLM-L6-v2",
    "TF-IDF": "tfidf",
    "`mini` with random weights": "random-mini",
}


def blocks(text: str) -> list[tuple[str, str, int]]:
    """(info string, body, line number of the first line of the body) of every fenced block, in order."""
    return [(m["info"].strip(), m["body"], text.count("\n", 0, m.start("body"))) for m in FENCE.finditer(text)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_python_blocks_run_in_order_and_print_what_the_text_blocks_say(path, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)  # a block that writes a file does it here
    text = path.read_text(encoding="utf-8")
    if SERVER in text:
        text = text.replace(SERVER, request.getfixturevalue("tiny_server").url)
    if "inbedder_utils.scale" in text:
        pytest.importorskip("ray", reason="Ray is an extra: pip install -e '.[scale]'")
    found = blocks(text)
    namespace = {"__name__": "__main__"}
    for (info, code, line), (next_info, expected, _) in pairwise([*found, ("", "", 0)]):
        if info != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * line + code, path, "exec"), namespace)
        if next_info == "text":
            assert printed.getvalue() == expected, f"{path.name}, the python block at line {line}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_links_lead_somewhere(path):
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_the_readme_is_short_and_its_python_runs():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    assert any(info == "python" for info, _, _ in blocks(text))


@pytest.mark.parametrize("begins", ROWS)
def test_the_table_of_the_readme_has_the_scores_in_results(begins):
    (line,) = [line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {begins}")]
    shown = [float(cell) for cell in line.strip("| ").split("|")[1:]]
    wanted = [("MessagesTriplets", "success"), ("NewsTriplets", "success"), ("ReviewsTriplets", "success")]
    wanted += [("RateMyProf", "v_measure_minibatch")]
    for number, (task, measure) in zip(shown, wanted, strict=True):
        scores = json.loads((ROOT / "results" / "scores" / ROWS[begins] / f"{task}.json").read_text())["scores"]
        (score,) = [row["score"] for row in scores if row["part"] == "" and row["measure"] == measure]
        assert number == round(score, 1)
