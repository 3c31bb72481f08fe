"""Many wordings of one question: right, implicit and wrong ones, for the test of robustness (paper, section 4.3)."""

import ast
import json
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from inbedder_utils.checks import as_path, one_of, string
from inbedder_utils.data.own_sets import DATA
from inbedder_utils.evaluation.tasks import CLUSTERING_INSTRUCTIONS

INSTRUCTION_KINDS = ("correct", "implicit", "incorrect")
AUTHORS_URL = "https://raw.githubusercontent.com/zhang-yu-wei/InBedder/bf1cb9bae8e28fb2e3e999d2a733519441ce7367"
AUTHORS_FILES = {"NYTClustering-topic": "NYTTopicClustering"}
AUTHORS_FILES |= {name: f"{name}Clustering" for name in CLUSTERING_INSTRUCTIONS}
"""Data set, and the authors' file with its instructions."""


def instruction_lists(data: str, file: str | Path | None = None) -> dict[str, list[str]]:
    """Instructions for a clustering set: {"correct": [...], "implicit": [...], "incorrect": [...]}.

    Args:
        data: name of the set: one of our own ("clustering/messages_need", ...), whose instructions ship, or one of
            `AUTHORS_FILES`, whose are fetched from the authors' repository.
        file: a JSON file to read them from instead, by name of the set.

    Raises:
        ValueError: for an unknown set, or a file without lists for it.
        OSError: if the file can't be read, or the authors' repository can't be reached.
    """
    own = string("data", data).removeprefix("clustering/")
    if file is not None:
        return _from_json(as_path("file", file), data)
    if own != data:
        return _from_json(DATA / "instructions.json", own)
    file_name = AUTHORS_FILES[one_of("data set", data, AUTHORS_FILES)]
    url = f"{AUTHORS_URL}/mteb/tasks/Clustering/{file_name}.py"
    try:
        with urlopen(url, timeout=30) as page:
            return _from_source(page.read().decode("utf-8"))
    except URLError as error:
        raise OSError(
            f"the paper's instructions can't be fetched from {url} ({error.reason}): without a network, "
            f"pass a JSON file with instructions (--instructions FILE)"
        ) from error


def _from_json(path: Path, data: str) -> dict[str, list[str]]:
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON in UTF-8 ({error})") from error
    except OSError as error:
        raise OSError(f"{path} can't be read ({error.strerror}): pass a JSON file with instructions") from error
    by_kind = lists.get(data) if isinstance(lists, dict) else None
    shape = f'{{"{data}": {{"correct": [...], "implicit": [...], "incorrect": [...]}}}}'
    if not isinstance(by_kind, dict) or sorted(by_kind) != sorted(INSTRUCTION_KINDS):
        raise ValueError(f"{path} has no instructions for {data}: expected {shape}")
    for kind, wordings in by_kind.items():
        if not (isinstance(wordings, list) and wordings and all(isinstance(q, str) and q.strip() for q in wordings)):
            raise ValueError(f"{path}: {kind} instructions of {data} must be a list of strings, none empty")
    return {kind: by_kind[kind] for kind in INSTRUCTION_KINDS}


def _from_source(source: str) -> dict[str, list[str]]:
    """The three lists in a Python file of the authors, which is read but not run."""
    lists = {
        key.value.removesuffix("_instructions"): ast.literal_eval(value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value in {f"{kind}_instructions" for kind in INSTRUCTION_KINDS}
    }
    if sorted(lists) != sorted(INSTRUCTION_KINDS):
        raise ValueError(f"expected correct, implicit and incorrect instructions, found {', '.join(lists) or 'none'}")
    return {kind: lists[kind] for kind in INSTRUCTION_KINDS}
