from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from inbedder_utils.clustering.plots import reliability_plot, sample_size_plot

QUESTIONS = ["Which?", "Where?"]


@pytest.fixture
def axes():
    fig, axes = plt.subplots(2, 2)
    yield axes
    plt.close(fig)


def test_lines_are_means_of_the_orders_and_the_dashed_ones_what_to_compare_with(axes):
    rows = [
        {"question": q, "texts asked": n, "V-measure (percent)": n + seed, "asked in full": 90, "held-out cosine": 0.5}
        for q, n, seed in product(QUESTIONS, (25, 50), (0, 2))
    ]
    sample_size_plot(pd.DataFrame(rows), axes)
    assert [ax.get_title() for ax in axes[0]] == QUESTIONS
    mean, full = axes[0, 1].get_lines()
    assert mean.get_xydata().tolist() == [[25, 26], [50, 51]]
    assert full.get_ydata()[0] == 90
    assert [text.get_text() for text in axes[1, 0].get_legend().get_texts()] == ["refused below"]


def test_each_kind_of_stored_vectors_has_a_marker_of_its_own(axes):
    rows = [
        {"question": q, "stored": name, "held-out cosine": 0.1 * i, "kept": 10 * i}
        for q, (i, name) in product(QUESTIONS, enumerate(["one", "other", "random"]))
    ]
    reliability_plot(pd.DataFrame(rows), axes[0])
    assert np.allclose(axes[0, 1].collections[0].get_offsets(), [[0, 0], [0.1, 10], [0.2, 20]])
    assert axes[0, 0].get_legend() is None
    legend = axes[0, 1].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["one", "other", "random"]
    assert len({line.get_marker() for line in legend.get_lines()}) == 3
