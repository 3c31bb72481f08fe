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

PARITY = ROOT / "tests" / "parity" / "roberta"
NAME = "KomeijiForce/inbedder-roberta-large"
SCRIPT = """
import sys, json
from inbedder_utils import load_encoder
encoder = load_encoder(sys.argv[1], local_files_only=True, max_length=64)
vectors = encoder.encode(["The parcel never came."], "How does the customer feel?")
print(json.dumps([encoder.checkpoint.prompt, encoder.checkpoint.revision, float(vectors.mean()), vectors.shape]))
"""


def run(name: str, cache: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"HF_HUB_CACHE": str(cache), "HF_HOME": str(cache)}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, name], env=environment, cwd=PARITY.parents[2], capture_output=True, text=True
    )


def cached(cache: Path, name: str, commit: str) -> None:
    """Put a checkpoint into a hub cache, as a download of that commit would."""
    repository = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(PARITY, repository / "snapshots" / commit, ignore=shutil.ignore_patterns("cases*", "expected*"))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit, encoding="utf-8")


def test_the_pinned_commit_is_loaded_with_its_registered_settings(tmp_path):
    cached(tmp_path, NAME, REGISTRY[NAME].revision)
    done = run(NAME, tmp_path)
    assert done.returncode == 0, done.stderr
    prompt, revision, mean, shape = json.loads(done.stdout)
    assert prompt == REGISTRY[NAME].prompt and revision == REGISTRY[NAME].revision
    assert mean == pytest.approx(0, abs=1e-6) and shape == [1, 32]  # standardized


def test_another_commit_does_not_stand_in_for_the_pinned_one(tmp_path):
    cached(tmp_path, NAME, "0" * 40)
    done = run(NAME, tmp_path)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("OSError") and "Without a network" in last


def test_an_unregistered_id_is_inferred_from_its_config(tmp_path):
    cached(tmp_path, "somebody/some-roberta", "1" * 40)
    done = run("somebody/some-roberta", tmp_path)
    assert done.returncode == 0, done.stderr
    prompt, revision, _, _ = json.loads(done.stdout)
    assert prompt.startswith("### Input:") and revision is None
