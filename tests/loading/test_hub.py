"""Registered hub ids load at their pinned commit, from a cache laid out as the hub's own client lays it out."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from inbedder_utils.registry import REGISTRY

PINNED, OUTDATED, UNKNOWN = "KomeijiForce/inbedder-roberta-large", "facebook/opt-350m", "somebody/some-roberta"
SCRIPT = """
import json, sys
from inbedder_utils import load_encoder
for name in sys.argv[1:]:
    try:
        encoder = load_encoder(name, local_files_only=True, max_length=64)
    except OSError as error:
        print(json.dumps(str(error)))
        continue
    vectors = encoder.encode(["The parcel never came."], "How does the customer feel?")
    print(json.dumps([encoder.checkpoint.prompt, encoder.checkpoint.revision, float(vectors.mean()), vectors.shape]))
"""


def cached(cache: Path, name: str, model: str, commit: str) -> None:
    """Put a checkpoint into a hub cache, as a download of that commit would."""
    repository = cache / f"models--{name.replace('/', '--')}"
    unlike_the_hub = shutil.ignore_patterns("cases*", "expected*")
    shutil.copytree(ROOT / "tests" / "parity" / model, repository / "snapshots" / commit, ignore=unlike_the_hub)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit, encoding="utf-8")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """name -> what a process that has never seen the network finds in the cache."""
    cache = tmp_path_factory.mktemp("cache")
    cached(cache, PINNED, "roberta", REGISTRY[PINNED].revision)
    cached(cache, OUTDATED, "opt", "0" * 40)
    cached(cache, UNKNOWN, "roberta", "1" * 40)
    command = [sys.executable, "-c", SCRIPT, PINNED, OUTDATED, UNKNOWN]
    environment = os.environ | {"HF_HUB_CACHE": str(cache), "HF_HOME": str(cache)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(zip((PINNED, OUTDATED, UNKNOWN), map(json.loads, done.stdout.splitlines()), strict=True))


def test_the_pinned_commit_is_loaded_with_its_registered_settings(loaded):
    prompt, revision, mean, shape = loaded[PINNED]
    assert prompt == REGISTRY[PINNED].prompt and revision == REGISTRY[PINNED].revision
    assert mean == pytest.approx(0, abs=1e-6) and shape == [1, 32]  # standardized


def test_another_commit_does_not_stand_in_for_the_pinned_one(loaded):
    assert OUTDATED in loaded[OUTDATED] and "Without a network" in loaded[OUTDATED]


def test_an_unregistered_id_is_inferred_from_its_config(loaded):
    prompt, revision, _, _ = loaded[UNKNOWN]
    assert prompt.startswith("### Input:") and revision is None
