"""scripts/served.py against a real server: it knows the same vectors, their directions, and others."""

import runpy
import sys

import pytest
from conftest import ROOT


@pytest.fixture
def verdict(monkeypatch, capsys, tiny_server):
    """Arguments -> exit code, and what was printed."""

    def run(*arguments: str) -> tuple[int, str]:
        command = ["served.py", tiny_server.url, "tiny", "--texts", "24", *arguments]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / "scripts" / "served.py"), run_name="__main__")
        return ended.value.code, capsys.readouterr().out

    return run


@pytest.mark.parametrize("arguments", [[], ["--as-text"]], ids=["ids", "text"])
def test_the_same_vectors(verdict, arguments):
    code, said = verdict(*arguments)
    assert code == 0 and "the same vectors" in said and "least cosine 1.000000" in said
    assert "were cut" in said and "unit length" not in said


def test_directions_of_a_server_that_scales_vectors(verdict, tiny_server):
    tiny_server.unit = True
    code, said = verdict()
    assert code == 0 and "only directions are compared" in said and "least cosine 1.000000" in said


def test_no_texts_are_a_slip(verdict, tiny_server):
    assert verdict("--texts", "0")[0] == 2 and not tiny_server.asked


def test_other_vectors(verdict, tiny_server, monkeypatch):
    right = tiny_server.embed
    monkeypatch.setattr(tiny_server, "embed", lambda prompt: right(prompt[:-1]))  # another token is the last
    code, said = verdict()
    assert code == 1 and "OTHER vectors" in said
