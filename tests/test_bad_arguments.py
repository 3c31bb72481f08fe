"""Public functions, called with thousands of values that make no sense: refused in our own words, each time."""

import datetime
import enum
import re
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_models import ASK

from inbedder_utils import load_encoder
from inbedder_utils.checks import short
from inbedder_utils.cli.corpus import read_corpus
from inbedder_utils.cli.shared import _is_ours
from inbedder_utils.cli.tables import check_output, write_vectors
from inbedder_utils.clustering import Clustering
from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.partition import silhouette_curve
from inbedder_utils.clustering.report import check_folder
from inbedder_utils.data.own_sets import corpus, small_set
from inbedder_utils.data.public_sets import load_set, local_sets
from inbedder_utils.data.small_world_sets import generate, questions, triplets
from inbedder_utils.evaluation.measures import pair_correlation, triplet_success, v_measures
from inbedder_utils.evaluation.robustness import instruction_lists
from inbedder_utils.evaluation.run import evaluate, suite_tasks
from inbedder_utils.loading.settings import folder_settings
from inbedder_utils.paper.measured import measured_scores
from inbedder_utils.prompts import Prompt
from inbedder_utils.registry import Checkpoint
from inbedder_utils.storage.cache_folder import list_caches
from inbedder_utils.tokens import PromptTokenizer
from inbedder_utils.training.presets import preset_for
from inbedder_utils.training.run import train


class Pooling(enum.Enum):
    FIRST = "fst_gen"


def values() -> list[Any]:
    """What people pass by mistake, and what nobody would; new ones each time, for some can be read only once."""
    return [
        *(None, True, np.True_, -1, 0, 2.5, float("nan"), float("inf"), 10**30, 1j, Decimal("NaN"), Fraction(1, 2)),
        *("", " ", "nonsense", "\ud800", "a\0b", "x" * 5_000, "~nobody-has-this-name/x", b"bytes", bytearray(b"x")),
        *((), [], [1], [None], ["nonsense"], [["a"]], ["a", float("nan")], {}, {"a": 1}, set(), {"a"}, range(3)),
        *(np.float32(2.5), np.int64(-1), np.array(2.5), np.arange(3), np.zeros((2, 2)), np.array(["a"])),
        *(np.array([np.nan]), np.zeros(0), np.zeros((1, 2, 3)), np.array([None, "a"], dtype=object)),
        *(pd.NA, pd.NaT, pd.Series([1.5, None]), pd.Series(["a", "b"]), pd.DataFrame({"text": ["a"]})),
        *(torch.tensor(2.5), torch.tensor(True), torch.zeros(2), torch.zeros(2, device="meta"), torch.device("meta")),
        *(Path("/no/such/place"), Path("."), object(), int, len, (x for x in [1, None]), ..., NotImplemented),
        *(datetime.date(2020, 1, 1), Pooling.FIRST, memoryview(b"x"), re.compile("x"), ValueError("x"), slice(1)),
    ]


Fine = Callable[[Any], bool]


def nothing(value: Any) -> bool:
    return False


def left_out(value: Any) -> bool:
    return value is None


def whole(at_least: int, *, optional: bool = False) -> Fine:
    def fine(value: Any) -> bool:
        number = isinstance(value, int | np.integer) and not isinstance(value, bool)
        return number and value >= at_least or optional and value is None

    return fine


def seed_list(value: Any) -> bool:
    return (
        isinstance(value, list | tuple | range | np.ndarray)
        and np.ndim(value) == 1
        and len(value) > 0
        and all(map(SEED, value))
    )


def wording(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def default_or(value: Any) -> bool:
    return value is None or isinstance(value, str) and value == ""


def texts(value: Any) -> bool:
    many = isinstance(value, list | tuple | np.ndarray | pd.Series) and np.ndim(value) == 1
    return many and all(isinstance(entry, str) for entry in value)


def some_texts(value: Any) -> bool:
    return texts(value) and len(value) > 0


def layers(value: Any) -> bool:
    return value is None or isinstance(value, list | range | np.ndarray) and list(np.ravel(value)) in ([1], [0, 1, 2])


def folder(value: Any) -> bool:
    path = str(value)
    possible = bool(path.strip()) and len(path) < 1_000 and not any(part in path for part in ("\0", "\ud800", "~"))
    return isinstance(value, str | Path) and possible


def directory(value: Any) -> bool:
    return folder(value) and Path(value).is_dir()


def empty(value: Any) -> bool:
    return isinstance(value, list | tuple | range | np.ndarray | pd.Series) and np.shape(value) == (0,)


def number(value: Any) -> bool:
    real = isinstance(value, int | float | Fraction | np.floating | np.integer) and not isinstance(value, bool)
    return real and 0 < value < float("inf")


def labels(value: Any) -> bool:
    return isinstance(value, range | np.ndarray) and np.shape(value) == (3,)


def array(*shape: int) -> Fine:
    def fine(value: Any) -> bool:
        return isinstance(value, range | np.ndarray | torch.Tensor) and np.shape(value) == shape

    return fine


OPTIONAL = whole(1, optional=True)
SEED = whole(0)
ENCODE = {"texts": texts, "instruction": wording}
FINE: dict[str, dict[str, Fine]] = {
    "load_encoder": {
        **dict.fromkeys(["name_or_path", "truncation"], nothing),
        **dict.fromkeys(
            ["family", "prompt", "dtype", "device", "attn_implementation", "re_encoder", "revision"], left_out
        ),
        **dict.fromkeys(["max_length", "max_new_tokens", "n_masks"], OPTIONAL),
        "pooling": default_or,
        "layer": lambda value: value is None or whole(-4)(value) and value < 4,
    },
    "encode": ENCODE | {"batch_size": OPTIONAL},
    "encode_many": {"texts": texts, "instructions": some_texts, "batch_size": OPTIONAL},
    "encode_with_answers": ENCODE,
    "answer": ENCODE | {"batch_size": OPTIONAL},
    "pooled": ENCODE | {"poolings": left_out, "layers": layers, "batch_size": OPTIONAL},
    "remembering": {"max_bytes": whole(1)},
    "words": {"k": whole(1)},
    "ask": {
        **{"texts": some_texts, "instruction": wording, "n_clusters": left_out, "estimator": left_out},
        **{"encoder": nothing, "labels": lambda value: value is None or labels(value), "seed": SEED},
    },
    "silhouette_curve": {"embeddings": array(2, 2), "seed": SEED},
    "check_folder": {"folder": folder},
    "save": {"folder": folder},
    "load": {"folder": nothing},
    "list_caches": {"folder": directory},
    "measured_scores": {"folder": nothing},
    "triplet_success": {"anchor": nothing},
    "pair_correlation": {"one": nothing, "scores": array(3)},
    "v_measures": {"vectors": nothing, "labels": labels, "seeds": lambda value: whole(1)(value) or seed_list(value)},
    "evaluate": {
        "encoder": nothing,
        "poolings": left_out,
        "layers": layers,
        "tasks": empty,
        "output": folder,
        "seeds": whole(1),
    },
    "read_corpus": {
        **dict.fromkeys(["column", "encoding"], left_out),
        **{
            "path": nothing,
            "seed": whole(0),
            "separator": lambda value: value is None or (isinstance(value, str) and len(value) == 1),
        },
        **dict.fromkeys(["limit", "sample"], lambda value: value is None or whole(1)(value)),
        "header": lambda value: value is None or isinstance(value, bool),
        "force_text": lambda value: isinstance(value, bool),
    },
    "check_output": {"path": nothing},
    "write_vectors": {"path": nothing, "vectors": nothing, "texts": nothing, "answers": left_out},
    "Checkpoint": {
        **dict.fromkeys(["family", "prompt"], nothing),
        **dict.fromkeys(["max_length", "max_new_tokens", "n_masks"], whole(1)),
        **dict.fromkeys(["read_once", "lm_head_transform", "standardize"], lambda value: isinstance(value, bool)),
        **dict.fromkeys(["name", "about"], lambda value: isinstance(value, str)),
        "pooling": lambda value: isinstance(value, str) and value == "",
        "parameters": whole(0),
        "revision": lambda value: value is None or isinstance(value, str),
    },
    "folder_settings": {"folder": folder},
    "Prompt": {"template": nothing},
    "PromptTokenizer": {"template": nothing, "max_length": whole(4), "truncation": nothing, "n_masks": whole(0)},
    "small_set": {"name": nothing},
    "corpus": {"domain": nothing},
    "load_set": {"name": nothing},
    "local_sets": {"folder": folder},
    "instruction_lists": {"data": nothing, "file": left_out},
    "suite_tasks": {"suite": nothing},
    "preset_for": {"preset": nothing},
    "questions": {"attribute": nothing, "split": nothing},
    "generate": {"n": whole(0), "split": nothing},
    "triplets": {"attribute": nothing, "n": whole(0)},
    "train": {
        **dict.fromkeys(["batch_size", "max_steps", "eval_steps"], OPTIONAL),
        **dict.fromkeys(["base", "data", "preset", "device"], left_out),
        **dict.fromkeys(["output", "held_out"], lambda value: value is None or folder(value)),
        **dict.fromkeys(["epochs", "learning_rate"], lambda value: value is None or number(value)),
        "seed": SEED,
    },
}
"""By function and parameter, which of the values make sense after all; all others are tried."""


def bad_values(name: str, parameter: str) -> list[Any]:
    return [value for value in values() if not FINE[name][parameter](value)]


CASES = [(name, parameter) for name, parameters in FINE.items() for parameter in parameters]


@pytest.fixture(scope="module")
def call(encoder_of, tmp_path_factory) -> Callable[..., Any]:
    """(function's name, arguments) -> the function called with these, and with good ones for the rest."""
    encoder, folder = encoder_of("opt"), tmp_path_factory.mktemp("bad")
    (folder / "texts.csv").write_text("text,other\na,b\n", encoding="utf-8")
    asked = {"texts": ["a", "b", "c"], "instruction": ASK}
    written = {"path": folder / "vectors.npy", "vectors": np.eye(3), "texts": ["a", "b", "c"]}
    good: dict[str, tuple[Callable, dict[str, Any]]] = {
        "load_encoder": (load_encoder, {"name_or_path": "tiny", "device": "cpu"}),
        "encode_many": (encoder.encode_many, {"texts": ["a"], "instructions": [ASK]}),
        **{name: (getattr(encoder, name), asked) for name in ("encode", "encode_with_answers", "answer", "pooled")},
        "remembering": (encoder.remembering, {}),
        "words": (encoder.words, {"embeddings": np.zeros((1, 32))}),
        "ask": (ask, asked | {"encoder": encoder}),
        "silhouette_curve": (silhouette_curve, {"embeddings": np.eye(4)}),
        "check_folder": (check_folder, {}),
        "save": (ask(encoder, asked["texts"], ASK, 2).save, {}),
        "load": (Clustering.load, {}),
        "list_caches": (list_caches, {}),
        "measured_scores": (measured_scores, {}),
        "triplet_success": (triplet_success, dict.fromkeys(["anchor", "positive", "negative"], np.eye(3))),
        "pair_correlation": (pair_correlation, {"one": np.eye(3), "other": np.eye(3), "scores": [1, 2, 3]}),
        "v_measures": (v_measures, {"vectors": np.eye(3), "labels": ["a", "b", "a"]}),
        "evaluate": (evaluate, {"encoder": encoder, "tasks": [], "output": folder / "results"}),
        "read_corpus": (read_corpus, {"path": folder / "texts.csv"}),
        "check_output": (check_output, {}),
        "write_vectors": (write_vectors, written),
        "Checkpoint": (Checkpoint, {"name": "x", "family": "masked"}),
        "folder_settings": (folder_settings, {}),
        "Prompt": (Prompt, {}),
        "PromptTokenizer": (PromptTokenizer, {"tokenizer": encoder.tokenizer}),
        "small_set": (small_set, {}),
        "corpus": (corpus, {}),
        "load_set": (load_set, {}),
        "local_sets": (local_sets, {}),
        "instruction_lists": (instruction_lists, {"data": "messages_need"}),
        "suite_tasks": (suite_tasks, {}),
        "preset_for": (preset_for, {"base": None}),
        "questions": (questions, {"domain": "news", "attribute": "topic"}),
        "generate": (generate, {"domain": "news", "n": 1}),
        "triplets": (triplets, {"domain": "news", "attribute": "topic", "n": 1}),
        "train": (train, {"base": "tiny", "preset": "roberta-large"}),
    }
    assert good.keys() == FINE.keys()

    def called(function_name: str, /, **arguments: Any) -> Any:
        function, others = good[function_name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy, on comparing what can't be compared
            return function(**others | arguments)

    return called


@pytest.mark.parametrize(("name", "parameter"), CASES, ids=map(".".join, CASES))
def test_nonsense_is_refused_by_name_or_by_value(call, name, parameter):
    wrong = []
    for value in bad_values(name, parameter):
        try:
            call(name, **{parameter: value})
        except (ValueError, TypeError, OSError, ImportError) as error:
            said = " ".join(str(error).split())
            named = any(mark in said for mark in (parameter.removesuffix("s"), short(value)[:20], str(value)[:20]))
            if not _is_ours(error.__traceback__) or not named:
                wrong.append((short(value), type(error).__name__, said[:200]))
        except Exception as error:
            wrong.append((short(value), type(error).__name__, str(error)[:200]))
        else:
            wrong.append((short(value), "accepted", ""))
    assert not wrong, "\n".join(map(str, wrong))


def test_thousands_of_values_are_tried():
    tried = [len(bad_values(*case)) for case in CASES]
    assert sum(tried) > 3_000 and min(tried) > 30, (sum(tried), min(tried))
