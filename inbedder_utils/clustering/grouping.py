"""The values of a column in a few groups: dates by period, numbers in ranges, of all others the most frequent."""

import re
import warnings
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.tseries.api import guess_datetime_format

from inbedder_utils.checks import checked_labels, clean, short

MOST_VALUES = 12
"""Different values that are kept as they are; of more, texts are gathered in "(others)" and numbers in ranges."""
MOST_RANGES, MOST_PERIODS = 5, 24
SHARE_OF_IDS = 0.9
"""Different values per text above which a column is one of ids."""
OTHERS = "(others)"
PERIODS = {"D": "day", "W": "week, named after its Monday", "M": "month", "Q": "quarter", "Y": "year"}
YEAR = re.compile(r"(?<!\d)(1[5-9]|2[01])\d\d(?!\d)")
OFFSET = re.compile(r"(?<=:\d\d)(\.\d+)?\s?(Z|UTC|[+-]\d\d:?\d\d)$")
"""A time zone behind a time."""
MORE_FORMATS = ("%B %Y", "%b %Y", "%a %b %d %H:%M:%S %z %Y")
"""Of dates, that pandas can't guess: March 2024, Mar 2024, and what tweets have."""


class Groups(NamedTuple):
    """Values in groups.

    Attributes:
        labels: of the v groups, in order.
        codes: (n,) group of each value, from 0 on; -1 where it is missing.
        how: what was grouped, in words; empty if nothing was.
        over_time: whether the groups are periods, one after the other.
    """

    labels: list[str]
    codes: np.ndarray
    how: str = ""
    over_time: bool = False


def grouped(values: Iterable[Any], name: str, n: int) -> Groups:
    """Put the n values of a column in groups.

    Numbers and dates stay in their order, other values go by frequency. More than 12 different numbers become at most 5
    ranges that hold about the same number of texts, and of other values the 11 most frequent are kept. Dates, which
    must have a year of four digits, are put in the shortest periods (day, week, month, quarter, year) of which there
    are at most 24, those without a text included; a time zone is left out, so that it is the day where it was written.

    Args:
        values: strings, numbers, dates or whatever has a str; None or NaN where one is missing.
        name: of the column, for errors.
        n: how many texts there are.

    Raises:
        TypeError: if it is not a list of values.
        ValueError: if there are not n, if all are missing, or if nearly all differ, as ids do (dates, and numbers with
            decimals, may).
    """
    strings = checked_labels(values, n, what=f"values of {name!r}")
    present = np.array([string is not None for string in strings])
    known = pd.Series([clean(string) for string in strings if string is not None], dtype=object)
    numbers = pd.to_numeric(known, errors="coerce").astype(float)
    coded = known.str.fullmatch(r"0\d+").any()  # as postcodes are, whose zeros count
    are_numbers = bool(np.isfinite(numbers).all()) and not coded
    dates = None if are_numbers else _dates(known)
    if dates is not None:
        labels, codes, *rest = _periods(*dates)
    else:
        if known.nunique() > max(MOST_VALUES, SHARE_OF_IDS * len(known)) and not (are_numbers and (numbers % 1).any()):
            raise ValueError(
                f"{name!r} has {known.nunique():,} different values for {len(known):,} texts (such as "
                f"{short(known[0])}), as ids have: choose a column whose values many texts share, or group them first"
            )
        labels, codes, *rest = _ranges(numbers) if are_numbers else _most_frequent(known)
    spread = np.full(n, -1)
    spread[present] = codes
    return Groups(labels, spread, *rest)


def _dates(strings: pd.Series) -> tuple[pd.Series, str] | None:
    """The days that strings name, and a word on how they were read if they can be read in two ways; None if not all do.

    No format is mixed with another, or 3/2/2024 and 24/2/2024 would be read as March and as February.
    """
    if not all(map(YEAR.search, strings)):
        return None
    strings = strings.str.replace(OFFSET, lambda found: found[1] or "", regex=True)
    with warnings.catch_warnings(action="ignore"):  # that the day is not first, or is
        guesses = [guess_datetime_format(strings[0], dayfirst=day_first) for day_first in (False, True)]
    fitting: dict[str, pd.Series] = {}
    for layout in dict.fromkeys(["ISO8601", *filter(None, guesses), *MORE_FORMATS]):
        dates = pd.to_datetime(strings, format=layout, errors="coerce", utc=True)
        if dates.notna().all():
            fitting[layout] = dates.dt.tz_localize(None).dt.normalize()
        if "ISO8601" in fitting:  # which is never read in two ways
            break
    if not fitting:
        return None
    (layout, dates), *others = fitting.items()
    return dates, f", dates read as {layout}" if any(not dates.equals(other) for _, other in others) else ""


def _periods(dates: pd.Series, reading: str) -> Groups:
    """Days in periods: never shorter ones than were written, such as weeks where all are the first of a month."""
    in_periods = {unit: dates.dt.to_period(unit) for unit in PERIODS}
    starts = {unit: (own.dt.start_time == dates).all() for unit, own in in_periods.items()}
    written = [i for i, unit in enumerate(PERIODS) if starts[unit] and unit != "Q"]
    for unit, own in [*in_periods.items()][written[-1] :]:
        every = pd.period_range(own.min(), own.max(), freq=own.dtype.freq)
        if len(every) <= MOST_PERIODS:
            labels = [str(period.start_time.date() if unit == "W" else period) for period in every]
            return Groups(labels, every.get_indexer(own), f"by {PERIODS[unit]}{reading}", True)
    years = _ranges(dates.dt.year.astype(float))
    return years._replace(how=f"by years in {len(years.labels)} ranges{reading}")


def _ranges(numbers: pd.Series) -> Groups:
    """Numbers as they are if there are few different ones, else in ranges."""
    if numbers.nunique() <= MOST_VALUES:
        different, codes = np.unique(numbers, return_inverse=True)
        return Groups(list(map(_in_digits, different)), codes)
    limits = np.unique(np.quantile(numbers, np.arange(1, MOST_RANGES) / MOST_RANGES))
    _, codes = np.unique(np.searchsorted(limits, numbers), return_inverse=True)
    ends = numbers.groupby(codes).agg(["min", "max"])
    labels = [" to ".join(dict.fromkeys(map(_in_digits, limits))) for limits in ends.to_numpy()]
    return Groups(labels, codes, f"{numbers.nunique():,} different numbers in {len(labels)} ranges")


def _in_digits(number: float) -> str:
    return f"{number:.6g}" if number % 1 else f"{number:.0f}"


def _most_frequent(strings: pd.Series) -> Groups:
    """Values by frequency, the rarest of too many together."""
    counts = Counter(strings)
    kept = [value for value, _ in counts.most_common(MOST_VALUES - (len(counts) > MOST_VALUES))]
    places = {value: i for i, value in enumerate(kept)}
    codes = np.array([places.get(value, len(kept)) for value in strings])
    if len(counts) == len(kept):
        return Groups(kept, codes)
    return Groups([*kept, OTHERS], codes, f"the {len(kept)} most frequent of {len(counts):,} values, and the others")
