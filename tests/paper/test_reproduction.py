"""The committed page of the reproduction is what the code makes of the raw numbers and of the results."""

import re

import nbformat
import pytest
from conftest import NOTEBOOKS, ROOT
from result_files import score, write

from inbedder_utils.paper import (
    last_layer,
    later_results,
    measured_robustness,
    measured_scores,
    published_models,
    published_scores,
    recomputed_numbers,
    reproduction,
    runs,
    score_table,
)
from inbedder_utils.paper.reproduction import reproduction_page

RESULTS = ROOT / "results" / "scores"


def document(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_the_page_is_up_to_date():
    made = document("reproduction.md").split("<!-- made by scripts/reproduction.py -->")[1]
    assert made.strip() == reproduction_page(RESULTS).strip(), "run python scripts/reproduction.py"
    assert "-0.00" not in made


def test_every_printed_number_follows_from_the_raw_ones():
    numbers = recomputed_numbers()
    assert numbers.groupby("table").size().to_dict() == {
        "Table 1": 28,
        "Table 2": 15,
        "authors' README": 3,
        "RateMyProf": 7,
    }
    assert (numbers["printed"] - numbers["recomputed"]).abs().max() <= 0.005001
    assert numbers["equal"].all()


def test_what_is_measured_is_counted_and_only_of_public_checkpoints(tmp_path):
    write(tmp_path, "intfloat/e5-large-v2", "SciDocs", [score(83.84)])
    llama = {"measure": "v_measure_minibatch", "pooling": "fst_gen", "layer": 32, "instruction": "?"}
    singles = [score(value, kind="correct", **llama) for value in (1.0, 2.0)]
    write(tmp_path, "BrandonZYW/llama-2-7b-InBedder", "RateMyProf_robustness", singles)
    write(tmp_path, "mini", "RateMyProf_robustness", singles)
    measured = reproduction(tmp_path).set_index("item")["measured"]
    assert re.fullmatch(r"1 of \d+", measured["Table 2*"]) and re.fullmatch(r"0 of \d+", measured["Table 1"])
    assert re.fullmatch(r"2 of \d+", measured["Figures 5* and 8*"])


def test_what_is_said_to_be_in_a_notebook_has_a_section_there():
    headings = {}
    for number in ("06", "06b"):
        (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
        cells = nbformat.read(path, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        headings[number] = re.findall(r"^## (.*)$", text, re.M)
    for where in reproduction(RESULTS)["where"]:
        number, _, section = where.partition(", ")
        if number in headings:
            assert section.split(":")[0] in headings[number]
        else:
            assert where.startswith("not here: ")


def test_lora_is_said_to_be_worse_where_it_is_offered():
    table = runs().droplevel("pooling")
    lora, full = table.loc["llama-2-7b InBedder, LoRA, 2e-4"], table.loc["llama-2-7b InBedder (20 tokens, komninos)"]
    (sentence,) = re.findall(r"`--lora`.*?\)\)", document("training.md"), re.S)
    for row in (lora, full):
        for task in ("IntentEmotion", "InstructSTSB", "NYTClustering", "average"):
            assert f"{row[task]:.1f}" in sentence, task
    assert f"{lora['NYTClustering']:.2f}" in document("reproduction.md")


def test_numbers_of_the_limits_are_the_measured_ones():
    text = document("limits.md")
    scores = measured_scores(RESULTS).query("model == 'mini' and measure == 'success'").set_index("part")["score"]
    single = measured_robustness(RESULTS).query("model == 'mini' and measure == 'v_measure'")
    for label in ("place", "liking", "topic"):
        assert f"{scores[label]:.1f}" in text
    for task in ("News-topic", "Reviews-aspect"):
        by = single[single["task"] == f"{task}_robustness"].groupby("kind")["score"].agg(["min", "mean", "max"])
        for value in (*by.loc["incorrect", ["mean", "max"]], *by.loc["correct", ["min", "max"]]):
            assert f"{value:.1f}" in text


def test_later_results_are_in_the_document_and_our_own_row_is_the_raw_one():
    later, text = later_results(), document("reproduction.md")
    assert later["inbedder"].iloc[0] == later["score"].iloc[0] == pytest.approx(58.80)
    for row in later[1:].itertuples():
        assert row.link in text and f"{row.score:.2f} | {row.inbedder:.2f}" in text
    chat = score_table(last_layer(published_scores())).loc["llama-2-7b-chat-e5-large-v2-pretrain-ml=40", "average"]
    assert f"has {chat['fst_gen']:.2f} there (`fst_gen`), and {chat.max():.2f} at best" in text


def test_no_two_runs_have_one_label_and_the_authors_table_has_31():
    models = published_models()
    assert models["label"].is_unique
    assert models["authors_table"].sum() == 31
