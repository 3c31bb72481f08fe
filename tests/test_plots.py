import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from inbedder_utils.plots import (
    answer_heatmaps,
    attention_map,
    figure_folder,
    save_figure,
    score_by_layer,
    score_rows,
    similarity_heatmap,
    similarity_heatmaps,
    text_map,
    text_maps,
    training_curves,
    vector_lines,
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


def test_every_embedding_has_a_heatmap_for_each_order():
    labels = pd.DataFrame({"letter": list("abab"), "number": list("1122")})
    fig = similarity_heatmaps({"by letter": np.eye(2)[[0, 1, 0, 1]], "by number": np.eye(2)[[0, 0, 1, 1]]}, labels)
    blocks = np.kron(np.eye(2), np.ones((2, 2)))
    drawn = [ax.collections[0].get_array().reshape(4, 4) for ax in fig.axes[:4]]
    assert [np.array_equal(panel, blocks) for panel in drawn] == [True, False, False, True]
    assert [ax.get_ylabel() for ax in fig.axes[:4]] == ["sorted by letter", "", "sorted by number", ""]
    assert [ax.get_title() for ax in fig.axes[:2]] == ["by letter", "by number"]


def test_every_map_shows_its_own_label():
    rng = np.random.default_rng(0)
    labels = pd.DataFrame({"letter": list("ab") * 15, "number": list("123") * 10})
    fig = text_maps({"one": rng.normal(size=(30, 4)), "two": rng.normal(size=(30, 4))}, labels)
    assert [ax.get_title() for ax in fig.axes] == ["one", "two"]
    assert [len(ax.get_legend().get_lines()) for ax in fig.axes] == [2, 3]


def test_layers_are_ticks():
    scores = pd.DataFrame({"layer": [0, 1, 2] * 2, "pooling": ["fst_gen"] * 3 + ["avg_ppt"] * 3, "success": range(6)})
    fig = score_by_layer(pd.concat([scores.assign(question=question) for question in "ab"]), score="success")
    assert [ax.get_title() for ax in fig.axes] == ["a", "b"]
    assert fig.axes[0].get_xticks().tolist() == [0, 1, 2]
    assert fig.axes[0].get_ylabel() == "success"


def test_scores_stand_in_the_row_of_their_name_a_marker_for_each_group(ax):
    scores = pd.DataFrame({"question": ["q", "q", "r"], "label": ["a", "b", "a"], "V (percent)": [10.0, 20.0, 30.0]})
    score_rows(scores, ax, row="question", score="V (percent)", group="label")
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["q", "r"]
    first, second = ax.lines
    assert first.get_xdata().tolist() == [10, 30] and second.get_xdata().tolist() == [20]
    assert first.get_marker() != second.get_marker()
    assert first.get_ydata().round().tolist() == [0, 1] and second.get_ydata().round().tolist() == [0]
    assert [entry.get_text() for entry in ax.get_legend().get_texts()] == ["a", "b"]


def test_an_attention_map_is_named_by_segment(ax):
    sees = np.tril(np.ones((5, 5), dtype=bool))
    attention_map(sees, [0, 0, 0, 1, 1], ["text", "question"], ax)
    assert np.array_equal(ax.collections[0].get_array().reshape(5, 5), sees)
    assert ax.get_yticks().tolist() == [1.5, 4]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["text", "question"]


def test_logs_of_several_seeds_are_one_curve_with_a_band():
    log = pd.DataFrame({"step": [0, 9], "loss": [None, 1.0], "eval_loss": [4.0, 2.0], "eval_awareness": [0.5, 0.6]})
    logs = [log.assign(run="short"), log.assign(run="short", eval_awareness=[0.5, 0.8])]
    _, axes = plt.subplots(1, 2)
    training_curves(pd.concat(logs), axes)
    (curve, *_), (band,) = axes[1].get_lines(), axes[1].collections
    assert curve.get_ydata().tolist() == [0.5, 0.7]
    assert (band.get_paths()[0].get_extents().y0, band.get_paths()[0].get_extents().y1) == (0.5, 0.8)
    plt.close()


def test_vector_lines_lead_from_the_origin_to_their_names(ax):
    vector_lines(np.array([[3, 1], [-1, 2]]), ["a", "b"], ax)
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[0, 0], [3, 1]], [[0, 0], [-1, 2]]]
    assert [(words.get_text(), words.xy) for words in ax.texts] == [("a", (3, 1)), ("b", (-1, 2))]


def test_a_heatmap_of_answers_has_the_likeliest_words_of_each_text():
    asked = [{"refund": 0.9, "repair": 0.05, "card": 0.002}, {"repair": 0.8, "card": 0.1, "bill": 0.01}]
    fig = answer_heatmaps({"Which?": asked, "Who?": [{"Ann": 1.0}, {"Ben": 1.0}]}, ["one", "two"])
    which, who = fig.axes[:2]
    assert [tick.get_text() for tick in which.get_xticklabels()] == ["refund", "repair", "card"]
    assert [tick.get_text() for tick in which.get_yticklabels()] == ["one", "two"]
    assert [text.get_text() for text in which.texts] == ["90", "5", "<1", "80", "10"]
    assert [text.get_text() for text in who.texts] == ["100", "100"]


def test_a_heatmap_of_answers_has_a_column_even_if_no_word_is_likely():
    unsure = [{"refund": 0.009, "repair": 0.008}, {"card": 0.002, "bill": 0.001}]
    (ax, *_) = answer_heatmaps({"Which?": unsure}, ["one", "two"]).axes
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["refund", "card"]
    assert [text.get_text() for text in ax.texts] == ["<1", "<1"]
