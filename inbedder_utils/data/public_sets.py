"""The paper's public evaluation sets, from the hub or a local copy; the hand-written ones are read by name, too."""

from pathlib import Path

import pandas as pd

from inbedder_utils.checks import as_path, one_of
from inbedder_utils.data.hub import HubSet, local_copies, read_folder, read_hub
from inbedder_utils.data.own_sets import small_set, small_sets

TRIPLET = ("anchor", "positive", "negative")
PAIR = ("sentence1", "sentence2", "instruction", "score")
CLUSTER = ("text", "cluster")
ENDINGS = (".jsonl", ".jsonl.gz", ".parquet")
INTENT_EMOTION = "d0101c15083166b77371cf542c4045decc0a6e92"
NYT = "462fb544c8993a0421fd969a7a0f19f1fbd975bf"
RATE_MY_PROF = "253b8501d191f7c3d3aff3bc27c6d7f7112589ba"
PUBLIC_SETS = {
    "IntentEmotion-emotion": HubSet("BrandonZYW/IntentEmotion", TRIPLET, INTENT_EMOTION, "emotion", licence="MIT"),
    "IntentEmotion-intent": HubSet("BrandonZYW/IntentEmotion", TRIPLET, INTENT_EMOTION, "intent", licence="MIT"),
    "InstructSTSB": HubSet("BrandonZYW/InstructSTSB", PAIR, "34dda81eca082ba6b3a259899fe9ae435b6ea1ae", licence="MIT"),
    "NYTClustering-topic": HubSet("BrandonZYW/NYTClustering", CLUSTER, NYT, "topic"),
    "NYTClustering-location": HubSet("BrandonZYW/NYTClustering", CLUSTER, NYT, "location"),
    "RateMyProf": HubSet("BrandonZYW/RateMyProfClustering", CLUSTER, RATE_MY_PROF, rows=2296),
    "Feedbacks": HubSet("BrandonZYW/FeedbacksClustering", CLUSTER, "365ef3e171ad4dab887b08495b10940a1aecb04b"),
    "FewRel": HubSet("BrandonZYW/FewRelClustering", CLUSTER, "d951bf6cb10522c042bf8db3a837028b7e69388f"),
    "FewNerd": HubSet("BrandonZYW/FewNerdClustering", CLUSTER, "9dff096e4ca4dd38688236fa1d4e4c17cb547e66"),
    "FewEvent": HubSet(
        "BrandonZYW/FewEventClustering", CLUSTER, "aecc9c3ad7ae8d05b8621390d1919f1816eab777", licence="MIT"
    ),
}
"""The paper's evaluation sets by name, each at the commit that was evaluated (https://huggingface.co/BrandonZYW)."""


def load_set(name: str, folder: str | Path | None = None) -> pd.DataFrame:
    """Read a set to evaluate on.

    Args:
        name: from `inbedder_utils.data.own_sets.small_sets()` or `PUBLIC_SETS`.
        folder: local copies of public sets, in the hub's layout (`folder/BrandonZYW/RateMyProfClustering/...`) or as
            one file each (`folder/eval/ratemyprof.jsonl`, `.jsonl.gz` or `.parquet`). Left out, it is the folder in
            the environment variable `INBEDDER_DATA`; what is not in it, or no folder, is taken from the hub.

    Returns:
        One row per example, with the set's columns (see `inbedder_utils.data.own_sets.small_set`).

    Raises:
        ValueError: for an unknown name, or a set without its columns, with gaps, or with the wrong number of rows.
        OSError: if the folder is not there, or the set is neither in it nor can be had from the hub.
        ImportError: if the set is in the hub's layout and `datasets` is not installed.
    """
    if one_of("data set", name, [*small_sets(), *PUBLIC_SETS]) not in PUBLIC_SETS:
        return small_set(name)
    folder = as_path("folder", folder) if folder else local_copies()
    if folder and not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}: pass one with local copies, or none (and unset INBEDDER_DATA)")
    public, copy = PUBLIC_SETS[name], _local_copy(name, folder) if folder else None
    if copy is None:
        return _checked(_from_hub(public, folder), public.hub, public)
    return _checked(_from_file(copy) if copy.is_file() else read_folder(public, copy), str(copy), public)


def local_sets(folder: str | Path) -> list[str]:
    """Names of the public sets that have a copy in a folder (see `load_set`)."""
    folder = as_path("folder", folder)
    return [name for name in PUBLIC_SETS if _local_copy(name, folder)]


def _local_copy(name: str, folder: Path) -> Path | None:
    """The file or folder with the local copy of a set."""
    files = [folder / "eval" / f"{name.lower()}{ending}" for ending in ENDINGS]
    return next((path for path in [*files, folder / PUBLIC_SETS[name].hub] if path.exists()), None)


def _from_file(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_json(file, lines=True)
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{file} can't be read ({error}): is it whole? Copy it again") from error


def _from_hub(public: HubSet, folder: Path | None) -> pd.DataFrame:
    download = f"{public.hub} --repo-type dataset --revision {public.revision} --local-dir FOLDER/{public.hub}"
    looked = f" and is not in {folder}" if folder else ""
    fix = f"{looked}. On a machine with a network: hf download {download}; then set INBEDDER_DATA=FOLDER here"
    return read_hub(public, public.hub, fix).to_pandas()


def _checked(table: pd.DataFrame, where: str, public: HubSet) -> pd.DataFrame:
    """The set's columns; ValueError if it is not what it should be."""
    missing = [column for column in public.columns if column not in table]
    if missing:
        raise ValueError(
            f"{where} has no column {', '.join(missing)}: expected {', '.join(public.columns)}, found "
            f"{', '.join(map(str, table.columns))}. Is it {public.hub}{f', {public.config}' * bool(public.config)}?"
        )
    table = table[list(public.columns)]
    gaps = table.isna() | table.apply(lambda column: column.astype(str).str.strip() == "")
    if table.empty:
        raise ValueError(f"{where} has no rows: copy it again")
    if gaps.any(axis=None):
        raise ValueError(f"{where} has a gap in row {gaps.any(axis=1).argmax() + 1}: copy it again")
    if public.rows and len(table) != public.rows:
        raise ValueError(f"{where} has {len(table)} rows, expected {public.rows} of {public.hub}: copy it again")
    return table
