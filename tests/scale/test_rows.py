"""What one actor does, without Ray: rows in, rows with vectors out, parts written once."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inbedder_utils import load_encoder
from inbedder_utils.clustering import ask, fit_lens
from inbedder_utils.data import corpus
from inbedder_utils.registry import BUNDLED
from inbedder_utils.scale.files import PACKED, AskParts, _packed
from inbedder_utils.scale.parts import PartFolder
from inbedder_utils.scale.rows import Asked, AskRows

FEELS, NEEDS = "How does the customer feel?", "What does the customer need?"


@pytest.fixture(scope="module")
def tiny():
    return load_encoder("tiny")


@pytest.fixture(scope="module")
def messages():
    return corpus("messages")["text"].tolist()


def table(texts, **columns):
    return pa.table({"id": range(len(texts)), "text": pa.array(texts, pa.string()), **columns})


def vectors(rows, name="embedding"):
    return np.stack(rows[name].drop_null().to_numpy(zero_copy_only=False))


def test_rows_keep_their_place_and_columns_and_get_the_vectors_of_encode(tiny, messages):
    texts = [*messages[:20], None, "", " \n", *messages[20:30]]
    rows = AskRows(Asked(tiny, FEELS))(table(texts))
    assert rows["id"].to_pylist() == list(range(33)) and rows["text"].to_pylist() == texts
    assert rows.schema.field("embedding").type == pa.list_(pa.float32(), tiny.encode([], FEELS).shape[1])
    assert [i for i, vector in enumerate(rows["embedding"].to_pylist()) if vector is None] == [20, 21, 22]
    np.testing.assert_allclose(vectors(rows), tiny.encode(messages[:30], FEELS), rtol=1e-4, atol=1e-5)


def test_several_questions_with_answers_have_a_column_each(tiny, messages):
    rows = AskRows(Asked(tiny, [FEELS, NEEDS], answers=True))(table(messages[:30]))
    assert rows.column_names == ["id", "text", "answer_1", "embedding_1", "answer_2", "embedding_2"]
    for number, question in enumerate([FEELS, NEEDS], 1):
        expected = tiny.encode(messages[:30], question)
        np.testing.assert_allclose(vectors(rows, f"embedding_{number}"), expected, rtol=1e-4, atol=1e-5)
        assert rows[f"answer_{number}"].to_pylist() == tiny.answer(messages[:30], question)


def test_clusters_and_what_a_lens_sees_go_beside_the_vectors(tiny, messages):
    options = ask(tiny, messages, FEELS, options=["angry", "happy"])
    lens = fit_lens(tiny, messages, tiny.encode(messages, FEELS), FEELS)
    rows = AskRows(Asked(tiny, [FEELS, NEEDS], clusters=options, lens=lens))(table([*messages, None]))
    belongs = options.assign(messages)
    assert rows["cluster"].to_pylist() == [*belongs["name"], None]
    np.testing.assert_allclose(rows["membership"].to_pylist()[:-1], belongs["membership"], rtol=1e-3)
    seen = lens.apply(vectors(rows, "embedding_1"), FEELS)
    np.testing.assert_allclose(vectors(rows, "lens"), seen, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("texts", [[], [None, ""], pa.array([1, 2])])
def test_without_texts_columns_have_their_types_all_the_same(tiny, texts):
    rows = pa.table({"text": texts if isinstance(texts, pa.Array) else pa.array(texts, pa.string())})
    with_vectors = AskRows(Asked(tiny, FEELS, answers=True))(rows)
    expected = AskRows(Asked(tiny, FEELS, answers=True))(table(["a text"]))
    for name in ("embedding", "answer"):
        assert with_vectors.schema.field(name).type == expected.schema.field(name).type
        assert with_vectors[name].null_count == len(rows)


def test_a_column_that_is_called_like_a_new_one_is_renamed(tiny):
    rows = AskRows(Asked(tiny, FEELS))(table(["a text"], embedding=["theirs"]))
    assert rows["embedding (input)"].to_pylist() == ["theirs"] and len(rows["embedding"][0]) > 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"questions": ""}, "question 0 is empty"),
        ({"questions": []}, "questions is empty"),
        ({"questions": FEELS, "column": ""}, "column is empty"),
        ({"questions": FEELS, "checkpoint": 3}, "encoder must have encode"),
    ],
)
def test_arguments_are_checked_before_anything_starts(given, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Asked(**given)


def test_clusters_must_be_of_one_of_the_questions(tiny, messages):
    options = ask(tiny, messages, FEELS, options=["angry", "happy"])
    with pytest.raises(ValueError, match="clusters answer 'How does the customer feel.': let it be one of"):
        Asked(tiny, NEEDS, clusters=options)


def test_a_folder_is_named_by_its_whole_path_for_actors_run_elsewhere(monkeypatch):
    monkeypatch.chdir(BUNDLED)
    assert Asked("tiny/", FEELS).checkpoint == str(BUNDLED / "tiny")
    assert Asked("mini", FEELS).said()["checkpoint"] in ("mini", str(BUNDLED / "mini"))


def test_a_setting_that_is_none_is_one_that_was_left_out():
    assert Asked("mini", FEELS, settings={"pooling": None, "layer": 1}).said()["settings"] == {"layer": "1"}


def packed(*parts):
    rows = [{"file": "a.parquet", "part": name, "first": first, "rows": _packed(of)} for name, first, of in parts]
    return pa.Table.from_pylist(rows, PACKED)


def test_parts_are_written_with_the_numbers_of_their_rows_and_told_of(tiny, messages, tmp_path):
    long = "word " * 2000
    parts = packed(("a-0.parquet", 0, table(messages[:3])), ("a-1.parquet", 3, table([None, long, ""])))
    first, second = AskParts(Asked(tiny, FEELS), PartFolder(tmp_path), None)(parts).to_pylist()
    assert (first["texts"], first["bad"], first["first_bad"], first["cut"]) == (3, 0, None, None)
    assert (second["texts"], second["bad"], second["first_bad"], second["cut"]) == (1, 2, 3, 1)
    assert pq.read_table(tmp_path / "a-1.parquet")["row"].to_pylist() == [3, 4, 5]


def test_what_is_there_is_not_written_again(tiny, messages, tmp_path):
    asks = AskParts(Asked(tiny, FEELS), PartFolder(tmp_path), None)
    asks(packed(("a-0.parquet", 0, table(messages[:3]))))
    before = (tmp_path / "a-0.parquet").stat().st_mtime_ns
    told = asks(packed(("a-0.parquet", 0, table(messages[:3])), ("a-1.parquet", 3, table(messages[3:6]))))
    assert len(told) == 1 and (tmp_path / "a-0.parquet").stat().st_mtime_ns == before


def test_vectors_of_two_embedders_are_not_mixed(tiny, messages, tmp_path):
    asks = AskParts(Asked(tiny, FEELS), PartFolder(tmp_path), "another's")
    with pytest.raises(ValueError, match="was made by another embedder than .* is now: choose another out, or empty"):
        asks(packed(("a-0.parquet", 0, table(messages[:3]))))
    assert not [*tmp_path.iterdir()]
