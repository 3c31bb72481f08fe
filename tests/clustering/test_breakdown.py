"""Clusters by another column: counts, what is unusual (`clustering.breakdown`), and groups (`clustering.grouping`)."""

import re
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from inbedder_utils.clustering import Clustering, break_down
from inbedder_utils.clustering.breakdown import FALSE_ALARM, Breakdown
from inbedder_utils.clustering.explain import Explanation
from inbedder_utils.clustering.grouping import grouped

CITIES = ["Rome"] * 30 + ["Oslo"] * 20 + ["Rome"] * 10 + ["Oslo"] * 30 + ["Lima"] * 10
MONDAYS = "01-01 01-08 01-15 01-22 01-29 02-05 02-12 02-19"
PACIFIC = timezone(timedelta(hours=-8))


def clustering(assignments, k=None):
    assignments = np.asarray(assignments)
    names = [f"name {c}" for c in range(assignments.max() + 1 if k is None else k)]
    texts, vectors = [f"text {i}" for i in range(len(assignments))], np.ones((len(assignments), 2), np.float32)
    explanations = [Explanation(name, {}, [], [], []) for name in names]
    return Clustering("Which?", texts, assignments, vectors, explanations=explanations)


@pytest.fixture(scope="module")
def parts():
    return break_down(clustering([0] * 50 + [1] * 45 + [-1] * 5), CITIES, name="city")


def test_texts_are_counted_by_cluster_and_value(parts):
    assert parts.counts.index.tolist() == ["name 0", "name 1", "(no cluster)"]
    assert parts.counts.columns.tolist() == ["Oslo", "Rome", "Lima"]  # by frequency
    assert parts.counts.to_numpy().tolist() == [[20, 30, 0], [30, 10, 5], [0, 0, 5]]
    assert np.allclose(parts.shares.sum(), 1) and parts.shares.loc["name 0", "Rome"] == 0.75
    assert parts.missing == 0 and parts.note == "100 texts" and not parts.over_time


def test_a_cluster_without_a_value_keeps_its_row_and_missing_values_are_counted():
    values = ["a", None, "a", np.nan, "b", "b"]
    parts = break_down(clustering([0, 0, 1, 2, 1, 0]), pd.Series(values, name="letter"))
    assert parts.counts.loc["name 2"].tolist() == [0, 0] and parts.missing == 2
    assert parts.name == "letter" and parts.note == "4 texts (2 without a value are left out)"
    assert break_down(clustering([0, 0, 1, 1, 1, -1]), values).name == "value"
    assert "(no cluster)" not in break_down(clustering([0, -1, 1, -1, 1, 0]), values).counts.index


def test_unusual_cells_are_those_of_the_adjusted_exact_test(parts):
    rows, columns, total, p = parts.counts.sum(axis=1), parts.counts.sum(axis=0), 100, {}
    for i, cluster in enumerate(parts.counts.index):
        for j, value in enumerate(parts.counts.columns):
            n, rest = parts.counts.iloc[i, j], (rows.iloc[i], columns.iloc[j])
            table = [[n, rest[0] - n], [rest[1] - n, total - sum(rest) + n]]
            tails = [fisher_exact(table, side).pvalue for side in ("less", "greater")]
            p[cluster, value] = min(1, 2 * min(tails))
    ranked, least, expected = sorted(p, key=p.__getitem__), 0.0, {}
    for i, cell in enumerate(ranked):
        least = max(least, min(1, p[cell] * (9 - i)))
        if least <= FALSE_ALARM:
            expected[cell] = least
    found = parts.unusual
    assert dict(zip(zip(found["cluster"], found["value"], strict=True), found["p"], strict=True)) == pytest.approx(
        expected
    )
    assert found["p"].is_monotonic_increasing and len(found) > 3
    row = found.set_index(["cluster", "value"]).loc["name 0", "Rome"]
    assert (row["texts"], row["expected"], row["times"]) == (30, 20, 1.5)


@pytest.mark.parametrize(("n", "k", "v"), [(60, 2, 2), (300, 5, 12)])
def test_a_column_that_has_nothing_to_do_with_the_clusters_gives_false_alarms_rarely(n, k, v):
    rng, tables = np.random.default_rng(0), 200
    clusters, values = (
        rng.choice(k, n, p=rng.dirichlet(np.full(k, 2))),
        rng.choice(v, n, p=rng.dirichlet(np.full(v, 2))),
    )
    alarms = 0
    for _ in range(tables):
        counts = np.zeros((k, v), int)
        np.add.at(counts, (clusters, rng.permutation(values)), 1)
        alarms += len(Breakdown("Which?", "x", pd.DataFrame(counts), False, 0, "", False).unusual) > 0
    assert alarms / tables <= FALSE_ALARM + 0.03  # two standard errors of so many tables


def test_it_is_said_what_is_unusual_and_how_often_chance_does_it():
    values = ["May"] * 34 + ["June"] * 66 + ["May"] * 66 + ["June"] * 34
    parts = break_down(clustering([0] * 100 + [1] * 100), values, "month")
    assert re.fullmatch(
        r"'name 0' is only 0\.68 times as frequent where month is May as expected \(34 texts instead of 50; such a "
        r"difference comes by chance once in [\d,]+000 such tables, p = 0\.0000\d\)\.",
        parts.in_words()[0],
    )
    said = repr(parts)
    assert said.startswith("'Which?' by month: 200 texts") and all(line in said for line in parts.in_words())
    assert re.search(r"name 0 +34% \(34\) +66% \(66\) +50% \(100\)", said) and "all (200)" in said
    sure = break_down(clustering([0] * 50 + [1] * 50), ["a"] * 50 + ["b"] * 50, "x").in_words()
    assert "2.0 times" in sure[0] and "less than once in a million such tables, p < 0.000001" in sure[0]


def test_only_the_surest_are_said_and_it_is_said_if_nothing_is_unusual():
    many = break_down(clustering([*range(6)] * 99), [*"abcdef"] * 99, "letter")
    assert len(many.unusual) > 11 and many.in_words()[10:] == [f"And {len(many.unusual) - 10} more, less surely."]
    none = break_down(clustering([0, 1] * 20), [1, 1, 2, 2] * 10, "stars")
    assert none.unusual.empty and len(none.in_words()) == 1
    assert none.in_words()[0].startswith("No cluster is more frequent, or rarer, at any value of stars")
    assert break_down(clustering([0] * 20), ["same"] * 20).unusual.empty


def labels(values):
    return grouped(values, "x", len(values)).labels


def test_numbers_stay_in_order_and_many_become_ranges():
    assert labels([5, 1, 3.0, None, 5, 1, 3]) == ["1", "3", "5"] == labels(["5", "1", "3", "3", "1"])
    assert labels([2015, 2016, 2015, 2018, 2018]) == ["2015", "2016", "2018"]
    groups = grouped([n % 50 for n in range(200)], "x", 200)
    assert groups.labels == ["0 to 9", "10 to 19", "20 to 29", "30 to 39", "40 to 49"]
    assert groups.codes[[0, 9, 10, 49]].tolist() == [0, 0, 1, 4] and "50 different numbers in 5 ranges" in groups.how
    assert labels([0] * 90 + [*range(20)]) == ["0", "1 to 19"]
    assert labels([n / 8 for n in range(15)])[0] == "0 to 0.25"  # measurements may all differ


def test_of_many_other_values_the_most_frequent_are_kept():
    groups = grouped([letter for i, letter in enumerate("abcdefghijklmnop") for _ in range(20 - i)], "x", 200)
    assert groups.labels == [*"abcdefghijk", "(others)"] and groups.how.startswith("the 11 most frequent of 16 values")
    assert (groups.codes == 11).sum() == sum(range(5, 10))
    assert labels([*"abcdefghijkl"] * 2) == [*"abcdefghijkl"] and labels([True, False, True]) == ["True", "False"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["2/24/2015 11:35", "2/26/2015 9:00"] * 2, ["2015-02-24", "2015-02-25", "2015-02-26"]),
        (["2015-02-24 23:35:52 -0800", "2015-02-25 01:00:00 +0100"] * 2, ["2015-02-24", "2015-02-25"]),
        ([datetime(2015, 2, 24, 23, tzinfo=PACIFIC), datetime(2015, 2, 25, tzinfo=UTC)], ["2015-02-24", "2015-02-25"]),
        ([date(2024, 3, 1), None, date(2024, 3, 3)], ["2024-03-01", "2024-03-02", "2024-03-03"]),
        ([pd.Timestamp("2024-03-05 10:00"), pd.NaT], ["2024-03-05"]),
        (["3/2/2024", "24/2/2024"], [f"2024-02-{day:02}" for day in range(3, 25)]),  # not March
        (["Tue Feb 24 11:35:52 +0000 2015"], ["2015-02-24"]),
        (["2024-01-03", "2024-02-20"], [f"2024-{day}" for day in MONDAYS.split()]),
        (["2024-01", "2024-04"], ["2024-01", "2024-02", "2024-03", "2024-04"]),
        (["January 2024", "March 2024"], ["2024-01", "2024-02", "2024-03"]),
        (["2023-01-05", "2024-02-20"], [f"{2023 + m // 12}-{m % 12 + 1:02}" for m in range(14)]),
        (["2020-01-05", "2023-02-20"], [f"{2020 + q // 4}Q{q % 4 + 1}" for q in range(13)]),
        (["2001-01-05", "2003-05-05", "2011-02-20"], [str(year) for year in range(2001, 2012)]),
    ],
)
def test_dates_become_periods_in_order_with_the_empty_ones(values, expected):
    groups = grouped(values, "x", len(values))
    assert groups.labels == expected and groups.over_time and groups.how.startswith("by ")
    assert [groups.labels[code] for code in groups.codes if code >= 0][0] == expected[0]
    assert labels(pd.Series(values)) == expected


def test_shares_over_time_have_a_gap_where_no_text_is():
    parts = break_down(clustering([0, 1, 0, 0]), ["2024-01", "2024-01", "2024-03", "2024-03"], "month")
    assert parts.over_time and parts.note == "4 texts; by month"
    assert parts.counts.columns.size == 3
    assert parts.shares["2024-02"].isna().all() and parts.shares["2024-03"].tolist() == [1, 0]
    assert "- " in repr(parts) and parts.unusual.empty


def test_what_only_looks_like_a_date_is_none_and_two_ways_to_read_one_are_noted():
    for values in (
        ["2015/16", "2016/17"],
        ["room 2015", "room 2016"],
        ["10:30", "11:30"],
        ["1.2.3", "1.2.4"],
        [20240301],
    ):
        assert not grouped(values * 2, "x", 2 * len(values)).over_time
    assert grouped(["3/2/2024", "4/2/2024"], "x", 2).how.endswith("dates read as %m/%d/%Y")
    assert "read as" not in grouped(["2024-03-02", "2024-04-02 10:00:00"], "x", 2).how
    old = grouped(["1550-05-05", "1900-05-05", "2020-05-05"], "x", 3)
    assert old.labels == ["1550", "1900", "2020"] and old.how == "by years in 3 ranges"


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([1, 2, 2], ValueError, "got 3 values of 'id' for 40 texts: pass one for each"),
        ("a string", TypeError, "values of 'id' must be a list"),
        ([None] * 40, ValueError, "all 40 values of 'id' are missing (None or NaN): leave them out"),
        ([*range(40)], ValueError, "'id' has 40 different values for 40 texts (such as '0'), as ids have"),
        ([f"user {i // 2 if i < 3 else i}" for i in range(40)], ValueError, "as ids have"),
        ([570306133677760513 + i for i in range(40)], ValueError, "'id' has 40 different values"),
    ],
)
def test_columns_that_cannot_be_broken_down_by(values, error, message):
    with pytest.raises(error, match=re.escape(message)):
        break_down(clustering([0, 1] * 20), values, "id")


def test_only_clusterings_are_broken_down():
    with pytest.raises(TypeError, match="what ask returns, got list"):
        break_down([0, 1], ["a", "b"])


def test_postcodes_keep_their_zeros_and_few_values_are_no_ids():
    assert grouped(["01067", "04109", "01067"], "postcode", 3).labels == ["01067", "04109"]
    assert grouped(["yes", "no"], "answer", 2).labels == ["yes", "no"]
