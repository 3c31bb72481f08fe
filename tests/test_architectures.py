"""Every architecture of the table is right, or refused in our words."""

import subprocess
import sys

import pytest
from conftest import ROOT

CONFIGS = ROOT.parent / "shared"


@pytest.mark.slow
def test_every_architecture_is_right_or_refused():
    if not (CONFIGS / "architectures").is_dir():
        pytest.skip(f"the configs are not on this machine (looked for {CONFIGS / 'architectures'})")
    command = [sys.executable, str(ROOT / "scripts" / "architectures.py"), str(CONFIGS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if "WRONG" in line] == []
    assert [
        line for line in lines if "Error: " in line and not line.split(": ", 1)[0].endswith(("ValueError", "TypeError"))
    ] == []
    assert sum(" right " in line for line in lines) >= 130
