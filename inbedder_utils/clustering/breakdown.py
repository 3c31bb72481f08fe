"""How clusters divide over another column, such as month, country or stars, and what is unusually frequent where."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from inbedder_utils.clustering.grouping import grouped
from inbedder_utils.clustering.partition import NOISE
from inbedder_utils.clustering.result import Clustering

FALSE_ALARM = 0.05
"""Chance that anything at all is called unusual in the table of a column that has nothing to do with the clusters."""
MOST_SAID = 10
"""Unusual cells that are put in words."""
RAREST_CHANCE = 1e-6
"""Below which a chance is only said to be below."""


@dataclass(frozen=True, eq=False, repr=False)
class Breakdown:
    """Clusters by the values of a column; made by `break_down`.

    Attributes:
        instruction: the question that the clusters answer.
        name: of the column.
        counts: (k, v) numbers of texts: a row per cluster, named, "(no cluster)" or "other" last if there are such
            texts, and a column per value or group of values, in order.
        has_outside: whether the last row is that of texts in no cluster, or of no option.
        missing: number of texts without a value, which are left out of everything.
        how: how the values were grouped, in words; empty if they were not.
        over_time: whether the values are periods, one after the other.
    """

    instruction: str
    name: str
    counts: pd.DataFrame
    has_outside: bool
    missing: int
    how: str
    over_time: bool

    @property
    def shares(self) -> pd.DataFrame:
        """(k, v) shares of each value's texts that are in the cluster, 0 to 1; NaN for a period without texts."""
        return self.counts / self.counts.sum()

    @cached_property
    def unusual(self) -> pd.DataFrame:
        """Where a cluster is more frequent, or rarer, than chance explains: one row each, the surest first.

        Columns are cluster, value, texts, expected (texts, if cluster and value had nothing to do with each other),
        times (texts / expected) and p. That is the chance of such a difference anywhere in a table of this kind: of
        Fisher's exact test (hypergeometric, twice the smaller tail) in each cell with texts, adjusted for their number
        after Holm (1979, A Simple Sequentially Rejective Multiple Test Procedure). Listed are those of at most 0.05:
        if a column has nothing to do with the clusters, 1 table in 20 or fewer lists anything.

        The texts are taken to be independent of each other: with copies, or many by one author, all looks surer than
        it is. In a large corpus even a small difference is sure: look at `times` too.
        """
        counts = self.counts.to_numpy()
        rows, columns, total = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
        i, j = np.nonzero(np.outer(rows, columns))
        texts, margins = counts[i, j], (total, rows[i], columns[j])
        tails = np.minimum(hypergeom.cdf(texts, *margins), hypergeom.sf(texts - 1, *margins))
        expected = rows[i] * columns[j] / total
        cells = {"cluster": self.counts.index[i], "value": self.counts.columns[j], "texts": texts}
        cells |= {"expected": expected, "times": texts / expected, "p": _adjusted(np.minimum(1.0, 2 * tails))}
        return pd.DataFrame(cells).query("p <= @FALSE_ALARM").sort_values("p", kind="stable", ignore_index=True)

    @property
    def note(self) -> str:
        """Number of texts, how many were left out, and how the values were grouped."""
        left_out = f" ({self.missing:,} without a value are left out)" if self.missing else ""
        return f"{self.counts.to_numpy().sum():,} texts{left_out}{'; ' * bool(self.how)}{self.how}"

    def in_words(self) -> list[str]:
        """Say what is unusual, in a sentence for each of the 10 surest cells; or that nothing is."""
        said = [self._sentence(*cell) for cell in self.unusual.head(MOST_SAID).itertuples(index=False)]
        if (more := len(self.unusual) - MOST_SAID) > 0:
            said.append(f"And {more} more, less surely.")
        return said or [f"No cluster is more frequent, or rarer, at any value of {self.name} than chance explains."]

    def _sentence(self, cluster: str, value: str, texts: int, expected: float, times: float, p: float) -> str:
        instead = f"{texts:,} text{'s' * (texts != 1)} instead of {expected:,.{0 if expected >= 10 else 1}f}"
        chance = (
            f"once in {float(f'{1 / p:.2g}'):,.0f} such tables, p = {np.format_float_positional(float(f'{p:.1g}'))}"
            if p >= RAREST_CHANCE
            else f"less than once in a million such tables, p < {RAREST_CHANCE:f}"
        )
        often = f"only {times:.2f}" if times < 1 else f"{times:.{2 if times < 1.1 else 1}f}"
        return (
            f"{cluster!r} is {often} times as frequent where {self.name} is {value} as expected ({instead}; such a "
            f"difference comes by chance {chance})."
        )

    def table(self) -> pd.DataFrame:
        """(k, v + 1) shares and, in brackets, numbers of texts, as strings: a column per value, the last of all."""
        counts = np.column_stack([self.counts, self.counts.sum(axis=1)])  # (k, v + 1)
        totals = counts.sum(axis=0)
        cells = [
            [f"{n / total:.0%} ({n:,})" if total else "-" for n, total in zip(row, totals, strict=True)]
            for row in counts.tolist()
        ]
        heads = [f"{value} ({n:,})" for value, n in zip([*self.counts.columns, "all"], totals.tolist(), strict=True)]
        return pd.DataFrame(cells, self.counts.index, heads)

    def __repr__(self) -> str:
        head, shares = f"{self.instruction!r} by {self.name}: {self.note}", self.table().to_string(line_width=120)
        return "\n".join([head, shares, *self.in_words()])


def break_down(result: Clustering, values: Iterable[Any], name: str | None = None) -> Breakdown:
    """Count how the clusters divide over another column, and find where one is unusually frequent or rare.

    Args:
        result: from `ask`.
        values: of n texts, in order: dates, numbers, or strings; None or NaN where one is missing. They are grouped if
            there are many, see `inbedder_utils.clustering.grouping.grouped`.
        name: of the column, as it is to be called. None for that of a Series, else "value".

    Raises:
        TypeError: if `result` is no clustering, or `values` no list.
        ValueError: if there is not a value for each text, if all are missing, or if nearly all differ, as ids do.
    """
    if not isinstance(result, Clustering):
        raise TypeError(f"result must be what ask returns, got {type(result).__name__}")
    own = getattr(values, "name", None)
    name = str(name if name is not None else "value" if own is None else own)
    groups = grouped(values, name, len(result.texts))
    known = groups.codes >= 0
    clusters = [*range(len(result)), *([NOISE] if (result.assignments[known] == NOISE).any() else [])]
    counts = pd.crosstab(result.assignments[known], groups.codes[known])
    counts = counts.reindex(index=clusters, columns=range(len(groups.labels)), fill_value=0)
    names = pd.Index([result.names_and_outside[c] for c in clusters], name="cluster")
    counts = counts.set_axis(names).set_axis(pd.Index(groups.labels, name=name), axis=1)
    return Breakdown(
        result.instruction, name, counts, clusters[-1] == NOISE, int((~known).sum()), groups.how, groups.over_time
    )


def _adjusted(p: np.ndarray) -> np.ndarray:
    """Holm's p of each of m tests: the chance that the smallest of m is as small, and so on upwards."""
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    adjusted = np.empty_like(stepped)
    adjusted[order] = stepped
    return adjusted
