"""A corpus on a Ray cluster of three nodes on this machine: the vectors of `encode`, whole, whoever dies meanwhile."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from inbedder_utils import load_encoder
from inbedder_utils.__main__ import app
from inbedder_utils.clustering import ask, fit_lens
from inbedder_utils.data import corpus
from inbedder_utils.scale import encode_dataset, encode_files
from inbedder_utils.scale.files import AskParts, _read
from inbedder_utils.scale.parts import ROWS, PartFolder, find_sources
from inbedder_utils.scale.rows import Asked

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install -e '.[scale]'")
from ray.cluster_utils import Cluster  # noqa: E402

FEELS, NEEDS = "How does the customer feel?", "What does the customer need?"
SECONDS = 120
"""Most that a test waits for something to happen on the cluster."""


def started(start):
    """A node, at the third try at the latest: Ray gives up after 30 seconds, which a busy machine may need."""
    for _ in range(2):
        try:
            return start()
        except Exception as error:
            assert "timed out during startup" in str(error)
    return start()


@pytest.fixture(scope="module")
def cluster():
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="1")
    nodes = started(lambda: Cluster(initialize_head=True, head_node_args={"num_cpus": 0}))
    nodes.extra = [started(lambda: nodes.add_node(num_cpus=1)) for _ in range(2)]
    ray.init(address=nodes.address, log_to_driver=False)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture(scope="module")
def messages():
    return corpus("messages")["text"].tolist()


def slow_encoder(log, seconds=0.5):
    """An encoder without a model, which takes its time, and says in a file in which process and node it is."""

    class Slow:  # made here, so that it is sent by value to processes that don't have the tests
        def encode_many(self, texts, questions):
            with open(log, "a") as file:
                file.write(f"{os.getpid()} {ray.get_runtime_context().get_node_id()}\n")
            time.sleep(seconds)
            lengths = np.array([[len(text), text.count("e")] for text in texts], np.float32)
            return np.stack([lengths + len(question) for question in questions])

        encode = encode_many

        def __repr__(self):
            return "Slow()"

    return Slow()


def write(path, texts, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": pa.array(texts, pa.string()), **columns}), path)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*.parquet")}


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """20 files of 5 texts each, which make 20 parts."""
    folder = tmp_path_factory.mktemp("big")
    for i in range(20):
        write(
            folder / f"{i:02}.parquet", [f"text {i} {j}" + "e" * j for j in range(5)], filler=[os.urandom(40_000)] * 5
        )
    return folder


@pytest.fixture(scope="module")
def undisturbed(cluster, big, tmp_path_factory):
    """What becomes of them without Ray, in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    _, sources = find_sources(big)
    out = PartFolder(folder / "out")
    out.start({}, sources)
    write_parts = AskParts(Asked(slow_encoder(folder / "log", 0), FEELS), out)
    for packed in _read(pa.Table.from_pylist([*map(vars, sources)]), "text", frozenset()):
        write_parts(packed)
    return contents(folder / "out")


def wait_for(happened):
    start = time.monotonic()
    while not (result := happened()):
        assert time.monotonic() - start < SECONDS, "it did not happen"
        time.sleep(0.02)
    return result


def test_the_verb_writes_the_vectors_of_encode_and_says_what_it_left_out(cluster, messages, tmp_path):
    encoder = load_encoder("tiny")
    texts = messages[:50] + [None, "", "  "] + messages[50:60]
    write(tmp_path / "in" / "a.parquet", texts, id=range(len(texts)))
    write(tmp_path / "in" / "empty.parquet", [])
    (tmp_path / "in" / "broken.parquet").write_bytes(b"no Parquet")
    asked = ["encode", f"{tmp_path}/in/*.parquet", "--ask", FEELS, "--ask", NEEDS, "--answers", "--ray", "local"]
    asked += ["--checkpoint", "tiny", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 1, result.output
    assert result.stdout.startswith("60 texts, encoded in ") and "(2 new parts, 0 were there before)" in result.stdout
    row = f"(the first: row 50 of {tmp_path / 'in' / 'a.parquet'})"
    assert f"warning: 3 rows are null, empty or not text {row}, and have no vector\n" in result.stderr
    assert f"warning: {tmp_path / 'in' / 'broken.parquet'} is left out: " in result.stderr
    table = pq.read_table(tmp_path / "out" / "a-00000-of-00001.parquet").to_pandas()
    assert table["id"].tolist() == table["row"].tolist() == list(range(len(texts)))
    there = [i for i, text in enumerate(texts) if text and text.strip()]
    for number, question in enumerate([FEELS, NEEDS], 1):
        expected = encoder.encode([texts[i] for i in there], question)
        vectors = np.stack(table[f"embedding_{number}"].iloc[there])
        assert np.abs(vectors - expected).max() <= 1e-4 * np.abs(expected).max()
        assert table[f"answer_{number}"].iloc[there].tolist() == encoder.answer([texts[i] for i in there], question)
        assert table[f"embedding_{number}"].isna().sum() == table[f"answer_{number}"].isna().sum() == 3
    assert not len(pq.read_table(tmp_path / "out" / "empty-00000-of-00001.parquet"))
    (tmp_path / "in" / "broken.parquet").unlink()
    again = CliRunner().invoke(app, asked)
    assert again.exit_code == 0 and again.stdout.startswith("nothing was left to do: 2 parts were in ")


@pytest.mark.slow
def test_a_dataset_gets_vectors_clusters_and_what_a_lens_sees(cluster, messages):
    encoder = load_encoder("tiny")
    options = ask(encoder, messages, FEELS, options=["angry", "happy"])
    lens = fit_lens(encoder, messages, encoder.encode(messages, FEELS), FEELS)
    rows = [{"id": i, "text": text, "embedding": "a column of theirs"} for i, text in enumerate([*messages, None])]
    dataset = encode_dataset(ray.data.from_items(rows), "tiny", FEELS, clusters=options, lens=lens)
    table = dataset.to_pandas().sort_values("id", ignore_index=True)
    assert table.iloc[-1][["embedding", "cluster", "membership", "lens"]].isna().all()
    table = table.iloc[:-1]
    np.testing.assert_allclose(np.stack(table["embedding"]), encoder.encode(messages, FEELS), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.stack(table["lens"]), lens.apply(np.stack(table["embedding"])), rtol=1e-4, atol=1e-5)
    assert table["cluster"].tolist() == options.to_frame()["name"].tolist()
    assert set(table["embedding (input)"]) == {"a column of theirs"}


def test_a_killed_worker_loses_nothing(cluster, big, undisturbed, tmp_path):
    log = tmp_path / "log"
    found = []
    run = threading.Thread(target=lambda: found.append(encode_files(big, tmp_path / "out", slow_encoder(log), FEELS)))
    run.start()
    wait_for(lambda: len(contents(tmp_path / "out")) >= 2)
    killed = processes(log)
    for process in killed:
        os.kill(process, signal.SIGKILL)
    run.join(SECONDS)
    assert found and (found[0].n_texts, found[0].n_parts) == (100, 20) and contents(tmp_path / "out") == undisturbed
    assert processes(log) - killed, "others took over"


def processes(log):
    """Those in which texts were encoded."""
    return {int(line.split()[0]) for line in log.read_text().splitlines()}


def test_a_removed_node_loses_nothing(cluster, big, undisturbed, tmp_path):
    found, log = [], tmp_path / "log"
    run = threading.Thread(target=lambda: found.append(encode_files(big, tmp_path / "out", slow_encoder(log), FEELS)))
    run.start()
    wait_for(lambda: len(contents(tmp_path / "out")) >= 2)
    used = log.read_text().split()
    node = next(node for node in cluster.extra if node.node_id in used)
    cluster.extra.remove(node)
    cluster.remove_node(node, allow_graceful=False)
    run.join(SECONDS)
    assert found and found[0].n_texts == 100 and contents(tmp_path / "out") == undisturbed
    cluster.extra.append(started(lambda: cluster.add_node(num_cpus=1)))


DRIVER = """
import sys
import ray
sys.path.insert(0, sys.argv[5])
import test_cluster
ray.cloudpickle.register_pickle_by_value(test_cluster)
from inbedder_utils.scale import encode_files
ray.init(address=sys.argv[1], log_to_driver=False)
encode_files(sys.argv[2], sys.argv[3], test_cluster.slow_encoder(sys.argv[4]), test_cluster.FEELS)
"""


def test_a_killed_driver_keeps_what_is_done_and_a_rerun_does_the_rest_only(cluster, big, undisturbed, tmp_path):
    given = [cluster.address, big, tmp_path / "out", tmp_path / "log", os.path.dirname(__file__)]
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, *map(str, given)], stderr=subprocess.DEVNULL)
    wait_for(lambda: len(contents(tmp_path / "out")) >= 2)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    wait_for(lambda: len(alive(tmp_path / "log")) == 0)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    assert 2 <= len(before) < 20
    encoded = encode_files(big, tmp_path / "out", slow_encoder(tmp_path / "log", 0), FEELS)
    assert (encoded.n_before, encoded.n_parts) == (len(before), 20 - len(before))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert contents(tmp_path / "out") == undisturbed
    again = encode_files(big, tmp_path / "out", slow_encoder(tmp_path / "log", 0), FEELS)
    assert (again.n_before, again.n_parts) == (20, 0)


def alive(log):
    """Processes of workers that are still there: Ray stops those of a driver that is gone."""
    found = set()
    for pid in processes(log):
        with suppress(ProcessLookupError):
            os.kill(pid, 0)
            found.add(pid)
    return found


def test_errors_of_workers_arrive_as_they_are(cluster, big, tmp_path):
    with pytest.raises(OSError, match="'no-such-checkpoint' is not a known checkpoint or folder"):
        encode_files(big, tmp_path / "out", "no-such-checkpoint", FEELS, local_files_only=True)


@pytest.mark.slow
def test_small_files_of_any_number_and_one_row_group_of_any_size(cluster, tmp_path):
    for i in range(300):
        write(tmp_path / "in" / f"{i:03}.parquet", [f"small {i}"])
    write(tmp_path / "in" / "large.parquet", [f"large {i}" for i in range(5 * ROWS)])
    encoded = encode_files(tmp_path / "in", tmp_path / "out", slow_encoder(tmp_path / "log", 0), FEELS)
    assert (encoded.n_texts, encoded.n_parts) == (300 + 5 * ROWS, 305)
    large = [pq.read_table(path) for path in sorted((tmp_path / "out").glob("large-*"))]
    assert [row for table in large for row in table["row"].to_pylist()] == list(range(5 * ROWS))
