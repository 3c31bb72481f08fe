"""Texts come out of files as they went in, and what is wrong with a file is said before any work."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbedder_utils.cli.tables import check_output, output_files, read_texts, write_vectors

AWKWARD = ["a, b", 'she said "no"', "two\nlines", "lone\rreturn", "\u2028 Ünï 𝛼 🎉", "NA", "  padded ", "00123"]
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=8)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def vectors_for(texts, width=3):
    return np.random.default_rng(0).normal(size=(len(texts), width)).astype(np.float32)


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
@given(texts=TEXTS)
@QUICK
def test_any_texts_and_vectors_round_trip(tmp_path, extension, texts):
    path, vectors = tmp_path / f"out{extension}", vectors_for(texts)
    write_vectors(path, vectors, texts, answers=texts[::-1])
    assert read_texts(path) == texts
    assert read_texts(path, "answer") == texts[::-1]


@given(texts=TEXTS)
@QUICK
def test_any_texts_round_trip_through_json(tmp_path, texts):
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts), "utf-8", newline="")
    assert read_texts(path) == texts
    path = path.with_suffix(".json")
    path.write_text(json.dumps([{"text": t} for t in texts], indent=1), "utf-8")
    assert read_texts(path) == texts


def test_awkward_texts_survive_a_table_written_by_pandas(tmp_path):
    pd.DataFrame({"text": AWKWARD, "stars": 5}).to_csv(tmp_path / "t.csv", lineterminator="\r\n")
    pd.DataFrame({"text": AWKWARD, "stars": 5}).to_csv(tmp_path / "t.tsv", sep="\t", lineterminator="\r\n")
    pd.DataFrame({"text": AWKWARD, "stars": 5}).to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.tsv", "t.parquet"):
        assert read_texts(tmp_path / name) == AWKWARD


def test_plain_text_keeps_its_lines(write):
    assert read_texts(write("a.txt", "one\n\nthree\u2028still three\n")) == ["one", "", "three\u2028still three"]
    assert read_texts(write("b.txt", b"\xef\xbb\xbfone\r\ntwo")) == ["one", "two"]


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("review\nfine\nNA\n", ["fine", "NA"]),
        ("text,stars\nfine,5\n\n,\n", ["fine"]),
        ("text;stars\nfine, really;5\n", ["fine, really"]),
        ("\ufefftext,stars\nfine,5\n", ["fine"]),
        ('text,stars\n"' + "long " * 40_000 + '",5\n', ["long " * 40_000]),
    ],
    ids=["one column", "empty rows at the end", "semicolons", "byte order mark", "very long"],
)
def test_csv_dialects(write, content, texts):
    assert read_texts(write("a.csv", content)) == texts


@pytest.mark.parametrize(
    ("name", "content", "column", "message"),
    [
        ("a.xlsx", "x", None, r"unknown file type .*'\.xlsx': expected one of \.txt, \.csv, .*\.parquet"),
        ("a.csv", "id,review\n1,x\n", None, r"no column called 'text'; choose one .*--column.*: id, review"),
        ("a.csv", "id,review\n1,x\n", "reviw", r"'reviw': expected one of id, review; did you mean 'review'\?"),
        ("a.csv", "text,text\n1,x\n", None, "2 columns called 'text'"),
        ("a.csv", "text,stars\nx,1\n,2\ny,3\n,4\n", None, r"2 of 4 texts are missing .*row 3, 5\): fill them in"),
        ("a.csv", 'text\nx\n""\n', None, r"1 of 2 texts are missing .*row 3"),
        ("a.csv", "text\nx\n\ny\n", None, r"1 of 3 texts are missing .*row 3"),
        ("a.csv", "text,stars\nx,1\nGood, cheap,5\n", None, r"row 3 .* has 3 cells, .* names 2 columns"),
        ("a.csv", "text,stars\nBroken off\ncheap,5\n", None, r"row 2 .* has 1 cells, .* names 2 columns"),
        ("a.csv", 'text\n"never closed\n', None, "can't be read, line 2: unexpected end"),
        ("a.csv", "", None, "is empty"),
        ("a.csv", "text,stars\n", None, "is empty"),
        ("a.txt", "", None, "is empty"),
        ("a.txt", "x\n", "text", "leave out column"),
        ("a.txt", b"caf\xe9\n", None, r"not UTF-8 text .* at byte 3.*save it again as UTF-8"),
        ("a.jsonl", '{"text": "x"}\n{"text": \n', None, "line 2, column .*JSON object per line"),
        ("a.json", '[{"text": "x"},\n oops]', None, "line 2, column 2"),
        ("a.jsonl", '{"text": "x"}\n"y"\n', None, "row 2 .* is a str: expected an object"),
        ("a.jsonl", '{"text": "x"}\n{"id": 1}\n{"text": null}\n', None, r"2 of 3 .*row 2, 3"),
        ("a.json", "[]", None, "is empty"),
        ("a.parquet", "nothing of the kind", None, "can't be read as Parquet: .*is the file complete"),
    ],
)
def test_errors_say_what_is_wrong(write, name, content, column, message):
    with pytest.raises(ValueError, match=message):
        read_texts(write(name, content), column)


def test_json_is_read_as_it_stands(write):
    rows = [{"text": "007", "id": 10**30}, {"text": "2020-01-01"}, {"text": "half a pair: \ud83d!"}]
    assert read_texts(write("a.jsonl", "\n\n".join(map(json.dumps, rows)))) == [row["text"] for row in rows]
    assert read_texts(write("a.json", json.dumps(rows))) == [row["text"] for row in rows]


def test_an_unreadable_file_keeps_its_cause(write):
    with pytest.raises(ValueError) as caught:
        read_texts(write("a.parquet", "nothing of the kind"))
    assert isinstance(caught.value.__cause__, pa.ArrowException)


def test_missing_files_and_folders_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.csv does not exist \(looked in"):
        read_texts(tmp_path / "a.csv")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        read_texts(tmp_path)


def test_numbers_are_not_texts(tmp_path):
    pd.DataFrame({"stars": [5, 4], "text": ["x", None]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(TypeError, match="row 1 of column 'stars' .* is a int, not text: choose another column"):
        read_texts(tmp_path / "a.parquet", "stars")
    with pytest.raises(ValueError, match=r"1 of 2 texts are missing .*row 2"):
        read_texts(tmp_path / "a.parquet")


def test_npy_has_its_answers_beside_it(tmp_path):
    vectors, path = vectors_for(AWKWARD), tmp_path / "v.npy"
    assert write_vectors(path, vectors.astype(np.float64), AWKWARD) == [path] == output_files(path, answers=False)
    written = write_vectors(path, vectors, AWKWARD, AWKWARD[::-1])
    assert written == [path, tmp_path / "v.answers.csv"] == output_files(path, answers=True)
    stored = np.load(path)
    assert stored.dtype == np.float32 and np.array_equal(stored, vectors)
    assert read_texts(written[1], "text") == AWKWARD and read_texts(written[1], "answer") == AWKWARD[::-1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["v.answers.csv", "v.npy"]


def test_parquet_and_csv_hold_the_exact_vectors(tmp_path):
    vectors = vectors_for(AWKWARD)
    write_vectors(tmp_path / "v.parquet", vectors, AWKWARD)
    assert pq.read_schema(tmp_path / "v.parquet").field("embedding").type == pa.list_(pa.float32(), 3)
    table = pd.read_parquet(tmp_path / "v.parquet")
    assert list(table) == ["text", "embedding"] and np.array_equal(np.stack(table["embedding"]), vectors)
    write_vectors(tmp_path / "v.csv", vectors, AWKWARD, AWKWARD)
    table = pd.read_csv(tmp_path / "v.csv", keep_default_na=False)
    assert list(table) == ["text", "answer", "e0", "e1", "e2"]
    assert np.array_equal(table[["e0", "e1", "e2"]].to_numpy(np.float32), vectors)


@pytest.mark.parametrize("name", ["v.csv", "v.parquet", "v.npy"])
def test_lone_surrogates_do_not_lose_the_vectors(tmp_path, name):
    *_, texts = write_vectors(tmp_path / name, vectors_for("a"), ["a\ud800"], ["b"])
    assert read_texts(texts, "text") == ["a\ufffd"]


@pytest.mark.parametrize("name", ["v.csv", "v.parquet", "v.npy"])
def test_an_interrupted_write_leaves_the_old_files(tmp_path, name, monkeypatch):
    def interrupted(descriptor):
        raise KeyboardInterrupt

    files = write_vectors(tmp_path / name, vectors_for("ab"), ["a", "b"], ["c", "d"])
    before = [path.read_bytes() for path in files]
    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_vectors(tmp_path / name, 2 * vectors_for("ab"), ["e", "f"], ["g", "h"])
    assert [path.read_bytes() for path in files] == before
    assert sorted(tmp_path.iterdir()) == sorted(files)


def test_counts_must_agree(tmp_path):
    for vectors, texts, answers in [(np.zeros((2, 3)), ["a"], None), (np.zeros(3), ["a"] * 3, None)]:
        with pytest.raises(ValueError, match="vectors must be"):
            write_vectors(tmp_path / "v.npy", vectors, texts, answers)
    with pytest.raises(ValueError, match=r"got \(1, 3\), 1 texts and 2 answers"):
        write_vectors(tmp_path / "v.npy", np.zeros((1, 3)), ["a"], ["b", "c"])
    assert not list(tmp_path.iterdir())


def test_output_is_checked_first(tmp_path):
    with pytest.raises(ValueError, match=r"'\.xlsx': expected one of \.npy, \.parquet, \.csv"):
        check_output(tmp_path / "v.xlsx")
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere; create it"):
        check_output(tmp_path / "nowhere" / "v.npy")
    (tmp_path / "v.npy").mkdir()
    with pytest.raises(PermissionError, match="can't be written .*choose another place"):
        check_output(tmp_path / "v.npy")
    assert check_output(tmp_path / "V.NPY") == tmp_path / "V.NPY"
    assert [path.name for path in tmp_path.iterdir()] == ["v.npy"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link.npy").symlink_to(tmp_path / "real.npy")
    write_vectors(tmp_path / "link.npy", vectors_for("a"), ["a"])
    assert (tmp_path / "link.npy").is_symlink() and np.load(tmp_path / "real.npy").shape == (1, 3)
