"""benchmarks/gpu.py on its smallest shapes: what runs only now and then must not rot; and what it says of failures."""

import json
import sys

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
def test_a_part_measures(gpu, part, monkeypatch):
    for module in (gpu, sys.modules["encode_throughput"]):
        monkeypatch.setattr(module, "matrix_rate", lambda *_: 1e6)
    size = gpu.SIZES["cpu"]
    report = json.loads(json.dumps(gpu.PARTS[part](size, "cpu")))
    operations = gpu.operations_per_token(gpu.random_encoder(vars(size)[part], "float32", "cpu").reader.stack)
    if part == "encode":
        seconds, ratios, per_second = report["seconds"], report["ratios"], report["tokens per second, encode"]
        assert report["packed"] and seconds.keys() == {"encode", "padded", "encode_many, four questions", "floor"}
        assert 12 * (20 + 10) < report["tokens"] < 12 * (60 + 60)  # 12 texts of 20 to 60 tokens, with the prompt's
        assert ratios["four questions, times the cost of one"] == pytest.approx(
            seconds["encode_many, four questions"] / seconds["encode"], rel=0.2
        )
        assert ratios["encode against padded"] == pytest.approx(seconds["padded"] / seconds["encode"], rel=0.2)
    else:
        operations, per_second = 3 * operations, report["tokens per second"]
        assert 64 * 60 < report["tokens per step"] < 64 * 160  # 64 texts of 60 tokens, with what a prompt adds
        assert per_second == pytest.approx(report["tokens per step"] / report["seconds per step"], rel=0.01)
    assert report["share of the measured matrix rate"] == pytest.approx(operations * per_second / 1e6, rel=0.01)


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
    (gpu.WORK / "train.ended").unlink()
    (gpu.WORK / "distributed.out").write_text('{"seconds": 1}\nBye.\n')
    assert not gpu.report("cpu")
    report = json.loads(capsys.readouterr().out)
    assert report["failed"] == ["flash", "train", "distributed"] and report["distributed"]["last line"] == "Bye."


@pytest.mark.parametrize(
    ("device", "said", "well"),
    [
        ("cuda", "31 passed, 2 skipped in 60.12s", True),
        ("cuda", "33 skipped in 2.10s", False),
        ("cpu", "33 skipped in 2.10s", True),
    ],
)
def test_on_a_gpu_tests_that_were_all_skipped_have_failed(gpu, device, said, well):
    (gpu.WORK / "tests.ended").write_text("0 60\n")
    (gpu.WORK / "tests.out").write_text(f"== {said} ==\n")
    (gpu.WORK / "tests.err").write_text("")
    assert gpu.result_of("tests", device) == (said, well)
