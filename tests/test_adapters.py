"""An encoder that other tools take for their own: SentenceTransformer, BERTopic, mteb, LangChain."""

import asyncio
import copy
import pickle
import sys

import numpy as np
import pytest
import torch
from small_models import ASK, EVERY, OTHER, TEXTS
from test_encoder import assert_same

from inbedder_utils import load_encoder
from inbedder_utils.adapters import as_langchain, as_sentence_transformer
from inbedder_utils.data.own_sets import QUESTIONS, corpus

FEELING, NEED = QUESTIONS["messages"]["feeling"], QUESTIONS["messages"]["need"]


def needs(package: str, extra: str):
    return pytest.importorskip(package, reason=f"needs {package}, of the extra `{extra}`", exc_type=ImportError)


@pytest.fixture(scope="module")
def sentence_transformers():
    return needs("sentence_transformers", "embedders")


@pytest.fixture(scope="module")
def model_of(sentence_transformers, encoder_of):
    return lambda name, *args, **settings: as_sentence_transformer(encoder_of(name, **settings), ASK, *args)


@pytest.fixture(scope="module")
def mini():
    return load_encoder("mini", device="cpu")


@pytest.fixture(scope="module")
def messages():
    """Columns text, feeling, need."""
    return corpus("messages").sample(60, random_state=0)


# --- SentenceTransformer


@pytest.mark.parametrize("name", EVERY)
def test_vectors_are_those_of_the_encoder(sentence_transformers, encoder_of, name):
    encoder = encoder_of(name)
    model = as_sentence_transformer(encoder, ASK)
    assert type(model) is sentence_transformers.SentenceTransformer
    vectors = model.encode(TEXTS)
    assert isinstance(vectors, np.ndarray) and vectors.dtype == np.float32
    assert_same(vectors, encoder.encode(TEXTS, ASK))
    assert model.get_embedding_dimension() == vectors.shape[1]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("llama", {"pooling": "avg_gen"}),
        ("bert", {"layer": 1, "pooling": "avg_all"}),
        ("t5", {"pooling": "avg_ppt"}),
        ("gpt2", {"max_length": 64, "truncation": "left"}),
    ],
)
def test_they_are_so_with_any_settings(model_of, encoder_of, name, settings):
    assert_same(model_of(name, **settings).encode(TEXTS), encoder_of(name, **settings).encode(TEXTS, ASK))


def test_answers_that_are_embedded_again_are_too(folder_of, model_of):
    second = model_of("bert")
    encoder = load_encoder(folder_of("llama"), pooling="re_encode", re_encoder=second, device="cpu")
    model = as_sentence_transformer(encoder, OTHER)
    assert_same(model.encode(TEXTS), second.encode(encoder.answer(TEXTS, OTHER)))
    assert model.get_embedding_dimension() == 32


def test_sixteen_bits_give_float32_vectors(model_of):
    model = model_of("llama", dtype="bfloat16")
    vectors = model.encode(TEXTS, convert_to_tensor=True)
    assert model.dtype == torch.bfloat16 and vectors.dtype == torch.float32
    assert_same(vectors.numpy(), model[0].encoder.encode(TEXTS, ASK), 0.05)


@pytest.mark.parametrize("name", ["tiny", "mini"])
def test_the_bundled_models_give_the_same_in_both_ways(sentence_transformers, request, name, messages):
    encoder = request.getfixturevalue({"tiny": "tiny_encoder", "mini": "mini"}[name])
    texts = messages["text"].head(20).tolist()
    assert_same(as_sentence_transformer(encoder, NEED).encode(texts), encoder.encode(texts, NEED))


def test_batch_size_and_order_never_change_a_vector(model_of):
    model, order = model_of("opt"), [4, 1, 0, 5, 3, 2]
    vectors = model.encode(TEXTS)
    assert_same(model.encode(TEXTS, batch_size=1), vectors)
    assert_same(model.encode([TEXTS[i] for i in order], batch_size=4), vectors[order])


@pytest.mark.parametrize("as_given", [tuple, np.array, list])
def test_what_a_sentence_transformer_takes_and_returns(model_of, as_given, capfd):
    model = model_of("roberta")
    vectors = model.encode(TEXTS)
    assert_same(model.encode(as_given(TEXTS)), vectors)
    np.testing.assert_allclose(model.encode(TEXTS[1]), vectors[1], atol=1e-5)
    tensor = model.encode(TEXTS, convert_to_tensor=True)
    assert isinstance(tensor, torch.Tensor) and tensor.device == model.device == torch.device("cpu")
    assert_same(tensor.numpy(), vectors)
    unit = model.encode(TEXTS, normalize_embeddings=True)
    assert_same(unit, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    np.testing.assert_allclose(model.similarity(vectors, vectors), unit @ unit.T, atol=1e-5)
    model.encode(TEXTS, show_progress_bar=True)
    assert "Batches: 100%" in capfd.readouterr().err
    assert len(model.encode([])) == 0


def test_a_prompt_is_the_question(model_of, encoder_of):
    encoder, third = encoder_of("t5"), "When did it arrive?"
    model = model_of("t5", {"thing": OTHER, "query": third})
    asked = {question: encoder.encode(TEXTS, question) for question in (ASK, OTHER, third)}
    assert_same(model.encode(TEXTS, prompt=OTHER), asked[OTHER])
    assert_same(model.encode(TEXTS, prompt_name="thing"), asked[OTHER])
    assert_same(model.encode_query(TEXTS), asked[third])
    for own in (model.encode_document(TEXTS), model.encode(TEXTS, prompt=""), model.encode(TEXTS)):
        assert_same(own, asked[ASK])
    assert_same(model_of("t5").encode_query(TEXTS), asked[ASK])


def test_length_and_tokenizer_are_the_encoders(model_of, encoder_of):
    model = model_of("gpt2", max_length=64)
    assert model.max_seq_length == 64 and model.tokenizer is encoder_of("gpt2", max_length=64).tokenizer
    with pytest.raises(ValueError, match=r"load_encoder\(\.\.\., max_length=32\)"):
        model.max_seq_length = 32


@pytest.mark.parametrize(
    ("texts", "options", "error", "message"),
    [
        (["a", None], {}, TypeError, r"texts\[\d\] is None.*drop the missing rows"),
        ([("a", "b")], {}, TypeError, r"texts\[0\] is \('a', 'b'\) \(tuple\), not a string"),
        (3, {}, TypeError, r"texts\[0\] is 3"),
        (["a"], {"prompt": " "}, ValueError, "instruction 0 is empty: ask something"),
        (["a"], {"prompt": "why " * 300}, ValueError, "leaves no room for the text"),
        (["a"], {"prompt_name": "nobody"}, ValueError, "'nobody' not found"),
        (["a"], {"batch_size": 0}, ValueError, "batch_size must be a positive integer"),
        (["a"], {"instruction": ASK}, ValueError, "instruction"),
    ],
)
def test_what_can_not_be_encoded_is_told(model_of, texts, options, error, message):
    with pytest.raises(error, match=message):
        model_of("llama").encode(texts, **options)


def test_a_question_per_text_is_refused_for_texts_are_sorted(model_of):
    with pytest.raises(TypeError, match=r"instruction 0 is \['How"):
        model_of("llama").encode(["a", "longer"], prompt=[ASK, OTHER])


def test_it_is_not_saved_and_no_folder_is_left(model_of, tmp_path):
    model = model_of("llama")
    for save in (model.save, model.save_pretrained):
        with pytest.raises(NotImplementedError, match=r"make it again with as_sentence_transformer\(load_encoder\('"):
            save(str(tmp_path / "saved"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_gives_the_same_vectors_with_weights_of_its_own(sentence_transformers, folder_of, copied):
    model = as_sentence_transformer(load_encoder(folder_of("roberta"), device="cpu"), ASK)
    other = copied(model)
    assert_same(other.encode(TEXTS), model.encode(TEXTS))
    assert other[0].lm is other[0].encoder.lm is not model[0].lm


@pytest.mark.slow
def test_two_processes_give_the_same_vectors(sentence_transformers, folder_of):
    model = as_sentence_transformer(load_encoder(folder_of("opt"), device="cpu"), ASK)
    assert_same(model.encode(TEXTS, device=["cpu", "cpu"], chunk_size=2), model.encode(TEXTS))


ADAPTERS = [
    (as_sentence_transformer, "sentence_transformers", "embedders"),
    (as_langchain, "langchain_core", "ecosystem"),
]
both = pytest.mark.parametrize(("adapt", "package", "extra"), ADAPTERS)


@both
def test_encoder_and_question_are_checked(encoder_of, adapt, package, extra):
    needs(package, extra)
    with pytest.raises(TypeError, match="must be what load_encoder makes of a language model, got 'mini'"):
        adapt("mini", ASK)
    with pytest.raises(ValueError, match="instruction 0 is empty"):
        adapt(encoder_of("llama"), " ")
    with pytest.raises(TypeError, match=r"instruction 0 is \['How"):
        adapt(encoder_of("llama"), [ASK])


def test_a_plain_sentence_embedder_has_a_sentence_transformer_already(sentence_transformers, folder_of):
    plain = load_encoder(folder_of("bert"), family="sentence", device="cpu")
    with pytest.raises(TypeError, match="got SentenceEmbedder.*take its `model`"):
        as_sentence_transformer(plain, ASK)


def test_prompts_are_checked_when_they_are_passed(model_of):
    with pytest.raises(ValueError, match="instruction 1 is empty"):
        model_of("llama", {"query": ""})


@both
def test_a_missing_package_is_named_with_its_extra(monkeypatch, encoder_of, adapt, package, extra):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{package}.*pip install -e '\.\[{extra}\]'"):
        adapt(encoder_of("llama"), ASK)


# --- BERTopic


def test_topics_of_bertopic_follow_the_question(sentence_transformers, mini, messages):
    bertopic = needs("bertopic", "ecosystem")
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.metrics import v_measure_score

    agreement = {}
    for asked in ("feeling", "need"):
        topics, _ = bertopic.BERTopic(
            embedding_model=as_sentence_transformer(mini, QUESTIONS["messages"][asked]),
            umap_model=PCA(5, random_state=0),
            hdbscan_model=KMeans(messages[asked].nunique(), n_init=10, random_state=0),
        ).fit_transform(messages["text"].tolist())
        agreement[asked] = {label: v_measure_score(messages[label], topics) for label in ("feeling", "need")}
    assert agreement["feeling"]["feeling"] > agreement["need"]["feeling"] + 0.2
    assert agreement["need"]["need"] > agreement["feeling"]["need"] + 0.2


# --- LangChain


@pytest.mark.parametrize("name", ["llama", "bert", "t5"])
def test_langchain_gets_lists_of_floats_of_unit_length(encoder_of, name):
    Embeddings = needs("langchain_core.embeddings", "ecosystem").Embeddings
    encoder = encoder_of(name)
    embeddings = as_langchain(encoder, ASK)
    vectors = embeddings.embed_documents(TEXTS)
    assert isinstance(embeddings, Embeddings)
    assert type(vectors) is type(vectors[0]) is list and type(vectors[0][0]) is float
    assert_same(np.array(vectors), encoder.encode(TEXTS, ASK, normalize_embeddings=True))
    assert embeddings.embed_query(TEXTS[1]) == pytest.approx(vectors[1], abs=1e-5)
    assert asyncio.run(embeddings.aembed_query(TEXTS[1])) == embeddings.embed_query(TEXTS[1])
    assert embeddings.embed_documents([]) == []
    with pytest.raises(TypeError, match=r"texts\[0\] is None"):
        embeddings.embed_query(None)


def test_a_store_of_langchain_finds_texts_that_answer_alike(mini, messages):
    Store = needs("langchain_core.vectorstores", "ecosystem").InMemoryVectorStore
    labels, alike = messages[["text", "feeling"]].to_dict("records"), {}
    for asked in ("feeling", "need"):
        store = Store(as_langchain(mini, QUESTIONS["messages"][asked]))
        store.add_texts(messages["text"], labels)
        found = [(row, store.similarity_search(row["text"], k=6)[1:]) for row in labels[:10]]
        alike[asked] = sum(text.metadata["feeling"] == row["feeling"] for row, texts in found for text in texts)
    assert alike["feeling"] > alike["need"] + 10  # of 50
