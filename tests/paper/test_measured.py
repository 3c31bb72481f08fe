"""Results are read, and what is no result is told apart from what is damaged."""

import pytest
from result_files import score, write

from inbedder_utils.paper import robustness_gaps
from inbedder_utils.paper.measured import measured_robustness, measured_scores

INSTRUCTIONS = [("correct", 8), ("correct", 9), ("implicit", 3), ("implicit", 7), ("incorrect", 2), ("incorrect", 4)]


def test_measured_scores_of_all_checkpoints_are_read_and_single_instructions_kept_apart(tmp_path):
    mini = score(8.7, 0.1, "v_measure", pooling="avg_gen", layer=6)
    write(tmp_path, "mini", "RateMyProf", [mini])
    write(tmp_path, "intfloat/e5-large-v2", "SciDocs", [score(83.84)])
    asked = [mini | {"kind": kind, "instruction": f"{kind}?", "score": value} for kind, value in INSTRUCTIONS]
    write(tmp_path, "mini", "RateMyProf_robustness", asked)

    table = measured_scores(tmp_path).set_index("model")
    assert len(table) == 2
    assert table.loc["mini", ["pooling", "layer", "task", "score", "sd"]].tolist() == [
        "avg_gen",
        6,
        "RateMyProf",
        8.7,
        0.1,
    ]
    assert table.loc["intfloat/e5-large-v2", ["layer", "sd"]].isna().all()
    gaps = robustness_gaps(measured_robustness(tmp_path)).loc[("mini", "avg_gen", 6, "RateMyProf_robustness", "")]
    assert gaps.to_dict() == pytest.approx({"correct": 4, "implicit": -1, "correct mean": 5.5, "implicit mean": 2})


@pytest.mark.parametrize("content", ["{", "[]", '{"task": "SciDocs", "checkpoint": "mini", "scores": [{"score": 1}]}'])
def test_a_damaged_result_is_named_with_what_to_do(tmp_path, content):
    path = write(tmp_path, "mini", "SciDocs", [])
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"SciDocs\.json is damaged .*: delete it and evaluate again"):
        measured_scores(tmp_path)


def test_a_score_that_is_no_number_is_damage(tmp_path):
    write(tmp_path, "mini", "SciDocs", [score(None)])
    with pytest.raises(ValueError, match=r"SciDocs\.json is damaged"):
        measured_scores(tmp_path)


def test_no_results_is_an_error_that_says_so(tmp_path):
    write(tmp_path, "mini", "SciDocs", [score(1.0)])
    for read, folder in ((measured_scores, tmp_path / "none"), (measured_robustness, tmp_path)):
        with pytest.raises(FileNotFoundError, match=r"results in .*: expected files such as mini/RateMyProf\.json"):
            read(folder)


def test_json_that_the_evaluation_did_not_write_is_passed_over(tmp_path):
    write(tmp_path, "mini", "SciDocs", [score(1.0)])
    (tmp_path / "speed").mkdir()
    (tmp_path / "speed" / "startup.json").write_text('{"python": 0.02}', encoding="utf-8")
    assert measured_scores(tmp_path)["model"].tolist() == ["mini"]
