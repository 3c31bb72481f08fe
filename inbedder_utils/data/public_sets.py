"""What is evaluated on: small hand-written sets that ship with the package, and the paper's public sets."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from inbedder_utils.checks import as_path, first_line, one_of

if TYPE_CHECKING:
    import pandas as pd

DATA = Path(__file__).parent
QUESTIONS = {
    "messages": {"need": "What does the customer need?", "feeling": "How does the customer feel?"},
    "news": {"topic": "What is the topic of the news?", "place": "Where did the news happen?"},
    "reviews": {
        "product": "What product or place is reviewed?",
        "liking": "Does the reviewer like it?",
        "aspect": "Which aspect is the review about?",
    },
}
"""Domain, its labels, and the question that each label answers."""

TRIPLET, PAIR, CLUSTER = (
    ("anchor", "positive", "negative"),
    ("sentence1", "sentence2", "instruction", "score"),
    ("text", "cluster"),
)
ENDINGS = (".jsonl", ".jsonl.gz", ".parquet")


@dataclass(frozen=True)
class PublicSet:
    """One of the paper's sets on the Hugging Face hub, at the commit that was evaluated.

    Attributes:
        hub: id of the data set.
        revision: its commit.
        columns: those that are read.
        config: name of the configuration, if it has several.
        rows: how many there should be, where that is known.
    """

    hub: str
    revision: str
    columns: tuple[str, ...]
    config: str | None = None
    rows: int | None = None


def _paper(name: str, *details: Any, **more: Any) -> PublicSet:
    return PublicSet(f"BrandonZYW/{name}", *details, **more)


INTENT_EMOTION = "d0101c15083166b77371cf542c4045decc0a6e92"
NYT = "462fb544c8993a0421fd969a7a0f19f1fbd975bf"
PUBLIC_SETS = {
    "IntentEmotion-emotion": _paper("IntentEmotion", INTENT_EMOTION, TRIPLET, "emotion"),
    "IntentEmotion-intent": _paper("IntentEmotion", INTENT_EMOTION, TRIPLET, "intent"),
    "InstructSTSB": _paper("InstructSTSB", "34dda81eca082ba6b3a259899fe9ae435b6ea1ae", PAIR),
    "NYTClustering-topic": _paper("NYTClustering", NYT, CLUSTER, "topic"),
    "NYTClustering-location": _paper("NYTClustering", NYT, CLUSTER, "location"),
    "RateMyProf": _paper("RateMyProfClustering", "253b8501d191f7c3d3aff3bc27c6d7f7112589ba", CLUSTER, rows=2296),
    "Feedbacks": _paper("FeedbacksClustering", "365ef3e171ad4dab887b08495b10940a1aecb04b", CLUSTER),
    "FewRel": _paper("FewRelClustering", "d951bf6cb10522c042bf8db3a837028b7e69388f", CLUSTER),
    "FewNerd": _paper("FewNerdClustering", "9dff096e4ca4dd38688236fa1d4e4c17cb547e66", CLUSTER),
    "FewEvent": _paper("FewEventClustering", "aecc9c3ad7ae8d05b8621390d1919f1816eab777", CLUSTER),
}
"""The paper's evaluation sets by name (https://huggingface.co/BrandonZYW)."""


def small_sets() -> list[str]:
    """Names that `small_set` takes."""
    files = [path.relative_to(DATA).with_suffix("").as_posix() for path in DATA.glob("**/*.jsonl")]
    return sorted(files)


def small_set(name: str) -> "pd.DataFrame":
    """Read one hand-written set.

    Args:
        name: "clustering/DOMAIN_LABEL" has columns text, cluster (as NYTClustering); "triplets/DOMAIN_LABEL" has
            anchor, positive, negative (as IntentEmotion): the positive shares only that label with the anchor, the
            negative all the others; "pairs" has sentence1, sentence2, instruction, score (as InstructSTSB).

    Returns:
        One row per example.

    Raises:
        ValueError: for an unknown name.
    """
    import pandas as pd

    return pd.read_json(DATA / f"{one_of('small set', name, small_sets())}.jsonl", lines=True)


def corpus(domain: str) -> "pd.DataFrame":
    """The texts of one domain with all their labels.

    Args:
        domain: "messages", "news" or "reviews".

    Returns:
        Column text, and one column per label (see `QUESTIONS`).

    Raises:
        ValueError: for an unknown domain.
    """
    import pandas as pd

    sets = {
        label: small_set(f"clustering/{domain}_{label}") for label in QUESTIONS[one_of("domain", domain, QUESTIONS)]
    }
    texts = next(iter(sets.values()))["text"]
    return pd.DataFrame({"text": texts} | {label: labelled["cluster"] for label, labelled in sets.items()})


def load_set(name: str, folder: str | Path | None = None) -> "pd.DataFrame":
    """Read a set to evaluate on.

    Args:
        name: from `small_sets()` or `PUBLIC_SETS`.
        folder: local copies of public sets, in the hub's layout (`folder/BrandonZYW/RateMyProfClustering/...`) or as
            one file each (`folder/eval/ratemyprof.jsonl`, `.jsonl.gz` or `.parquet`). Left out, it is the folder in
            the environment variable `INBEDDER_DATA`; what is not in it, or no folder, is taken from the hub.

    Returns:
        One row per example, with the set's columns (see `small_set`).

    Raises:
        ValueError: for an unknown name, or a set without its columns, with gaps, or with the wrong number of rows.
        OSError: if the folder is not there, or the set is neither in it nor can be had from the hub.
        ImportError: if the set is in the hub's layout and `datasets` is not installed.
    """
    if one_of("data set", name, [*small_sets(), *PUBLIC_SETS]) not in PUBLIC_SETS:
        return small_set(name)
    public = PUBLIC_SETS[name]
    folder = folder or os.environ.get("INBEDDER_DATA")
    where, table = _found(name, public, as_path("folder", folder) if folder else None)
    return _checked(table, where, public)


def local_sets(folder: str | Path) -> list[str]:
    """Names of the public sets that have a copy in a folder (see `load_set`)."""
    folder = as_path("folder", folder)
    return [name for name, public in PUBLIC_SETS.items() if _copy(name, public, folder)]


def _copy(name: str, public: PublicSet, folder: Path) -> Path | None:
    """The file or folder with the local copy of a set."""
    files = [folder / "eval" / f"{name.lower()}{ending}" for ending in ENDINGS]
    return next((path for path in [*files, folder / public.hub] if path.exists()), None)


def _found(name: str, public: PublicSet, folder: Path | None) -> tuple[str, "pd.DataFrame"]:
    """Where a set is, and all of its rows."""
    import pandas as pd

    if folder and not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}: pass one with local copies, or none (and unset INBEDDER_DATA)")
    copy = _copy(name, public, folder) if folder else None
    if copy and copy.is_file():
        read: Callable = pd.read_parquet if copy.suffix == ".parquet" else lambda path: pd.read_json(path, lines=True)
        try:
            return str(copy), read(copy)
        except (OSError, EOFError, ValueError) as error:
            raise ValueError(f"{copy} can't be read ({error}): is it whole? Copy it again") from error
    if copy:
        # The library would take copies in two folders for one. Windows can't delete files that are still mapped.
        with TemporaryDirectory(ignore_cleanup_errors=True) as kept:
            return str(copy), _hub_layout(str(copy), public, cache_dir=kept)
    try:
        return public.hub, _hub_layout(public.hub, public, revision=public.revision)
    except (OSError, ValueError, RuntimeError) as error:
        at = f"{public.hub} --repo-type dataset --revision {public.revision} --local-dir FOLDER/{public.hub}"
        looked = f" and is not in {folder}" if folder else ""
        raise OSError(
            f"{public.hub} can't be loaded from the hub ({first_line(error)}){looked}. "
            f"On a machine with a network: hf download {at}; then set INBEDDER_DATA=FOLDER here"
        ) from error


def _hub_layout(source: str, public: PublicSet, **hub: Any) -> "pd.DataFrame":
    """Read a data set as the hub holds it, from there or from a folder."""
    try:
        import datasets
    except ImportError as error:
        raise ImportError(f"to load {public.hub}: pip install datasets") from error
    splits = datasets.load_dataset(source, public.config, **hub)
    return (splits["test"] if "test" in splits else next(iter(splits.values()))).to_pandas()


def _checked(table: "pd.DataFrame", where: str, public: PublicSet) -> "pd.DataFrame":
    """The set's columns.

    Raises:
        ValueError: if it is not what it should be.
    """
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
