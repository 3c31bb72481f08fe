import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import HDBSCAN
from test_asking import LABELS, NEED, TEXTS, Given, Oracle, blobs, numbered

from inbedder_utils.clustering import result as results
from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.maps import atlas


@pytest.fixture(scope="module")
def asked():
    return ask(Oracle(), TEXTS, NEED, labels=LABELS[NEED][TEXTS])


@pytest.fixture(scope="module")
def installed():
    for package in ("embedding_atlas", "anywidget"):
        pytest.importorskip(package, reason=f"needs {package}, of the extra `maps`", exc_type=ImportError)


def handed_over(widget) -> tuple[pd.DataFrame, pd.DataFrame, list[dict]]:
    """Table, names on the map and charts, as the browser gets them."""
    props = widget.get_state()["_props"]
    assert props["data"]["text"] == "text" and props["data"]["projection"] == {"x": "x", "y": "y"}
    return widget.selection(), pd.DataFrame(props["embeddingViewLabels"]), [*props["initialState"]["charts"].values()]


def test_a_widget_gets_texts_answers_places_and_names(installed, asked):
    table, names, charts = handed_over(atlas(asked))
    frame = asked.to_frame()
    assert table[frame.columns].to_numpy().tolist() == frame.to_numpy().tolist()
    assert np.array_equal(table[["x", "y"]], asked.coordinates)
    assert sorted(names["content"]) == sorted(asked.names) and names["priority"].sum() == len(TEXTS)
    places = names.set_index("content")
    for name, own in table.groupby("name"):
        assert places.loc[name, ["x", "y"]].tolist() == own[["x", "y"]].median().tolist()
    assert charts[0]["data"]["category"] == "name" and charts[0]["title"] == NEED
    assert [chart["data"]["field"] for chart in charts if chart["type"] == "count-plot"] == ["name", "answer", "label"]


def test_texts_in_no_cluster_are_shown_without_a_name_on_the_map(installed):
    vectors = np.vstack([blobs(20, 20), -np.ones((1, 8))])
    result = ask(Given(vectors), numbered(41), "Which?", estimator=HDBSCAN(8, copy=True))
    table, names, charts = handed_over(atlas(result))
    assert table["name"].iloc[-1] == "(no cluster)" and sorted(names["content"]) == sorted(result.names)
    assert [chart["data"]["field"] for chart in charts if chart["type"] == "count-plot"] == ["name"]
    none = ask(Given(vectors), numbered(41), "Which?", estimator=HDBSCAN(40, copy=True))
    table, names, _ = handed_over(atlas(none))
    assert len(none) == len(names) == 0 and len(table) == 41


def test_of_many_texts_a_sample_is_shown_whatever_their_rows_are_called(installed, monkeypatch):
    monkeypatch.setattr(results, "TEXTS_DRAWN", 12)
    result = ask(Given(blobs(20, 20)), pd.Series(numbered(40), index=[7] * 40), "Which?", 2)
    table, _, _ = handed_over(atlas(result))
    assert table["text"].tolist() == [f"text {i}" for i in result.shown] and len(table) == 12


@pytest.mark.parametrize("package", ["embedding_atlas", "anywidget"])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, asked, package):
    for name in [name for name in sys.modules if name.split(".")[0] in ("embedding_atlas", "anywidget")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"(embedding_atlas|anywidget).*pip install 'inbedder-utils\[maps\]'"):
        atlas(asked)
