import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from inbedder_utils.clustering import break_down
from inbedder_utils.clustering import plots as cluster_plots
from inbedder_utils.clustering import result as cluster_result
from inbedder_utils.clustering.breakdown_plots import breakdown_plot
from inbedder_utils.clustering.explain import Explanation
from inbedder_utils.clustering.looks import OUTSIDE
from inbedder_utils.clustering.plots import place_names
from inbedder_utils.clustering.result import Clustering
from inbedder_utils.plots import use_style

LABELS = ["a"] * 6 + ["b"] * 4 + ["c"] * 2


@pytest.fixture
def ax():
    use_style()
    fig, ax = plt.subplots(figsize=(5, 4))
    yield ax
    plt.close(fig)


def clustering(assignments, names=None, labels=None, question="Which?"):
    assignments = np.array(assignments)
    names = names or [f"name {c}" for c in range(assignments.max() + 1)]
    vectors = np.eye(12)[assignments] + np.random.default_rng(0).normal(scale=0.1, size=(len(assignments), 12))
    return Clustering(
        instruction=question,
        texts=[f"text {i}" for i in range(len(assignments))],
        assignments=assignments,
        embeddings=vectors.astype(np.float32),
        labels=labels,
        explanations=[Explanation(name, {}, [], [], []) for name in names],
    )


def written(ax):
    return [text for text in ax.texts if text.get_text()]


def test_a_map_shows_every_text_and_names_every_cluster(ax):
    result = clustering([*range(12)] * 5)
    cluster_plots.cluster_map(result, ax, map_method="pca")
    assert sum(len(dots.get_offsets()) for dots in ax.collections) == 60
    looks = {
        (to_hex(dots.get_facecolor()[0]), len(dots.get_paths()[0].vertices), dots.get_paths()[0].vertices.tobytes())
        for dots in ax.collections
    }
    assert len(looks) == 12
    assert len({marker for _, _, marker in looks}) == 8  # in greyscale, shapes have to tell clusters apart
    assert [text.get_text() for text in written(ax)] == result.names
    assert ax.get_xlabel() == "PCA of the embeddings (no unit)"


def test_texts_in_no_cluster_are_on_the_map_without_a_name(ax):
    cluster_plots.cluster_map(clustering([0, 0, 0, 1, 1, 1, -1, -1]), ax, map_method="pca")
    assert [len(dots.get_offsets()) for dots in ax.collections] == [2, 3, 3]
    assert len(written(ax)) == 2


def test_a_map_of_many_texts_shows_a_sample(ax, monkeypatch):
    monkeypatch.setattr(cluster_result, "TEXTS_DRAWN", 20)
    cluster_plots.cluster_map(clustering([0, 1, 2] * 20), ax)
    assert sum(len(dots.get_offsets()) for dots in ax.collections) == 20


@pytest.mark.parametrize("k", [9, 20])
@pytest.mark.parametrize("spread", [0.0, 0.05, 1.0])
def test_names_do_not_cover_each_other_and_stay_inside(ax, spread, k):
    rng = np.random.default_rng(0)
    centres = 0.5 + spread * (rng.random((k, 2)) - 0.5)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    place_names([f"a longer name {i}" for i in range(k)], centres, centres, ax)
    boxes = [text.get_window_extent() for text in written(ax)]
    assert len(boxes) == k
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    frame = ax.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
    assert all(frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes)


def test_a_name_makes_room_for_points_and_is_joined_to_its_centre_if_it_goes_far(ax):
    ax.set(xlim=(0, 1), ylim=(0, 1))
    crowd = 0.5 + 0.2 * (np.random.default_rng(0).random((400, 2)) - 0.5)
    place_names(["crowded"], np.array([[0.5, 0.5]]), crowd, ax)
    box = written(ax)[0].get_window_extent()
    dots = ax.transData.transform(crowd)
    assert not np.all((dots > box.min) & (dots < box.max), axis=1).any()
    (line,) = ax.lines
    (end, start), reach = ax.transData.transform(line.get_xydata()), box.padded(4)
    assert np.allclose(line.get_xydata()[1], [0.5, 0.5]) and not reach.contains(*start) and reach.contains(*end)


def test_names_are_in_the_same_places_every_time_and_leave_the_limits_as_they_are(ax):
    points, places = np.random.default_rng(0).random((300, 2)), []
    ax.scatter(*points.T)
    limits = ax.axis()
    for _ in range(2):
        ax.clear()
        ax.scatter(*points.T)  # the limits are made when they are asked for
        place_names([f"name {i}" for i in range(9)], points[:9], points, ax)
        assert ax.lines and ax.axis() == limits
        places.append([text.get_position() for text in written(ax)])
    assert places[0] == places[1]


def test_the_curve_marks_the_number_that_was_chosen(ax):
    import pandas as pd

    result = clustering([0, 1] * 6)
    with pytest.raises(ValueError, match="no silhouette curve"):
        cluster_plots.silhouette_curve_plot(result, ax)
    object.__setattr__(result, "curve", pd.Series({2: 0.1, 3: 0.4, 4: 0.2}))
    cluster_plots.silhouette_curve_plot(result, ax)
    assert ax.lines[0].get_ydata().tolist() == [0.1, 0.4, 0.2]
    assert written(ax)[0].get_text() == "chosen: 3" and ax.lines[1].get_xdata() == [3]


def test_silhouettes_are_sorted_within_clusters_and_average_to_the_quality(ax):
    result = clustering([0] * 6 + [1] * 4 + [-1] * 2)
    cluster_plots.silhouette_plot(result, ax)
    values = [bar.get_width() for bar in ax.patches]
    assert len(values) == 10 and values[:6] == sorted(values[:6], reverse=True)
    assert np.mean(values) == pytest.approx(result.quality["silhouette"], abs=1e-6)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["name 0 (6)", "name 1 (4)"]
    with pytest.raises(ValueError, match="two clusters or more"):
        cluster_plots.silhouette_plot(clustering([0] * 5), ax)


def test_composition_bars_add_up_to_all_texts_of_a_cluster(ax):
    cluster_plots.composition_bars(clustering([0] * 8 + [1] * 4, labels=LABELS), ax)
    widths = np.array([bar.get_width() for bar in ax.patches]).reshape(3, 2)
    assert np.allclose(widths, [[75, 0], [25, 50], [0, 50]])
    assert len({bar.get_hatch() for bar in ax.patches}) == 3
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="no labels to compare with"):
        cluster_plots.composition_bars(clustering([0, 1]), ax)


def test_bars_of_a_breakdown_add_up_to_all_texts_of_a_value(ax):
    result = clustering([0] * 6 + [1] * 4 + [-1] * 2)
    breakdown_plot(break_down(result, [*"xxxyyyxxyyzz"], "letter"), ax)
    widths = np.array([bar.get_width() for bar in ax.patches]).reshape(3, 3)  # (clusters, values)
    assert np.allclose(widths, [[60, 60, 0], [40, 40, 0], [0, 0, 100]])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["x (5)", "y (5)", "z (2)"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["name 0", "name 1", "(no cluster)"]
    assert cluster_plots.breakdown_plot is breakdown_plot and ax.get_ylabel() == "letter"
    assert to_hex(ax.patches[-1].get_facecolor()) == to_hex(OUTSIDE)


@pytest.mark.parametrize("k", [3, 12])
def test_lines_of_a_breakdown_go_over_time_with_a_gap_where_no_text_is(ax, k):
    months = ["2024-01", "2024-02", "2024-04"] * k
    result = clustering([c for c in range(k) for _ in range(3)] + [-1])
    cluster_plots.breakdown_plot(break_down(result, [*months, "2024-02"], "month"), ax)
    assert len(ax.lines) == k + 1 == len({(line.get_marker(), line.get_linestyle()) for line in ax.lines})
    assert np.allclose(ax.lines[0].get_ydata(), [100 / k, 100 / (k + 1), np.nan, 100 / k], equal_nan=True)
    ticks = [tick.get_text() for tick in ax.get_xticklabels()]
    assert ticks == [f"2024-01 ({k})", f"2024-02 ({k + 1})", "2024-03 (0)", f"2024-04 ({k})"]
    assert ax.get_legend().get_texts()[-1].get_text() == "(no cluster)" and ax.lines[-1].get_color() == OUTSIDE
    assert ax.get_xlabel() == "month" and ax.get_ylim()[0] == 0


def test_the_heat_map_counts_and_puts_large_numbers_on_the_diagonal(ax):
    cluster_plots.confusion_heatmap(clustering([1] * 6 + [0] * 4 + [-1] * 2, labels=LABELS), ax)
    assert ax.collections[0].get_array().reshape(3, 3).tolist() == [[6, 0, 0], [0, 4, 0], [0, 0, 2]]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["name 1", "name 0", "(no cluster)"]


def test_bands_are_as_high_as_they_have_texts(ax):
    one = clustering([0] * 6 + [1] * 4 + [-1] * 2, question="What?")
    other = clustering([0] * 4 + [1] * 8)
    cluster_plots.flow([one, other, one], ax)
    bands = [patch for patch in ax.patches if hasattr(patch, "get_path") and len(patch.get_path()) == 9]
    assert len(bands) == 4 + 4  # 0 to 0 and 1, 1 to 1, none to 1; and back
    heights = [band.get_path().vertices[-2][1] - band.get_path().vertices[0][1] for band in bands[:4]]
    assert np.allclose(np.array(heights) / heights[0], [1, 0.5, 1, 0.5])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["What?", "Which?", "What?"]
    shown = [text.get_text() for text in written(ax)]
    assert shown[:3] == ["name 0 (6)", "name 1 (4)", "(no cluster) (2)"] and len(shown) == 8


def test_clusters_of_a_flow_stand_where_their_texts_come_from(ax):
    one = clustering([0] * 6 + [1] * 4 + [2] * 2)
    other = clustering([2] * 6 + [1] * 4 + [0] * 2, names=["last", "middle", "first"])
    cluster_plots.flow([one, other], ax)
    right = sorted(written(ax)[3:], key=lambda text: text.get_position()[1])
    assert [text.get_text() for text in right] == ["first (6)", "middle (4)", "last (2)"]


@pytest.mark.parametrize("second", [[], [clustering([0, 1, 1])]])
def test_a_flow_needs_the_same_texts(ax, second):
    with pytest.raises(ValueError, match="two clusterings or more, all of the same texts"):
        cluster_plots.flow([clustering([0, 1]), *second], ax)


@pytest.mark.parametrize(
    "draw",
    [
        cluster_plots.cluster_map,
        cluster_plots.silhouette_plot,
        cluster_plots.composition_bars,
        cluster_plots.confusion_heatmap,
        lambda result, ax: cluster_plots.flow([result, result], ax),
        lambda result, ax: cluster_plots.breakdown_plot(break_down(result, result.labels, "$5, not $6"), ax),
        lambda result, ax: cluster_plots.breakdown_plot(break_down(result, ["2024-01"] * 12, "$5, not $6"), ax),
    ],
)
def test_two_dollar_signs_in_names_labels_and_questions_are_no_formula(ax, draw):
    price = r"$5, or \foo for $6"  # matplotlib fails on formulas that it can't read
    labels = [f"{label} {price}" for label in LABELS]
    result = clustering([0] * 6 + [1] * 6, names=[f"a {price}", f"b {price}"], labels=labels, question=price)
    draw(result, ax).set_title(result.instruction)
    ax.figure.canvas.draw()
    assert any(price in text.get_text() for text in ax.findobj(plt.Text) if text is not ax.title)
