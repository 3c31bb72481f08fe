import numpy as np
import pandas as pd
import pytest

from inbedder_utils.plots import (
    figure_folder,
    save_figure,
    score_by_layer,
    score_rows,
    similarity_heatmap,
    text_map,
    vector_lines,
    word_bars,
)


def test_a_figure_is_saved_twice_with_the_same_bytes(ax, tmp_path):
    ax.plot([0, 1], [0, 1])
    saved = []
    for folder in ("a", "b"):
        png = save_figure(ax.figure, "02_line", tmp_path / folder)
        saved.append((png.read_bytes(), png.with_suffix(".pdf").read_bytes()))
    assert saved[0] == saved[1]


def test_figures_of_another_checkpoint_do_not_replace_the_committed_ones(tmp_path, monkeypatch):
    (tmp_path / "figures").mkdir()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert figure_folder("mini", "mini").resolve() == tmp_path / "figures"
    assert figure_folder("org/model", "mini").resolve() == tmp_path / "build" / "figures" / "org-model"


def test_a_notebook_elsewhere_keeps_its_figures_beside_it(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert figure_folder("mini", "mini").resolve() == tmp_path / "notebooks" / "figures"


@pytest.mark.parametrize("name", ["", "a/b", "02_line.png"])
def test_a_figure_name_is_a_bare_stem(ax, tmp_path, name):
    with pytest.raises(ValueError, match="bare file name such as '02_two_maps'"):
        save_figure(ax.figure, name, tmp_path)


def test_the_heatmap_sorts_texts_by_group(ax):
    groups = ["b", "a", "b", "a"]
    similarity = np.equal.outer(groups, groups).astype(float)
    similarity_heatmap(similarity, groups, ax)
    drawn = ax.collections[0].get_array().reshape(4, 4)
    assert np.array_equal(drawn, np.kron(np.eye(2), np.ones((2, 2))))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b"]


def test_groups_on_a_map_differ_in_marker_as_well_as_in_colour(ax):
    text_map(np.random.default_rng(0).normal(size=(20, 2)), list("abcdefghij") * 2, ax, legend_title="letter")
    legend = ax.get_legend()
    assert legend.get_title().get_text() == "letter"
    looks = {(line.get_marker(), line.get_markerfacecolor()) for line in legend.get_lines()}
    assert len(looks) == 10


def test_layers_are_ticks(ax):
    scores = pd.DataFrame({"layer": [0, 1, 2] * 2, "pooling": ["fst_gen"] * 3 + ["avg_ppt"] * 3, "success": range(6)})
    score_by_layer(scores, ax, score="success")
    assert ax.get_xticks().tolist() == [0, 1, 2]
    assert ax.get_ylabel() == "success"


def test_word_bars_keep_their_order(ax):
    word_bars(["refund", "repair"], [0.9, 0.05], ax)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["refund", "repair"]
    assert [round(bar.get_width(), 2) for bar in ax.patches] == [0.9, 0.05]


def test_scores_stand_in_the_row_of_their_name_a_marker_for_each_group(ax):
    scores = pd.DataFrame({"question": ["q", "q", "r"], "label": ["a", "b", "a"], "V (percent)": [10.0, 20.0, 30.0]})
    score_rows(scores, ax, row="question", score="V (percent)", group="label")
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["q", "r"]
    first, second = ax.lines
    assert first.get_xdata().tolist() == [10, 30] and second.get_xdata().tolist() == [20]
    assert first.get_marker() != second.get_marker()
    assert first.get_ydata().round().tolist() == [0, 1] and second.get_ydata().round().tolist() == [0]
    assert [entry.get_text() for entry in ax.get_legend().get_texts()] == ["a", "b"]


def test_vector_lines_lead_from_the_origin_to_their_names(ax):
    vector_lines(np.array([[3, 1], [-1, 2]]), ["a", "b"], ax)
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[0, 0], [3, 1]], [[0, 0], [-1, 2]]]
    assert [(words.get_text(), words.xy) for words in ax.texts] == [("a", (3, 1)), ("b", (-1, 2))]
