"""The bundle for rooms without a network: all that the course needs, usable where it is unpacked."""

import os
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT

PROGRAM = """
from inbedder_utils import load_encoder
print(load_encoder("tiny", device="cpu").encode(["It is late."], "How does the customer feel?").shape)
"""


def test_a_bundle_has_all_that_a_room_without_a_network_needs(tmp_path):
    """Weights and data work where it is unpacked, beside the notebooks and the list of wheels."""
    if not (ROOT / ".git").exists():
        pytest.skip("a bundle is made in a clone, with git")
    subprocess.run([sys.executable, ROOT / "scripts" / "bundle.py"], check=True, timeout=120)
    with zipfile.ZipFile(ROOT / "build" / "inbedder-course.zip") as packed:
        packed.extractall(tmp_path)
    bundle = tmp_path / "inbedder-course"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(bundle), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=bundle, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout == "(1, 256)\n", done.stderr
    assert {path.name for path in ROOT.glob("notebooks/0*.ipynb")} <= {path.name for path in bundle.glob("notebooks/*")}
    wheels = (bundle / "wheels.txt").read_text().splitlines()
    assert any(line.startswith("torch==") for line in wheels) and any(line.startswith("hatchling") for line in wheels)
