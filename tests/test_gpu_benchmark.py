"""benchmarks/gpu.py on its smallest shapes: what runs only now and then must not rot; and what it says of failures."""

import json

import pytest
from conftest import ROOT

pytest.importorskip("sentence_transformers", reason="needs the extra `embedders`")


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import gpu

    monkeypatch.setattr(gpu, "WORK", tmp_path)
    return gpu


@pytest.mark.parametrize("part", ["encode", "train"])
def test_a_part_measures(gpu, part):
    report = json.loads(json.dumps(gpu.PARTS[part](gpu.SIZES["cpu"], "cpu")))
    assert 0 <= report["share of the measured matrix rate"] < 2
    if part == "encode":
        compared = {"encode", "encode, padded", "encode_many, four questions", "floor"}
        assert report["packed"] and report["seconds"].keys() == compared
        assert report["ratios"]["four questions, times the cost of one"] > 0.5
    else:
        assert 64 * 60 < report["tokens per step"] < 64 * 160  # 64 texts of 60 tokens, with what a prompt adds
        per_second = report["tokens per step"] / report["seconds per step"]
        assert report["tokens per second"] == pytest.approx(per_second, rel=0.01)


def test_a_report_names_the_parts_that_failed(gpu, capsys):
    for part in ("tests", *gpu.PARTS):
        (gpu.WORK / f"{part}.ended").write_text("124 40\n" if part == "flash" else "0 3\n")
        (gpu.WORK / f"{part}.out").write_text('loading\n{"seconds": 1}\n\n')
        (gpu.WORK / f"{part}.err").write_text("a warning\nValueError: no kernel\n")
    assert not gpu.report("cpu")
    written = (gpu.WORK / "gpu.json").read_text()
    assert written == capsys.readouterr().out
    report = json.loads(written)
    assert report["failed"] == ["flash"] and report["encode"] == {"seconds": 1}
    assert report["flash"] == {"failed": "exit code 124 after 40 s", "last line": "ValueError: no kernel"}
