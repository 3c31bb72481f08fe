"""What one actor does, without Ray: rows in, rows with vectors out, parts written once."""

from types import SimpleNamespace

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
    again = AskRows(Asked(tiny, FEELS))(AskRows(Asked(tiny, FEELS))(rows)).column_names
    assert len({*again}) == len(again) == 6


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
    assert Asked("mini", FEELS).checkpoint == "mini", "a listed name is no folder"


def test_a_setting_that_is_none_is_one_that_was_left_out():
    assert Asked("mini", FEELS, settings={"pooling": None, "layer": 1}).said()["settings"] == {"layer": "1"}


@pytest.mark.parametrize(
    ("encoder", "more", "message"),
    [
        (SimpleNamespace(encode=len), {}, "has no encode_many: pass one that takes several questions"),
        (
            SimpleNamespace(encode=len, encode_many=len),
            {"answers": True},
            "has no encode_with_answers: leave out answers",
        ),
        (SimpleNamespace(encode=len, encode_many=len), {"settings": {"layer": 1}}, r"leave out \['layer'\]"),
    ],
)
def test_encoders_that_do_not_fit_are_refused(encoder, more, message):
    with pytest.raises(ValueError, match=message):
        Asked(encoder, FEELS, **more)


def test_an_encoder_that_cannot_be_told_from_others_is_refused():
    class Nameless:
        encode = encode_many = len

    with pytest.raises(ValueError, match="can't be told from others .*: give its class a __repr__"):
        Asked(Nameless(), FEELS)


def test_rows_without_the_column_say_which_there_are(tiny):
    with pytest.raises(ValueError, match=r"rows have no column 'review', but \['id', 'text'\]"):
        AskRows(Asked(tiny, FEELS, column="review"))(table(["a text"]))


def packed(*parts):
    rows = [{"file": "a.parquet", "part": name, "first": first, "rows": _packed(of)} for name, first, of in parts]
    return pa.Table.from_pylist(rows, PACKED)


@pytest.fixture
def folder(tmp_path):
    folder = PartFolder(tmp_path)
    folder.start({}, [])
    return folder


def test_parts_are_written_with_the_numbers_of_their_rows_and_told_of(tiny, messages, folder, tmp_path):
    long = "word " * 2000
    parts = packed(("a-0.parquet", 0, table(messages[:3])), ("a-1.parquet", 3, table([None, long, ""])))
    first, second = AskParts(Asked(tiny, FEELS), folder)(parts).to_pylist()
    assert (first["texts"], first["bad"], first["first_bad"], first["cut"]) == (3, 0, None, 0)
    assert (second["texts"], second["bad"], second["first_bad"], second["cut"]) == (1, 2, 3, 1)
    assert pq.read_table(tmp_path / "a-1.parquet")["row"].to_pylist() == [3, 4, 5]


def test_what_is_there_is_told_of_but_not_written_again(tiny, messages, folder, tmp_path):
    asks = AskParts(Asked(tiny, FEELS), folder)
    asks(packed(("a-0.parquet", 0, table([*messages[:3], None]))))
    before = (tmp_path / "a-0.parquet").stat().st_mtime_ns
    told = asks(packed(("a-0.parquet", 0, table([*messages[:3], None])), ("a-1.parquet", 4, table(messages[3:6]))))
    assert told["texts"].to_pylist() == [3, 3] and told["first_bad"].to_pylist() == [3, None]
    assert (tmp_path / "a-0.parquet").stat().st_mtime_ns == before


def test_a_part_has_the_same_bytes_whatever_is_asked_beside_it(tiny, messages, folder, tmp_path):
    AskParts(Asked(tiny, FEELS), folder)(packed(*((f"a-{i}.parquet", 0, table(messages[i::7])) for i in range(7))))
    together = (tmp_path / "a-3.parquet").read_bytes()
    (tmp_path / "a-3.parquet").unlink()
    AskParts(Asked(tiny, FEELS), folder)(packed(("a-3.parquet", 0, table(messages[3::7]))))
    assert (tmp_path / "a-3.parquet").read_bytes() == together


def test_vectors_of_two_embedders_are_not_mixed(tiny, messages, folder, tmp_path):
    (tmp_path / "_embedder").write_text("another's")
    with pytest.raises(ValueError, match="was made by another embedder of that name"):
        AskParts(Asked(tiny, FEELS), folder)(packed(("a-0.parquet", 0, table(messages[:3]))))
    assert not [*tmp_path.glob("*.parquet")]


def test_an_error_of_the_encoder_says_where_it_was(tiny, folder):
    long = AskParts(Asked(tiny, "why " * 1000), folder)
    with pytest.raises(ValueError, match="leaves no room for the text: .*; it was in a.parquet, rows 7 to 8"):
        long(packed(("a-0.parquet", 7, table(["a text", "another"]))))
