import numpy as np
import pandas as pd
import pytest
from test_asking import Given, blobs, numbered

from inbedder_utils.clustering.additions import ADDED, add_rows, assign_all, check_new, clusterings_in
from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.report import write_report
from inbedder_utils.clustering.result import Clustering

TEXTS = numbered(20)


class Places:
    """Knows a place for every text, old or new."""

    vectors = dict(zip([*TEXTS, "new", "far"], [*blobs(10, 10), np.eye(8)[1], np.eye(8)[5]], strict=True))

    def encode(self, texts, instruction):
        return np.array([self.vectors[text] for text in texts])


@pytest.fixture
def folder(tmp_path):
    write_report([ask(Given(blobs(10, 10)), TEXTS, "Which?", 2)], tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def found(folder):
    results = [Clustering.load(place, Places()) for place in clusterings_in(folder)]
    return assign_all(results, ["new", "far"])


def test_the_clusterings_of_a_report_are_found_in_order(tmp_path):
    for number in (10, 2, 1):
        (tmp_path / f"question-{number}").mkdir()
    (tmp_path / "question-x").mkdir()
    assert [path.name for path in clusterings_in(tmp_path)] == ["question-1", "question-2", "question-10"]
    with pytest.raises(FileNotFoundError, match="expected the folder of a report"):
        clusterings_in(tmp_path / "question-x")


def test_further_texts_get_a_place_under_each_question(found):
    assert found["text"].tolist() == ["new", "far"]
    assert found["cluster (Which?)"].tolist() == [1, -1] and found["name (Which?)"][1] == "(no cluster)"


def test_rows_are_added_to_the_table_and_say_where_they_are_from(folder, found):
    others = pd.DataFrame({"id": [7, 8, 9], "stars": [5, 1, 3]})
    path = add_rows(folder, found, "march.csv", others, [0, 2])
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert len(table) == 23 and table["text"].tolist()[:20] == TEXTS
    added = table.iloc[20:]
    assert added["text"].tolist() == ["new", "", "far"] and added["id"].tolist() == ["7", "8", "9"]
    assert added["cluster (Which?)"].tolist() == ["1", "", "-1"]
    assert table[ADDED].tolist() == [""] * 20 + ["march.csv", "", "march.csv"]


def test_a_file_is_added_once(folder, found):
    others = pd.DataFrame({"id": [1, 2]})
    before = add_rows(folder, found, "march.csv", others, [0, 1]).read_bytes()
    with pytest.raises(ValueError, match="texts of march.csv were added to .* before"):
        add_rows(folder, found, "march.csv", others, [0, 1])
    assert (folder / "assignments.csv").read_bytes() == before
    assert len(check_new(folder, "april.csv", ["new"])) == 22


def test_a_report_without_a_table_is_refused(folder):
    (folder / "assignments.csv").unlink()
    with pytest.raises(FileNotFoundError):
        check_new(folder, "march.csv", ["new"])
