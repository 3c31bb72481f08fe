"""Texts come out of files as they went in, and what is wrong with a file is said before any work."""

import gzip
import io
import json
import re

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbedder_utils.cli.corpus import read_corpus
from inbedder_utils.cli.tables import check_output, output_files, write_vectors

AWKWARD = ["a, b", 'she said "no"', "two\nlines", "lone\rreturn", "\u2028 Ünï 𝛼 🎉", "NA", "  padded ", "00123"]
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"])).map("x{}".format), min_size=1, max_size=8)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_texts(path, column=None, **how):
    return read_corpus(path, column, **how).texts


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
    assert read_texts(write("a.txt", "one\n\nthree\u2028still three\n")) == ["one", "three\u2028still three"]
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


def excel(rows, title="reviews"):
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    book.create_sheet("notes")
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("a.csv", "text,id\nthe café – closed,1\n".encode("cp1252"), "is not UTF-8: read as cp1252"),
        ("a.csv", "text,id\nthe café – closed,1\n".encode("utf-16"), None),
        ("a.csv", "text|id, or so\nthe café – closed|1\n", None),
        ("a.csv", "text,id,,\nthe café – closed,1,,\n", None),
        ("a.csv.gz", gzip.compress("text,id\nthe café – closed,1\n".encode(), mtime=0), None),
        ("a.csv", "review,id\nthe café – closed,1\n", "the texts are those of column 'review', the longest"),
        (
            "a.csv",
            "the café – closed,1\nanother one,2\n",
            "the first line of .* is not one of names: columns are called 1 to 2",
        ),
        (
            "a.xlsx",
            excel([["text", "stars"], ["the café – closed", 5], [None, None]]),
            "2 sheets: the first, 'reviews'",
        ),
        ("a.json", '["the café – closed"]', None),
        ("a.jsonl", '"the café – closed"\n', None),
        ("a.json", '{"text": {"0": "the café – closed"}, "id": {"0": 1}}', None),
        ("a.json", '{"0": {"text": "the café – closed", "id": 1}}', None),
        ("a.json", '[["the café – closed", 5], ["open", 3]]', "is not one of names"),
        ("a.json", '{"columns": ["text", "id"], "index": [0], "data": [["the café – closed", 1]]}', None),
        ("a.json", '{"about": "cafés", "cafés": ["the café – closed", "the café – closed"]}', None),
    ],
)
def test_files_as_people_have_them_are_read_and_what_was_assumed_is_said(write, name, content, note):
    corpus = read_corpus(write(name, content))
    assert corpus.texts[0] == "the café – closed"
    assert not corpus.notes if note is None else re.search(note, corpus.notes[0])


@pytest.mark.parametrize("orient", ["records", "columns", "index", "split", "table"])
def test_every_layout_of_pandas_that_names_columns_is_read(tmp_path, orient):
    table = pd.DataFrame({"text": AWKWARD, "stars": range(len(AWKWARD))})
    table.to_json(tmp_path / "a.json", orient=orient)
    corpus = read_corpus(tmp_path / "a.json")
    assert corpus.texts == AWKWARD and corpus.others["stars"].tolist() == table["stars"].tolist()


def test_quotes_that_pandas_reads_are_read_as_pandas_does(write):
    path = write("a.csv", 'text,id\na 5" disk,1\n"good" they said,2\n')
    assert read_texts(path) == pd.read_csv(path)["text"].tolist() == ['a 5" disk', "good they said"]
    path = write("b.tsv", 'text\tid\n"Never closed\t1\nit works\t2\n')
    corpus = read_corpus(path)
    assert corpus.texts == ['"Never closed', "it works"] and "quotes that are not closed" in corpus.notes[0]


def test_a_first_line_without_names_is_found_out_or_told(write):
    rows = "".join(f"ham\tsee you at {i}, then\n" for i in range(9))
    assert len(read_texts(write("a.tsv", rows))) == 9
    assert len(read_texts(write("a.tsv", rows), header=True)) == 8
    assert read_texts(write("b.csv", "it works\nit does not\n"), header=False) == ["it works", "it does not"]
    with pytest.raises(ValueError, match="txt files have no header to choose: leave out --header"):
        read_texts(write("c.txt", "it works"), header=False)


def test_encoding_and_separator_can_be_named(write):
    path = write("a.csv", "text~id\nпоезд~1\n".encode("koi8-r"))
    assert read_texts(path, encoding="koi8-r", separator="~") == ["поезд"]
    with pytest.raises(ValueError, match="unknown encoding 'koi9'"):
        read_texts(path, encoding="koi9")
    with pytest.raises(ValueError, match="the separator must be one character, or tab, got '~~'"):
        read_texts(path, separator="~~")


def test_blank_texts_are_counted_and_keep_their_place(write):
    corpus = read_corpus(write("a.csv", "text,id\nx,1\n,2\ny,3\n  ,4\n"))
    assert corpus.texts == ["x", "y"] and corpus.places.tolist() == [0, 2]
    assert corpus.notes == ["2 of 4 texts are blank (row 3, 5) and left out; their rows stay"]
    assert len(corpus.others) == 4


def test_a_part_of_the_rows_can_be_read(write):
    path = write("a.txt", "\n".join(f"text {i}" for i in range(100)))
    assert read_texts(path, limit=3) == ["text 0", "text 1", "text 2"]
    drawn = read_texts(path, sample=5, seed=1)
    assert drawn == read_texts(path, sample=5, seed=1) != read_texts(path, sample=5)
    assert len(drawn) == 5 and drawn == sorted(drawn, key=lambda text: int(text.split()[1])) != read_texts(
        path, limit=5
    )


def test_labels_may_be_missing(write):
    assert read_corpus(write("a.csv", "text,kind\nx,a\ny,\n,b\n")).labels("kind") == ["a", None]


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
def test_other_columns_stay_beside_the_vectors_ids_first(tmp_path, extension):
    others = pd.DataFrame({"answer": ["a", "a", "b"], "id": ["07", "08", "09"], "e0": [1, 1, 10**30]}, dtype=object)
    path = tmp_path / f"v{extension}"
    write_vectors(path, vectors_for("xy", 2), ["x", "y"], ["p", "q"], others=others, places=[0, 2])
    table = pd.read_csv(path, dtype={"id": str}) if extension == ".csv" else pd.read_parquet(path)
    vectors = ["e0", "e1"] if extension == ".csv" else ["embedding"]
    assert list(table) == ["id", "text", "answer", "answer (input)", "e0 (input)", *vectors]
    assert table["id"].tolist() == ["07", "08", "09"] and table["e0 (input)"].map(str).tolist()[2] == str(10**30)
    assert table["answer"].fillna("").tolist() == ["p", "", "q"]
    assert table[vectors[0]].isna().tolist() == [False, True, False]


def test_rows_without_a_text_are_nan_in_an_array(tmp_path):
    write_vectors(
        tmp_path / "v.npy", vectors_for("xy"), ["x", "y"], others=pd.DataFrame({"id": range(3)}), places=[0, 2]
    )
    assert np.isnan(np.load(tmp_path / "v.npy")).any(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("name", "content", "column", "message"),
    [
        ("a.docx", "x", None, r"unknown file type .*'\.docx': expected one of \.txt, \.csv, .*\.parquet"),
        ("a.xlsx", "x", None, r"can't be read as Excel: .*is the file complete"),
        ("a.csv.gz", "x", None, r"can't be unpacked .*is the file complete"),
        ("a.csv", "id,review\n1,x\n", None, r"no column called 'text'; choose one .*--column.*: id, review"),
        ("a.csv", "id,review\n1,x\n", "reviw", r"'reviw': expected one of id, review; did you mean 'review'\?"),
        ("a.csv", "text,text\n1,x\n", None, "2 columns called 'text'"),
        ("a.csv", "text,stars\nx,1\nGood, cheap,5\n", None, r"row 3 .* has 3 cells, .* has 2"),
        ("a.csv", "text,stars\nBroken off\ncheap,5\n", None, r"row 2 .* has 1 cells, .* has 2"),
        ("a.csv", 'text,stars\n"never, closed\n', None, "can't be read, line 2: a text in quotes never ends"),
        ("a.csv", "text,stars\n,1\n ,2\n", None, "all 2 texts in column 'text' .* are blank: choose another column"),
        ("a.csv", "", None, "is empty"),
        ("a.csv", "text,stars\n", None, "is empty"),
        ("a.txt", "", None, "is empty"),
        ("a.txt", "x\n", "text", "leave out column"),
        ("a.txt", b"caf\x8f\n", None, r"not text in utf-8-sig or cp1252 .* at byte 3.*name its --encoding"),
        ("a.jsonl", '{"text": "x"}\n{"text": \n', None, "line 2, column .*JSON object per line"),
        ("a.json", '[{"text": "x"},\n oops]', None, "line 2, column 2"),
        ("a.jsonl", '{"text": "x"}\n7\n', None, "row 2 .* is a int: expected a string, or an object"),
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
    (tmp_path / "a.csv").write_text("text,stars\nx,5\ny,NaN\n")
    for name, first in (("a.parquet", "5"), ("a.csv", "'5'")):
        with pytest.raises(TypeError, match=rf"'stars' .* holds no text \(such as {first}\): choose .*--force-text"):
            read_texts(tmp_path / name, "stars")
    assert read_texts(tmp_path / "a.parquet", "stars", force_text=True) == ["5", "4"]


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
