import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from inbedder_utils.paper import (
    last_layer,
    published_clusters,
    published_reviews,
    published_robustness,
    published_scores,
    robustness_gaps,
    score_table,
)
from inbedder_utils.paper.figures import (
    agreement,
    changes,
    entropy_dots,
    gap_dots,
    instruction_boxes,
    label_shares,
    pooling_dots,
    pooling_legend,
    pooling_lines,
    size_lines,
)


def tick_names(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def lines_of(ax):
    """{label: (x, y)}, of what has a label of its own."""
    named = [line for line in ax.lines if not line.get_label().startswith("_")]
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in named}


def test_dots_stand_at_their_score_in_the_row_of_their_model(ax):
    rows = ["opt-2.7b-qa-ml=20", "e5-large-v2"]
    table = score_table(last_layer(published_scores())).loc[rows, ["average"]]
    pooling_dots(table, [ax])
    assert tick_names(ax.yaxis) == rows
    drawn = lines_of(ax)
    assert drawn["fst_gen"] == ([table.loc[("opt-2.7b-qa-ml=20", "fst_gen"), "average"]], [0])
    assert drawn["own"] == ([table.loc[("e5-large-v2", "own"), "average"]], [1])


def test_a_pooling_has_the_same_look_in_every_figure_and_no_other_has_it(ax):
    scores = pd.DataFrame({"pooling": ["avg_ppt", "re_encode", "fst_gen"], "layer": [0, None, 0], "score": [1.0, 2, 3]})
    pooling_lines(scores, ax, x="layer")
    drawn = {line.get_label(): (line.get_marker(), line.get_color()) for line in ax.lines}
    pooling_legend(["fst_gen", "avg_gen", "last_gen", "avg_ppt", "avg_all", "re_encode", "last_ppt", "own"], ax)
    legend = {line.get_label(): (line.get_marker(), line.get_color()) for line in ax.get_legend().get_lines()}
    assert len({marker for marker, _ in legend.values()}) == len(set(map(str, legend.values()))) == 8
    assert drawn.items() <= legend.items() and len(drawn) == 3


def test_a_pooling_without_a_look_is_not_left_out_silently(ax):
    with pytest.raises(ValueError, match="unknown pooling 'fst_gem'.*did you mean 'fst_gen'"):
        pooling_legend(["fst_gem"], ax)


def test_lines_go_from_left_to_right_and_a_score_without_a_layer_is_a_level(ax):
    scores = pd.DataFrame(
        {"pooling": ["fst_gen"] * 3 + ["re_encode"], "layer": [2, 0, 1, None], "score": [30.0, 10, 20, 5]}
    )
    pooling_lines(scores.astype({"layer": "Int64"}), ax, x="layer")
    drawn = lines_of(ax)
    assert drawn["fst_gen"] == ([0, 1, 2], [10, 20, 30])
    assert set(drawn["re_encode"][1]) == {5}


def test_a_change_leads_from_the_open_to_the_filled_circle(ax):
    changes(pd.DataFrame({"before": [1.0, 2.0], "after": [3.0, 1.0]}, index=["a", "b"]), ax)
    open_circles, filled = ax.collections[1:]
    assert open_circles.get_offsets().tolist() == [[1, 0], [2, 1]]
    assert filled.get_offsets().tolist() == [[3, 0], [1, 1]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["before", "after"]
    assert tick_names(ax.yaxis) == ["a", "b"]


def test_each_task_has_a_box_per_kind_around_its_median(ax):
    scores = published_robustness().query("model == 'instructor-large_instruct'")
    instruction_boxes(scores, ax, legend=True)
    assert tick_names(ax.xaxis) == sorted(scores["task"].unique())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["correct", "implicit", "incorrect"]
    medians = scores.groupby(["kind", "task"])["score"].median()
    drawn = {round(line.get_ydata()[0], 6) for line in ax.lines if len(set(line.get_ydata())) == 1}
    assert set(medians.round(6)) <= drawn


def test_gaps_stand_in_the_row_of_their_task(ax):
    gaps = robustness_gaps(published_robustness().query("pooling in ('own', 'fst_gen')")).reset_index()
    gap_dots(gaps, ax, gap="correct", legend=True)
    for line in ax.get_legend().get_lines():
        rows = gaps[gaps["model"] == line.get_label()].sort_values("task")
        x, y = lines_of(ax)[line.get_label()]
        assert x == rows["correct"].tolist()
        assert [tick_names(ax.yaxis)[round(place)] for place in y] == rows["task"].tolist()


def test_each_task_has_axes_of_its_own_and_a_line_per_training_over_size():
    _, axes = plt.subplots(1, 2)
    rows = [("A", "x", 10, 1.0), ("A", "x", 100, 3.0), ("A", "y", 50, 2.0), ("B", "x", 10, 5.0)]
    size_lines(pd.DataFrame(rows, columns=["task", "training", "parameters", "score"]), axes)
    assert [ax.get_title() for ax in axes] == ["A", "B"] and {ax.get_xscale() for ax in axes} == {"log"}
    drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes[0].lines]
    assert drawn == [([10, 100], [1, 3]), ([50], [2])]
    assert axes[0].get_legend() is None
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["x", "y"]
    plt.close("all")


def test_a_clustering_agrees_wholly_with_itself_and_the_drawn_numbers_are_returned(ax):
    table = agreement(published_reviews(), ax)
    assert list(table) == list(table.index) == ["product", "aspect", "liking", "detail"]
    assert np.diag(table).tolist() == [1] * 4 and (table.to_numpy() == table.T.to_numpy()).all()
    assert [text.get_text() for text in ax.texts] == [f"{value:.2f}" for value in table.to_numpy().ravel()]


@pytest.mark.parametrize(("corpus", "named"), [("feedback-reason", True), ("relation-type", False)])
def test_shares_of_labels_add_up_to_a_cluster_and_the_largest_go_down_to_the_right(ax, corpus, named):
    clusters = published_clusters().query("corpus == @corpus")
    label_shares(clusters, ax, named=named, bar=False)
    shares = np.asarray(ax.collections[0].get_array()).reshape(-1, len(clusters))
    assert shares.sum(axis=0) == pytest.approx(100)
    assert (np.diff(shares.argmax(axis=0)) >= 0).all()
    assert bool(ax.texts) == named


def test_every_cluster_is_a_dot_and_the_whole_corpus_a_bar(ax):
    clusters = pd.DataFrame(
        {"corpus": ["c"] * 2, "labels": [{"a": 2}, {"b": 1, "c": 1}], "entropy": [0.0, 1.0], "cluster": [0, 1]}
    )
    entropy_dots(clusters, ax)
    assert sorted(ax.collections[0].get_offsets()[:, 0]) == [0, 1]
    (bar,) = [line for line in ax.lines if line.get_marker() == "|"]
    assert bar.get_xdata()[0] == pytest.approx(1.5)  # shares of one half and two quarters
