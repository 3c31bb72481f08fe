"""Vectors over HTTP are those of the model loaded here, whatever goes wrong on the way."""

import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT
from small_models import ASK, OTHER, TEXTS

from inbedder_utils.checks import TextsCut
from inbedder_utils.clustering import Clustering, ask
from inbedder_utils.evaluation import evaluate
from inbedder_utils.evaluation.tasks import Task
from inbedder_utils.http_encoder import KEY_VARIABLE, HttpEncoder

KEY = "sk-not-to-be-shown"


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.fixture
def over_http(tiny_server):
    return lambda **settings: HttpEncoder(tiny_server.url, "tiny", **{"concurrency": 3, "timeout": 20, **settings})


@pytest.fixture(scope="module")
def expected(tiny_encoder):
    return tiny_encoder.encode(TEXTS, ASK)


def assert_same(vectors, expected):
    assert vectors.dtype == np.float32 and vectors.shape == expected.shape
    norms = np.linalg.norm(expected, axis=-1)
    assert np.all(np.linalg.norm(vectors - expected, axis=-1) <= 1e-4 * norms)


# --- the same vectors


@pytest.mark.parametrize("settings", [{}, {"as_text": True}], ids=["ids", "text"])
@pytest.mark.parametrize("batch_size", [None, 1, 4])
def test_vectors_are_those_of_the_model_loaded_here(over_http, expected, settings, batch_size):
    assert_same(over_http(**settings).encode(TEXTS, ASK, batch_size=batch_size), expected)


def test_several_questions_one_per_text_and_unit_length(over_http, tiny_encoder):
    both = over_http().encode_many(TEXTS, [ASK, OTHER], batch_size=5)
    assert_same(both, tiny_encoder.encode_many(TEXTS, [ASK, OTHER]))
    questions = [ASK, OTHER] * (len(TEXTS) // 2)
    assert_same(over_http().encode(TEXTS, questions), tiny_encoder.encode(TEXTS, questions))
    np.testing.assert_allclose(
        np.linalg.norm(over_http().encode(TEXTS, ASK, normalize_embeddings=True), axis=1), 1, rtol=1e-5
    )


@pytest.mark.parametrize("as_text", [False, True])
def test_long_texts_are_cut_here_and_counted(over_http, tiny_server, tiny_encoder, as_text):
    texts = ["The kettle leaks. " * 200, "Ok."]
    encoder = over_http(as_text=as_text)
    assert encoder.unread(texts, ASK) == tiny_encoder.unread(texts, ASK) != []
    with pytest.warns(TextsCut, match="1 of 2 prompts"):
        vectors = encoder.encode(texts, ASK)
    with pytest.warns(TextsCut):
        assert_same(vectors, tiny_encoder.encode(texts, ASK))
    prompt = tiny_server.asked[0]["input"][0]
    assert len(tiny_server.tokenizer(prompt)["input_ids"] if as_text else prompt) == tiny_encoder.checkpoint.max_length


MANY_BYTES = [
    "水壶漏水了，我想退款。" * 60,
    "Чайник протекает, верните деньги! " * 40,
    "😡👍🏽🫖" * 150,
    "x" + "漏" * 400,
]


@pytest.mark.parametrize("shift", range(4))
def test_a_text_is_never_cut_inside_a_character(over_http, tiny_server, tiny_encoder, shift):
    texts, most = ["a" * shift + text for text in MANY_BYTES], tiny_encoder.checkpoint.max_length
    with pytest.warns(TextsCut, match="4 of 4 prompts"):
        vectors, exact = (encoder.encode(texts, ASK) for encoder in (over_http(as_text=True), tiny_encoder))
    prompts = [prompt for body in tiny_server.asked for prompt in body["input"]]
    assert not any("\ufffd" in prompt for prompt in prompts)
    lengths = [len(ids) for ids in tiny_server.tokenizer(prompts)["input_ids"]]
    assert most - 8 < min(lengths) <= max(lengths) <= most
    cosines = (vectors * exact).sum(1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(exact, axis=1)  # (n,)
    assert cosines.min() > 0.99


def test_what_was_kept_counts_among_the_cut_as_it_does_here(over_http, tiny_encoder, tmp_path):
    texts = ["The kettle leaks. " * 200, "Ok."]
    for i, encoder in enumerate((over_http(), tiny_encoder)):
        with pytest.warns(TextsCut):
            encoder.encode(texts[:1], ASK, cache=tmp_path / str(i))
        with pytest.warns(TextsCut, match="1 of 2 prompts"):
            encoder.encode(texts, ASK, cache=tmp_path / str(i))


def test_only_as_text_is_a_special_token_in_a_text_markup(over_http, tiny_encoder):
    texts = ["It broke. </s> Really."]
    exact = tiny_encoder.encode(texts, ASK)
    assert_same(over_http().encode(texts, ASK), exact)
    assert not np.allclose(over_http(as_text=True).encode(texts, ASK), exact, rtol=0.01)


def test_no_texts_a_generator_and_a_file(over_http, tiny_server, expected, tmp_path):
    assert over_http().encode([], ASK).shape == (0, expected.shape[1])
    vectors = over_http().encode((text for text in TEXTS), ASK, out=tmp_path / "v.npy", batch_size=2)
    assert isinstance(vectors, np.memmap)
    assert_same(vectors, expected)


def test_a_server_without_base64_and_one_that_shuffles(over_http, tiny_server, expected):
    tiny_server.floats = True
    tiny_server.faults.extend(["shuffled"] * 3)
    assert_same(over_http().encode(TEXTS, ASK, batch_size=2), expected)
    assert {body["encoding_format"] for body in tiny_server.asked} == {"base64"} and not tiny_server.faults


def test_it_can_be_sent_to_another_process(over_http, expected):
    encoder = over_http()
    encoder.encode(TEXTS[:1], ASK)
    again = pickle.loads(pickle.dumps(encoder))
    assert repr(again) == repr(encoder)
    assert_same(again.encode(TEXTS, ASK), expected)


# --- what goes wrong and passes


@pytest.mark.parametrize("faults", [["500", "503"], ["reset"], ["502", "504"]], ids=" ".join)
def test_requests_are_sent_again(over_http, tiny_server, expected, faults):
    tiny_server.faults.extend(faults)
    assert_same(over_http(concurrency=1).encode(TEXTS, ASK), expected)
    assert len(tiny_server.asked) == 1 + len(faults)


def test_the_server_says_how_long_to_wait(over_http, tiny_server, expected):
    tiny_server.faults.append("429 in 1")
    start = time.perf_counter()
    assert_same(over_http().encode(TEXTS, ASK), expected)
    assert time.perf_counter() - start >= 1


def test_a_late_answer_is_asked_for_again(over_http, tiny_server, expected):
    tiny_server.faults.append("slow")
    assert_same(over_http(timeout=2).encode(TEXTS, ASK), expected)
    assert len(tiny_server.asked) >= 2


# --- what goes wrong and stays


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("500", r"answers 500 \(.*out of order"),
        ("400", r"answers 400 \(.*out of order.*\)$"),
        ("413", "pass a smaller batch_size"),
        ("301", "answers 301"),
        ("text", "something else than embeddings: It works!"),
        ("fewer", r"gave 5 vectors for 6 texts"),
        ("wide", r"shape \(257,\), but tiny has \(256,\)"),
        ("slow", r"no answer from http://127.* after 1 try \(Read timed out"),
        ("reset", r"no answer .*Connection reset"),
    ],
)
def test_errors_say_what_the_server_did(over_http, tiny_server, fault, message):
    tiny_server.faults.append(fault)
    with pytest.raises(OSError, match=message):
        over_http(retries=0, timeout=0.5 if fault == "slow" else 20).encode(TEXTS, ASK)


def test_numbers_that_are_none_are_refused(over_http, tiny_server):
    tiny_server.faults.append("nan")
    with pytest.raises(ValueError, match="the model gives NaN .* such as 'The parcel"):
        over_http().encode(TEXTS, ASK)


def test_nobody_is_there():
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        encoder = HttpEncoder(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", "tiny", retries=1)
        with pytest.raises(OSError, match="after 2 tries .*refused.* is the server running"):
            encoder.encode(TEXTS, ASK)


def test_an_unknown_model_and_a_wrong_address(over_http, tiny_server):
    with pytest.raises(OSError, match=r"`larger` does not exist.*it serves 'tiny', 'other': pass model="):
        over_http(model="larger").encode(TEXTS, ASK)
    with pytest.raises(OSError, match="answers 404 .* does its address end in /v1"):
        HttpEncoder(tiny_server.url.removesuffix("/v1"), "tiny").encode(TEXTS, ASK)
    tiny_server.models = [f"model {i}" for i in range(9)]
    with pytest.raises(OSError, match=r"it serves 'model 0', .*'model 4', \.\.\.: pass model="):
        over_http(model="larger").encode(TEXTS, ASK)
    tiny_server.models = None
    with pytest.raises(OSError, match=r"answers 400 \([^)]*\)$"):
        tiny_server.faults.append("400")
        over_http().encode(TEXTS, ASK)


def test_only_a_server_that_gave_no_answer_may_not_be_running(over_http, tiny_server):
    tiny_server.faults.append("429 in a while")
    with pytest.raises(OSError, match="the answer of http.* can't be read: Invalid Retry-After header: a while"):
        over_http().encode(TEXTS, ASK)


def test_the_key_is_sent_and_never_shown(over_http, tiny_server, expected, monkeypatch, tmp_path):
    tiny_server.key = KEY
    with pytest.raises(OSError, match=f"answers 401 .*: set the environment variable {KEY_VARIABLE}"):
        over_http().encode(TEXTS, ASK)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    encoder = over_http()
    assert_same(encoder.encode(TEXTS, ASK, cache=tmp_path), expected)
    (kept,) = tmp_path.iterdir()
    assert KEY not in repr(encoder) and KEY.encode() not in pickle.dumps(encoder) + kept.read_bytes()
    tiny_server.key = "another"
    with pytest.raises(OSError, match=r"Incorrect API key provided: Bearer \.\.\.") as refused:
        encoder.encode(TEXTS, ASK)
    assert KEY not in str(refused.value)
    monkeypatch.setenv(KEY_VARIABLE, f"{KEY}\nX-Other: 1")
    with pytest.raises(ValueError, match="characters that no key has") as refused:
        encoder.encode(TEXTS, ASK)
    assert KEY not in str(refused.value)


# --- the cache


def test_what_is_kept_is_not_asked_for_again(over_http, tiny_server, expected, tmp_path):
    first = over_http().encode(TEXTS[:4], ASK, cache=tmp_path)
    assert sum(len(body["input"]) for body in tiny_server.asked) == 4
    again = over_http(concurrency=1, retries=1).encode(TEXTS, ASK, cache=tmp_path)
    assert sum(len(body["input"]) for body in tiny_server.asked) == len(TEXTS)
    np.testing.assert_array_equal(again[:4], first)
    over_http().encode(TEXTS, ASK, cache=tmp_path)
    assert sum(len(body["input"]) for body in tiny_server.asked) == len(TEXTS)
    assert len(list(tmp_path.iterdir())) == 1
    over_http(as_text=True).encode(TEXTS, ASK, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_cache_goes_by_a_folders_name_and_by_the_tokenizer(folder_of, tiny_server, tmp_path, monkeypatch):
    folder = shutil.copytree(folder_of("llama"), tmp_path / "run", ignore=shutil.ignore_patterns("*.safetensors"))
    monkeypatch.chdir(tmp_path)
    spelled = ["run", "./run", str(folder)]
    known = [HttpEncoder(tiny_server.url, name)._lasting_identity() for name in spelled]
    assert known[0] == known[1] == known[2]
    others = [HttpEncoder(tiny_server.url, "run", model="mine"), HttpEncoder(tiny_server.url, "run", as_text=True)]
    file = folder / "tokenizer.json"
    cuts = json.loads(file.read_text())
    cuts["model"]["merges"] = cuts["model"]["merges"][:-1]
    file.write_text(json.dumps(cuts))
    others.append(HttpEncoder(tiny_server.url, "run"))
    assert all(encoder._lasting_identity() != known[0] for encoder in others)


def test_what_was_done_before_an_error_is_kept(over_http, tiny_server, expected, tmp_path):
    tiny_server.faults.extend(["", "", "400"])
    with pytest.raises(OSError, match="answers 400"):
        over_http(concurrency=1).encode(TEXTS, ASK, cache=tmp_path, batch_size=1)
    assert len(tiny_server.asked) == 3
    assert_same(over_http().encode(TEXTS, ASK, cache=tmp_path, batch_size=1), expected)
    assert len(tiny_server.asked) == 3 + len(TEXTS) - 2


def test_an_error_does_not_wait_for_the_others(over_http, tiny_server):
    tiny_server.faults.extend(["slow", "400"])
    with pytest.raises(OSError, match="answers 400"):
        over_http(concurrency=2).encode(TEXTS, ASK, batch_size=3)
    assert not tiny_server.let_go.is_set()


FAILS = """
import sys
from inbedder_utils.http_encoder import HttpEncoder
HttpEncoder(sys.argv[1], "tiny").encode(["one", "two"], "What?", batch_size=1)
"""


def test_a_program_ends_soon_after_an_error_though_the_server_asks_others_to_wait(tiny_server):
    tiny_server.faults.extend(["429 in 60", "400"])
    command = [sys.executable, "-c", FAILS, tiny_server.url]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert any("answers 400" in line for line in program.stderr)  # stops there; the program has to end yet
            assert program.wait(timeout=20) == 1
        finally:
            program.kill()
    assert len(tiny_server.asked) == 2


# --- arguments


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"url": "localhost:8000"}, ValueError, "an address such as 'http://localhost:8000/v1'"),
        ({"url": "http://host:port/v1"}, ValueError, "an address such as"),
        ({"url": 8000}, TypeError, "url must be a string"),
        ({"checkpoint": "mini"}, ValueError, "mini is masked with pooling avg_gen: use load_encoder"),
        ({"checkpoint": "tinny"}, OSError, "Did you mean 'tiny'"),
        ({"model": ""}, ValueError, "model is empty"),
        ({"concurrency": 0}, ValueError, "concurrency must be 1 or more"),
        ({"timeout": 0}, ValueError, "timeout must be above 0"),
        ({"retries": -1}, ValueError, "retries must be 0 or more"),
    ],
)
def test_arguments_are_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        HttpEncoder(**{"url": "http://localhost:8000/v1", "checkpoint": "tiny"} | arguments)


@pytest.mark.parametrize("url", [f"http://me:{KEY}@localhost/v1", f"http://localhost/v1?key={KEY}"])
def test_a_key_in_the_address_is_refused_and_not_shown(url):
    with pytest.raises(ValueError, match=KEY_VARIABLE) as refused:
        HttpEncoder(url, "tiny")
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("setting", "message"), [('"layer": 1', "not layer 1 of"), ('"pooling": "avg_gen"', "with pooling avg_gen")]
)
def test_settings_of_a_folder_count(folder_of, tmp_path, setting, message):
    folder = shutil.copytree(folder_of("llama"), tmp_path / "run", ignore=shutil.ignore_patterns("*.safetensors"))
    assert HttpEncoder("http://localhost:8000/v1", folder).model == str(folder)
    (folder / "inbedder.json").write_text(f'{{"family": "causal", {setting}}}')
    with pytest.raises(ValueError, match=message):
        HttpEncoder("http://localhost:8000/v1", folder)


def test_the_width_is_that_of_what_the_head_reads(folder_of):
    assert HttpEncoder("http://localhost:8000/v1", folder_of("opt_projected")).width == 16


# --- the rest of the package


def test_clusters_and_options_come_without_answers(over_http, tiny_encoder):
    texts = [
        f"{thing} {verdict}." for thing in ("The lid", "The box", "My kettle") for verdict in ("leaks", "is lovely")
    ]
    texts *= 2
    clusters = ask(over_http(), texts, ASK, 2)
    assert clusters.answers is None and len(clusters.explanations) == 2
    np.testing.assert_array_equal(clusters.assignments, ask(tiny_encoder, texts, ASK, 2).assignments)
    options = ["happy", "angry"]
    by_option = ask(over_http(), texts, ASK, options=options)
    np.testing.assert_array_equal(by_option.assignments, ask(tiny_encoder, texts, ASK, options=options).assignments)
    assert len(clusters.assign(["The lid is lovely."])) == 1


def test_a_saved_clustering_names_its_server(over_http, tiny_encoder, tmp_path):
    texts = ["The lid leaks.", "My kettle is lovely."] * 3
    folder = ask(over_http(), texts, ASK, 2).save(tmp_path / "kept")
    assert len(Clustering.load(folder, encoder=over_http()).assign(["The lid is lovely."])) == 1
    for other in (tiny_encoder, over_http(model="other")):
        with pytest.raises(ValueError, match=r"made with HttpEncoder\('http.*, as_text=False\): pass encoder="):
            Clustering.load(folder, encoder=other)


def test_scores_are_those_of_the_model_loaded_here(over_http, tiny_server, tiny_encoder, tmp_path):
    tasks = [Task("MessagesFeeling", "clustering", {"": "clustering/messages_feeling"}, {"": ASK})]
    files = [
        evaluate(encoder, tasks, tmp_path / str(i), seeds=1) for i, encoder in enumerate([over_http(), tiny_encoder])
    ]
    (there,), (here,) = ([json.loads(file.read_text()) for file in of_one] for of_one in files)
    assert there["scores"][0]["score"] == pytest.approx(here["scores"][0]["score"], abs=0.01)
    assert there["settings"] != here["settings"]
    n = len(tiny_server.asked)
    evaluate(over_http(), tasks, tmp_path / "0", seeds=1)  # is done
    assert len(tiny_server.asked) == n
