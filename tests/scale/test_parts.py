"""Parquet files in, parts out: found, cut, named, written whole, and never mixed with those of another run."""

import json
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from inbedder_utils.scale import parts
from inbedder_utils.scale.parts import PartFolder, find_sources, read_parts, unfinished

RUN = {"checkpoint": "mini", "questions": {"embedding": "What?"}}


def write(path, texts, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": pa.array(range(len(texts))), "text": pa.array(texts, pa.string())}), path, **options)
    return path


@pytest.fixture
def big(tmp_path):
    folder = tmp_path / "big"
    for name in ("b", "a", "2026/march"):
        write(folder / f"{name}.parquet", [f"{name} {i}" for i in range(5)])
    (folder / "notes.txt").write_text("no Parquet")
    return folder


def test_a_folder_a_pattern_and_names_give_the_same_files_in_one_order(big, monkeypatch):
    stems = ["2026/march", "a", "b"]
    assert [source.stem for source in find_sources(big)[1]] == stems
    assert [
        source.stem for source in find_sources([big / "b.parquet", str(big / "2026"), big / "a.parquet"])[1]
    ] == stems
    assert [source.stem for source in find_sources(f"{big}/*.parquet")[1]] == ["a", "b"]
    assert [source.stem for source in find_sources(f"file://{big}")[1]] == stems
    monkeypatch.chdir(big)
    (_, (relative,)) = find_sources("a.parquet")
    assert relative.file == str(big / "a.parquet") and relative.stem == "a"


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        ("none.parquet", FileNotFoundError, "there is no none.parquet"),
        ("big/*.csv", FileNotFoundError, r"there is no big/\*.csv"),
        ("big/notes.txt", ValueError, "unknown kind of file, big/notes.txt; read are those that end in '.txt'"),
        ("empty", ValueError, "empty holds no file that ends in .parquet"),
        ("nowhere://bucket", ValueError, "nowhere://bucket can't be reached"),
        ([], ValueError, "files is empty: pass at least one"),
        ([3], TypeError, "file must be a string, got 3"),
    ],
)
def test_places_without_files(big, monkeypatch, place, error, message):
    monkeypatch.chdir(big.parent)
    (big.parent / "empty").mkdir()
    with pytest.raises(error, match=message):
        find_sources(place)


@given(n=st.integers(0, 40), group=st.integers(1, 50), rows=st.integers(1, 20))
def test_parts_hold_every_row_once_in_order_whatever_the_row_groups(tmp_path_factory, n, group, rows):
    path = write(tmp_path_factory.mktemp("x") / "x.parquet", [str(i) for i in range(n)], row_group_size=group)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "ROWS", rows)
        _, (source,) = find_sources(path)
        found = list(read_parts(source, "text", frozenset()))
    assert [i for _, _, table in found for i in table["id"].to_pylist()] == list(range(n))
    assert [first for _, first, _ in found] == list(range(0, max(1, n), rows))
    assert {len(table) for _, _, table in found[:-1]} <= {rows}
    names = [name for name, _, _ in found]
    assert names == [source.part(i, len(names)) for i in range(len(names))]
    assert unfinished([source], names) == [] and unfinished([source], names[1:]) == [source]


def test_only_what_is_missing_is_read(big, monkeypatch):
    monkeypatch.setattr(parts, "ROWS", 2)
    _, (source,) = find_sources(big / "a.parquet")
    done = frozenset(["a-00000-of-00003.parquet", "a-00002-of-00003.parquet"])
    ((name, first, table),) = read_parts(source, "text", done)
    assert (name, first, table["id"].to_pylist()) == ("a-00001-of-00003.parquet", 2, [2, 3])


def test_a_row_group_is_not_read_at_once(tmp_path):
    path = write(tmp_path / "large.parquet", [os.urandom(100).hex() for _ in range(100_000)])
    size, before, most = path.stat().st_size, pa.total_allocated_bytes(), 0
    for _ in read_parts(find_sources(path)[1][0], "text", frozenset()):
        most = max(most, pa.total_allocated_bytes() - before)
    assert pq.ParquetFile(path).metadata.num_row_groups == 1 and most < size / 2


def test_categories_keep_every_row_too(tmp_path):
    cells = pd.Categorical([f"text {i % 700}" for i in range(5000)])
    pd.DataFrame({"id": range(5000), "text": cells}).to_parquet(tmp_path / "c.parquet", row_group_size=1500)
    found = [table for *_, table in read_parts(find_sources(tmp_path)[1][0], "text", frozenset())]
    assert [i for table in found for i in table["id"].to_pylist()] == list(range(5000))
    assert [text for table in found for text in table["text"].to_pylist()] == list(cells)


def test_text_that_is_not_utf8_is_a_bad_file(tmp_path):
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe")]
    )
    pq.write_table(pa.table({"text": broken}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="[Ii]nvalid UTF8"):
        list(read_parts(find_sources(tmp_path)[1][0], "text", frozenset()))


def test_out_may_lie_in_the_folder_and_hidden_files_are_passed_over(big):
    write(big / "out" / "a-00000-of-00001.parquet", ["a vector's"])
    write(big / ".ipynb_checkpoints" / "a.parquet", ["an old copy"])
    write(big / "_tmp.parquet", ["unfinished"])
    stems = [source.stem for source in find_sources(big, without=str(big / "out"))[1]]
    assert stems == ["2026/march", "a", "b"]


def test_parts_are_called_the_same_when_further_files_come(big):
    write(big.parent / "years" / "2026" / "march.parquet", ["a"])
    before = find_sources(big.parent / "years")
    write(big.parent / "years" / "2027" / "march.parquet", ["b"])
    after = find_sources(big.parent / "years")
    assert before[0] == after[0] and before[1] == after[1][:1]


def test_long_texts_make_small_parts(tmp_path):
    path = write(
        tmp_path / "long.parquet", [f"{i} {os.urandom(50_000).hex()}" for i in range(100)], use_dictionary=False
    )
    sizes = [len(table) for _, _, table in read_parts(find_sources(path)[1][0], "text", frozenset())]
    assert sum(sizes) == 100 and max(sizes) <= parts.BYTES / 100_000


def test_a_bad_file_says_what_is_wrong(big):
    (big / "a.parquet").write_bytes(b"PAR1 and nonsense")
    _, (broken, whole) = find_sources([big / "a.parquet", big / "b.parquet"])
    with pytest.raises((OSError, ValueError)):
        list(read_parts(broken, "text", frozenset()))
    with pytest.raises(ValueError, match=r"it has no column 'review', but \['id', 'text'\]"):
        list(read_parts(whole, "review", frozenset()))


def test_a_run_goes_on_with_more_files_but_not_with_other_settings_or_changed_files(big, tmp_path):
    folder = PartFolder(tmp_path / "out")
    _, sources = find_sources([big / "a.parquet", big / "b.parquet"])
    assert folder.start(RUN, sources[:1]) == frozenset()
    assert folder.start(RUN | {"checkpoint": "tiny"}, sources[:1]) == frozenset()  # nothing was made yet
    folder.start(RUN, sources[:1])
    folder.write("a-00000-of-00001.parquet", pa.table({"text": ["x"]}))
    assert folder.start(RUN, sources) == {"a-00000-of-00001.parquet"}
    assert [*json.loads((tmp_path / "out" / "_run.json").read_text())["files"]] == ["a", "b"]
    with pytest.raises(ValueError, match="was made with checkpoint 'mini', not 'tiny': choose another out"):
        folder.start(RUN | {"checkpoint": "tiny"}, sources)
    write(big / "a.parquet", ["changed"])
    with pytest.raises(ValueError, match=r"files that have changed since .* was made of them: 1, a: choose"):
        folder.start(RUN, find_sources([big / "a.parquet", big / "b.parquet"])[1])


def test_the_last_run_in_a_folder_is_the_only_one(tmp_path):
    first, second = PartFolder(tmp_path), PartFolder(tmp_path)
    first.start(RUN, [])
    second.start(RUN, [])
    second.write("a-00000-of-00001.parquet", pa.table({"text": ["x"]}))
    with pytest.raises(ValueError, match="another run has begun in .*: this one ends"):
        first.write("b-00000-of-00001.parquet", pa.table({"text": ["x"]}))


def test_parts_have_one_embedder(tmp_path):
    folder = PartFolder(tmp_path)
    folder.start(RUN, [])
    folder.check_embedder("one")
    folder.start(RUN, [])
    folder.check_embedder("another")  # nothing was made yet
    folder.write("a-00000-of-00001.parquet", pa.table({"text": ["x"]}))
    folder.start(RUN, [])
    folder.check_embedder("another")
    with pytest.raises(ValueError, match="was made by another embedder of that name than is loaded now"):
        folder.check_embedder("one")


def test_folders_of_others_are_left_alone(big, tmp_path):
    with pytest.raises(ValueError, match="holds other files: choose another out"):
        PartFolder(big).start(RUN, [])
    with pytest.raises(NotADirectoryError, match="a.parquet is a file"):
        PartFolder(big / "a.parquet").start(RUN, [])


@pytest.mark.parametrize("remote", [False, True])
def test_a_part_appears_whole_or_not_at_all_and_what_was_killed_is_cleared_away(tmp_path, monkeypatch, remote):
    folder = PartFolder(tmp_path)
    if remote:  # a file system that is not this machine's, as far as the code can tell
        folder.files, folder.path = SubTreeFileSystem(str(tmp_path), LocalFileSystem()), "vectors"
    place = tmp_path / "vectors" if remote else tmp_path
    folder.start(RUN, [])
    folder.write("2026/a-00000-of-00001.parquet", pa.table({"text": ["x"]}))
    assert folder.has("2026/a-00000-of-00001.parquet") and not folder.has("b-00000-of-00001.parquet")
    (place / "2026" / ".0123.part").write_bytes(b"half")
    folder.start(RUN, [])
    files = sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())
    assert files == ["2026/a-00000-of-00001.parquet", "_run.json", "_turn"]
    assert pq.read_table(place)["text"].to_pylist() == ["x"]


def test_a_damaged_account_of_a_run_is_named(tmp_path):
    folder = PartFolder(tmp_path)
    folder.start(RUN, [])
    folder.write("a-00000-of-00001.parquet", pa.table({"text": ["x"]}))
    (tmp_path / "_run.json").write_text("{")
    with pytest.raises(ValueError, match="_run.json is damaged: choose another out"):
        folder.start(RUN, [])
