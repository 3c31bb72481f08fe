"""Shared by all tests: no network, where things are, and the small encoder."""

import os

# Set before anything imports the Hugging Face libraries, which read them on import.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # models are small, and other tests run on the other cores

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "inbedder_utils"
NOTEBOOKS = ROOT / "notebooks"
FIGURES = ROOT / "figures"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none; torch is imported only if such a test was collected."""
    marked = [item for item in items if "gpu" in item.keywords]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def tiny_encoder():
    """The bundled causal model, loaded once for all tests: do not change it."""
    from inbedder_utils import load_encoder

    return load_encoder("tiny", device="cpu")


@pytest.fixture(scope="session")
def mini_encoder():
    """The bundled masked model, which `load_encoder()` loads: do not change it."""
    from inbedder_utils import load_encoder

    return load_encoder(device="cpu")


@pytest.fixture(scope="session")
def felt(mini_encoder):
    """The shipped messages, asked how the customer feels, in five clusters, with labels: do not change it."""
    from inbedder_utils.clustering import ask
    from inbedder_utils.data.own_sets import corpus

    table = corpus("messages")
    return ask(mini_encoder, table["text"], "How does the customer feel?", 5, labels=table["feeling"])


@pytest.fixture(scope="session")
def one_server():
    """A server that runs `tiny` (embedding_server.py): ask for `tiny_server`, which does no wrong at first."""
    from embedding_server import EmbeddingServer

    server = EmbeddingServer()
    yield server
    server.close()


@pytest.fixture
def tiny_server(one_server):
    """A server that runs `tiny`, and fails on demand."""
    one_server.behave()
    yield one_server
    one_server.let_go.set()


@pytest.fixture
def ax():
    """Empty axes in the style of all figures."""
    import matplotlib.pyplot as plt

    from inbedder_utils.plots import use_style

    use_style()
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory):
    """name -> folder of a small random checkpoint (small_models.py), built when first asked for: do not change it."""
    from functools import cache

    from small_models import build

    return cache(lambda name: build(name, tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="session")
def encoder_of(folder_of):
    """(name, settings of load_encoder) -> encoder on the CPU, loaded once for all tests: do not change it."""
    from functools import cache

    from inbedder_utils import load_encoder

    return cache(lambda name, **settings: load_encoder(folder_of(name), device="cpu", **settings))


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory):
    """A file of questions and answers that every small tokenizer can spell: do not change it."""
    import json

    from small_models import QA_ROWS

    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in QA_ROWS), encoding="utf-8")
    return path
