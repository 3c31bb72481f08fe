import json
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import pytest

from inbedder_utils.data import QUESTIONS
from inbedder_utils.evaluation import robustness
from inbedder_utils.evaluation.robustness import INSTRUCTION_KINDS, instruction_lists

THREE = {kind: [f"A {kind} one?", f"Another {kind} one?"] for kind in INSTRUCTION_KINDS}


@pytest.mark.parametrize("name", [f"{domain}_{label}" for domain, labels in QUESTIONS.items() for label in labels])
def test_each_of_our_own_sets_has_ten_instructions_of_each_kind(name):
    lists = instruction_lists(f"clustering/{name}")
    assert list(lists) == list(INSTRUCTION_KINDS)
    assert all(len(set(wordings)) == 10 for wordings in lists.values())
    assert len(set().union(*map(set, lists.values()))) == 30


def test_the_authors_lists_are_read_from_their_source_and_not_run(tmp_path, monkeypatch):
    folder = tmp_path / "mteb" / "tasks" / "Clustering"
    folder.mkdir(parents=True)
    lists = {f"{kind}_instructions": wordings for kind, wordings in THREE.items()}
    source = f"raise SystemExit('this ran')\nclass Task:\n    def description(self):\n        return {lists!r}\n"
    (folder / "RateMyProfClustering.py").write_text(source)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *args: None)
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(robustness, "AUTHORS_URL", f"http://127.0.0.1:{server.server_port}")
        assert instruction_lists("RateMyProf") == THREE
        with pytest.raises(OSError, match="can't be fetched.*FewRelClustering.*File not found.*pass a JSON file"):
            instruction_lists("FewRel")
        server.shutdown()
    with pytest.raises(OSError, match="can't be fetched.*without a network, pass a JSON file"):
        instruction_lists("RateMyProf")
    with pytest.raises(ValueError, match="unknown data set 'RateMyPorf'.*did you mean 'RateMyProf'"):
        instruction_lists("RateMyPorf")


def test_lists_from_a_file(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"FewRel": THREE}))
    assert instruction_lists("FewRel", file) == THREE


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("no json", "is not JSON"),
        ("[]", 'no instructions for FewRel: expected {"FewRel": {"correct"'),
        (json.dumps({"FewRel": {"correct": ["a"]}}), "no instructions for FewRel"),
        (json.dumps({"FewRel": THREE | {"implicit": []}}), "implicit instructions of FewRel must be a list of strings"),
        (json.dumps({"FewRel": THREE | {"correct": ["a", " "]}}), "correct instructions of FewRel must be"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path, text, error):
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(ValueError, match=error):
        instruction_lists("FewRel", tmp_path / "mine.json")
