"""Our columns beside those of somebody's table."""

import pandas as pd

from inbedder_utils.storage.columns import ids_first


def test_ids_come_first_and_rows_without_ours_stay_empty():
    others = pd.DataFrame({"stars": [5, 1, 5], "id": ["a", "b", "c"], "cluster": ["x", "x", "y"]}, index=[7, 8, 9])
    table = ids_first(pd.DataFrame({"cluster": [0, 1]}), others, places=[0, 2])
    assert list(table) == ["id", "cluster", "stars", "cluster (input)"]
    assert table["cluster"].isna().tolist() == [False, True, False]
    assert table["stars"].tolist() == [5, 1, 5]


def test_what_no_file_can_hold_is_replaced_and_no_table_changes_nothing():
    table = ids_first(pd.DataFrame({"text": pd.Series(["a\ud800", "b"], dtype=object)}), None)
    assert table["text"].tolist() == ["a\N{REPLACEMENT CHARACTER}", "b"]
