"""The explorer in JupyterLab, in a real browser: from a cell to a text on the map, parts of a cluster, and options.

It needs Node, the package playwright-core where Node finds it (such as a folder in NODE_PATH), and Chromium or Chrome,
on the PATH or named by CHROMIUM.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import pytest
from conftest import ROOT

CODE = """\
from inbedder_utils import load_encoder
from inbedder_utils.data.own_sets import corpus
from inbedder_utils.clustering.explorer import explore
texts = {domain: corpus(domain)["text"][:60].tolist() for domain in ("messages", "reviews")}
explore(load_encoder("tiny"), texts, "What does the customer need?")
"""
QUESTION, OPTIONS = "How does the customer feel?", "angry; grateful; worried"


@pytest.fixture
def browser():
    """The environment to run Node in, with the browser in CHROMIUM."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("needs Chromium or Chrome, on the PATH or named by CHROMIUM")
    if shutil.which("node") is None:
        pytest.skip("needs Node on the PATH")
    found = subprocess.run(
        ["node", "-e", "require('playwright-core')"], cwd=Path(__file__).parent, capture_output=True, check=False
    )
    if found.returncode:
        pytest.skip("needs the package playwright-core where Node finds it: npm install playwright-core, and NODE_PATH")
    return os.environ | {"CHROMIUM": chromium}


@pytest.fixture
def lab(tmp_path):
    """The address of the notebook in a JupyterLab of its own."""
    cells = [nbformat.v4.new_code_cell(CODE)]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "explorer.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "--ServerApp.port": port,
        "--ServerApp.root_dir": tmp_path,
        "--IdentityProvider.token": "",
        "--LabApp.user_settings_dir": tmp_path / "settings",
        "--LabApp.workspaces_dir": tmp_path / "workspaces",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with (tmp_path / "lab.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, *(f"{name}={value}" for name, value in options.items())],
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        _wait(f"http://127.0.0.1:{port}/api", server, tmp_path / "lab.log")
        yield f"http://127.0.0.1:{port}/lab/tree/explorer.ipynb?reset"
    finally:
        server.terminate()
        server.wait(30)


def _wait(address: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(240):
        if server.poll() is not None:
            break
        try:
            urlopen(address, timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@pytest.mark.slow
def test_texts_are_read_on_the_map_which_questions_parts_and_options_draw_anew(browser, lab, tmp_path):
    script = Path(__file__).with_name("explorer.mjs")
    done = subprocess.run(
        ["node", script, lab, tmp_path, QUESTION, OPTIONS], env=browser, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert QUESTION in done.stdout and "answer:" in done.stdout and "Traceback" not in done.stdout
    assert "not pointed at: true" in done.stdout and "\npointed at: true" in done.stdout
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines() if line.startswith(("clicked: ", "read: ")))
    assert said["clicked"].replace("\xa0", " ").startswith(said["read"])  # a list has spaces that do not break
    assert "at the top: true" in done.stdout and "up again: true" in done.stdout
    assert re.search(rf"^split: messages > .+: \d+ texts in \d+ clusters: {re.escape(QUESTION)}", done.stdout, re.M)
    assert f"sorted: messages: 60 texts in 3 options: {QUESTION}" in done.stdout
    rows = re.findall(r"^row: (\w+)\s+(\d+)\s+(\d+)%", done.stdout, re.M)
    assert [name for name, *_ in rows] == [*OPTIONS.split("; "), "other"]
    assert sum(int(texts) for _, texts, _ in rows) == 60
    assert re.search(r"^belongs: .*\w+ \d+%, \w+ \d+%$", done.stdout, re.M)
    names = ("before", "pointed", "after", "split", "options")
    assert len({(tmp_path / f"{name}.png").read_bytes() for name in names}) == len(names)
