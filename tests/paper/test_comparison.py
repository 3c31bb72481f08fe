"""Measured results are judged beside the published ones."""

import pandas as pd
import pytest
from result_files import score, write

from inbedder_utils.paper import compare, last_layer, measured_scores, published_scores, summary
from inbedder_utils.paper.published import AS_PUBLISHED


def test_each_published_cell_gets_a_verdict(tmp_path):
    e5 = "intfloat/e5-large-v2"  # published: SciDocs 83.8395, RateMyProf 4.3060, AskUbuntu 59.0108
    write(tmp_path, e5, "SciDocs", [score(83.84)])
    write(tmp_path, e5, "AskUbuntu", [score(59.02)])
    steady, as_paper = score(9.0, 0.1, "v_measure"), score(4.1, 0.2, "v_measure_minibatch")
    write(tmp_path, e5, "RateMyProf", [steady, as_paper])
    write(tmp_path, e5, "FewRel", [score(50.0, 1.0, "v_measure_minibatch")])
    write(tmp_path, "mini", "SciDocs", [score(50.0, pooling="avg_gen", layer=6)])
    table = compare(measured_scores(tmp_path), published_scores())
    verdicts = table[(table["model"] == e5) & (table["part"] == "")].set_index("task")["verdict"]
    assert verdicts[["SciDocs", "AskUbuntu", "RateMyProf", "FewRel", "Feedbacks"]].tolist() == [
        "equal within spread",
        "above",
        "equal within spread",
        "below",
        "not run",
    ]
    assert set(table["model"]) == set(AS_PUBLISHED)
    assert (table[table["model"] != e5]["verdict"] == "not run").all()


def test_a_second_run_fills_gaps_only_at_the_state_before_the_answer(tmp_path):
    llama = "BrandonZYW/llama-2-7b-InBedder"
    answers = [score(value, pooling=name, layer=32) for name, value in (("fst_gen", 71.0), ("avg_gen", 71.0))]
    write(tmp_path, llama, "SciDocs", answers)
    table = compare(measured_scores(tmp_path), last_layer(published_scores())).query("model == @llama and part == ''")
    cells = table.set_index(["pooling", "task"])
    assert cells.loc[("fst_gen", "NYTClustering"), "published"] == pytest.approx(64.65, abs=0.005001)
    assert cells.loc[("fst_gen", "SciDocs"), "verdict"] in ("above", "below")
    for pooling in ("avg_gen", "avg_ppt"):
        assert (pooling, "NYTClustering") in cells.index and (pooling, "SciDocs") not in cells.index


def test_the_summary_has_the_published_number_beside_the_measured_one(tmp_path):
    llama, last = "BrandonZYW/llama-2-7b-InBedder", {"pooling": "fst_gen", "layer": 32}
    write(tmp_path, llama, "IntentEmotion", [score(89.68, measure="success", **last)])
    mini = {"pooling": "avg_gen", "layer": 6}
    measured = [("v_measure", 8.7), ("v_measure_minibatch", 7.0)]
    write(tmp_path, "mini", "RateMyProf", [score(value, 0.1, measure, **mini) for measure, value in measured])
    wordings = {"correct": [9, 8], "implicit": [7, 5], "incorrect": [6, 2]}
    singles = [
        score(value, measure="v_measure_minibatch", kind=kind, instruction=f"{kind} {value}", **mini)
        for kind, values in wordings.items()
        for value in values
    ]
    write(tmp_path, "mini", "RateMyProf_robustness", singles)
    table = summary(tmp_path, ["mini", llama], ["IntentEmotion", "RateMyProf", "RateMyProf_robustness"])
    by = table.set_index(["model", "measure"])
    assert by.loc[(llama, "success"), "published"] == pytest.approx(89.68, abs=0.005)
    assert by.loc[(llama, "success"), "verdict"] == "equal within spread"
    assert by.loc[("mini", "v_measure_minibatch"), "best published"] == pytest.approx(19.68, abs=0.005)
    assert pd.isna(by.loc[("mini", "v_measure"), "best published"])
    gaps = by.loc["mini"]["score"].filter(like="gap")
    assert gaps.to_dict() == {
        "gap correct": 2.0,
        "gap implicit": -1.0,
        "gap correct mean": 4.5,
        "gap implicit mean": 2.0,
    }
