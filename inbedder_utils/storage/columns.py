"""Columns of ours beside those of somebody's table."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from inbedder_utils.checks import clean


def ids_first(
    own: pd.DataFrame, others: pd.DataFrame | None, places: Sequence[int] | None = None, taken: Iterable[str] = ()
) -> pd.DataFrame:
    """Put n rows of ours beside the rows of another table that they are about: all, or those at `places`, from 0 on.

    Columns of the other table whose cells are all there and different, such as ids, come first; then ours, empty in
    other rows; then the rest. A column called like one of ours, or like one `taken`, is renamed. Lone surrogates, which
    no file can hold, become U+FFFD.
    """
    if others is not None:
        own = own.set_axis(range(len(own)) if places is None else list(places)).reindex(range(len(others)))
        reserved = {*own, *taken}
        others = others.reset_index(drop=True).rename(
            columns=lambda name: f"{name} (input)" if name in reserved else name
        )
        ids = [name for name in others if others[name].notna().all() and others[name].map(str).is_unique]
        own = pd.concat([others[ids], own, others.drop(columns=ids)], axis=1)
    return own.map(lambda cell: clean(cell) if isinstance(cell, str) else cell).rename(columns=clean)


def arrow_column(values: Any, places: Sequence[int] | None = None, n: int | None = None) -> pa.Array:
    """A column of n rows for Parquet: values, those of an array (m, d) as lists of d, at m places; empty elsewhere."""
    if isinstance(values, np.ndarray) and values.ndim == 2:
        column = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    else:
        column = pa.array(values, from_pandas=True)
    if places is None or len(places) == n == len(column):
        return column
    rows = np.full(n, -1)
    rows[places] = np.arange(len(places))
    return column.take(pa.array(rows, mask=rows < 0))
