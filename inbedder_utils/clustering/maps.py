"""Clusterings in a viewer that others have made: Embedding Atlas (extra `maps`).

datamapplot is in no extra: since its version 0.3 it needs pylabeladjust, which refuses pandas 3. Where both are there
all the same, `datamapplot.create_plot(result.coordinates, result.to_frame().iloc[result.shown]["name"].to_numpy())`
draws the map. Pages of its `create_interactive_plot` load scripts from the network; those made with `offline_mode=True`
hold scripts and fonts, which it downloads when it makes the first one.
"""

from typing import TYPE_CHECKING

from inbedder_utils.clustering.partition import NOISE
from inbedder_utils.clustering.result import Clustering

if TYPE_CHECKING:
    from embedding_atlas.widget import EmbeddingAtlasWidget


def atlas(result: Clustering) -> "EmbeddingAtlasWidget":
    """Show a clustering in Embedding Atlas: a map to zoom, search and select in, and the texts and answers behind it.

    Nothing leaves the computer. The map needs a browser with WebGPU; without it, all the rest is there.

    Args:
        result: from `ask`; at most 2,000 of its texts are shown. They are coloured by cluster, with the clusters' names
            on the map.

    Returns:
        A widget for notebooks. Its table has the columns of `Clustering.to_frame`, and "x" and "y".

    Raises:
        ImportError: if Embedding Atlas is not installed.
    """
    try:
        from embedding_atlas.widget import EmbeddingAtlasWidget
    except ImportError as error:
        raise ImportError(f"{error}: install Embedding Atlas, pip install 'inbedder-utils[maps]'") from error
    x, y = result.coordinates.T
    table = result.to_frame().iloc[result.shown].assign(x=x, y=y)
    centres = table[table["cluster"] != NOISE].groupby("name").agg({"x": "median", "y": "median", "text": "size"})
    # In its scripts "content" is what its documentation calls "text"; of one level, names are there at any zoom.
    names = centres.reset_index(names="content").rename(columns={"text": "priority"}).assign(level=0)
    columns = {"x": "x", "y": "y", "text": "text"}
    counted = [column for column in ("name", "answer", "label") if column in table and table[column].notna().any()]
    charts = [
        {"type": "embedding", "title": result.instruction, "data": columns | {"category": "name"}},
        {"type": "instances", "title": "texts"},
        *({"type": "count-plot", "title": column, "data": {"field": column}} for column in counted),
    ]
    state = {"charts": {str(i): chart for i, chart in enumerate(charts, 1)}}
    return EmbeddingAtlasWidget(table, **columns, labels=names.to_dict("records"), initial_state=state)
