"""The one way to a data set in the layout of the Hugging Face hub: from there, or from a local copy."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from inbedder_utils.checks import as_path, first_line

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset  # training and evaluation need it, the package does not

PARQUET = "refs/convert/parquet"  # the hub's own copy of a set that a script makes, which `datasets` no longer runs


@dataclass(frozen=True)
class HubSet:
    """A data set on the Hugging Face hub.

    Attributes:
        hub: its id.
        columns: those that are read; or, of a set to train on, what makes (text, question, answer) of a row.
        revision: its commit; None for the newest.
        config: name of the configuration, if it has several.
        split: None for "test", or the first if there is none.
        rows: how many there should be, where that is known.
        licence: as its authors give it, if they do.
    """

    hub: str
    columns: tuple[str, ...] | Callable[[dict[str, Any]], tuple[str, str, str]] = ()
    revision: str | None = None
    config: str | None = None
    split: str | None = None
    rows: int | None = None
    licence: str | None = None


def local_copies() -> Path | None:
    """The folder with copies of public sets, which the environment variable `INBEDDER_DATA` names."""
    named = os.environ.get("INBEDDER_DATA")
    return as_path("folder", named) if named else None


def read_folder(hub_set: HubSet, folder: Path) -> "pd.DataFrame":
    """Read a copy in the hub's layout."""
    # The library would take copies in two folders for one. Windows can't delete files that are still mapped.
    with TemporaryDirectory(ignore_cleanup_errors=True) as kept:
        return _read(hub_set, str(folder), cache_dir=kept).to_pandas()


def read_hub(hub_set: HubSet, what: str, fix: str) -> "Dataset":
    """Read a set from the hub; an OSError, if it can't be had, calls it `what` and ends with the `fix`."""
    try:
        try:
            return _read(hub_set, hub_set.hub, revision=hub_set.revision)
        except RuntimeError:
            if hub_set.revision:
                raise
            return _read(hub_set, hub_set.hub, revision=PARQUET)
    except (OSError, ValueError, RuntimeError) as error:
        raise OSError(f"{what} can't be loaded from the hub ({first_line(error)}){fix}") from error


def _read(hub_set: HubSet, source: str, **where: Any) -> "Dataset":
    try:
        import datasets
    except ImportError as error:
        raise ImportError(f"to load {hub_set.hub}: pip install datasets") from error
    splits = datasets.load_dataset(source, hub_set.config, split=hub_set.split, **where)
    if hub_set.split:
        return splits
    return splits["test"] if "test" in splits else next(iter(splits.values()))
