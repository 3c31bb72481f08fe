"""What was encoded once is read back bit by bit, whatever happens to the process, the file, or the disk."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbedder_utils.storage import vector_cache
from inbedder_utils.storage.cache_folder import delete_cache, find_caches, list_caches
from inbedder_utils.storage.vector_cache import VectorCache

MINI = {"checkpoint": {"name": "mini", "pooling": "avg_gen", "layer": -1}, "weights": "0123"}
TINY = {"checkpoint": {"name": "tiny", "pooling": "fst_gen", "layer": 3}, "weights": "4567"}
TEXTS = [
    "It came late.",
    "It came late",
    "",
    " ",
    "e\u0301 \u00e9 🎉 \x00",
    "half a pair: \ud83d",
    "half a pair: \ud83c",
    "long " * 10_000,
]
ASK = "How does the customer feel?"


def vectors_for(texts, width=24):
    """A row for each text that depends on nothing else, with some of the awkward numbers."""
    rows = np.stack([np.random.default_rng([*map(ord, text)]).normal(size=width) for text in texts]).astype(np.float32)
    rows[:, :4] = [-0.0, np.inf, np.nan, 1e-42]
    return rows


def put(cache, texts, ask=ASK):
    cache.put(texts, [ask] * len(texts), vectors_for(texts))


def get(cache, texts, ask=ASK):
    return cache.get(texts, [ask] * len(texts))


def assert_kept(cache, texts, ask=ASK):
    for vector, expected in zip(get(cache, texts, ask), vectors_for(texts), strict=True):
        assert vector.dtype == np.float32 and vector.tobytes() == expected.tobytes()


def assert_none(vectors):
    assert all(vector is None for vector in vectors)


def assert_sound(folder):
    """All files are whole in SQLite's own eyes, and no vector is damaged."""
    for path in folder.glob("*.sqlite"):
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            for key, vector, checksum in db.execute("SELECT key, vector, checksum FROM vectors"):
                assert checksum == hashlib.blake2b(key + vector, digest_size=8).digest()


@pytest.fixture
def cache(tmp_path):
    return VectorCache(tmp_path / "cache", MINI)


@pytest.fixture
def kept(cache):
    """The path of a cache that holds the texts."""
    put(cache, TEXTS)
    return cache.path


@pytest.fixture
def start():
    """Start a program that has the names of this module; its output is read line by line."""
    running = []

    def started(program, *arguments):
        folders = [ROOT, ROOT / "tests", ROOT / "tests" / "storage"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
        command = [sys.executable, "-W", "error", "-c", f"from {__name__} import *\n" + textwrap.dedent(program)]
        process = subprocess.Popen([*command, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield started
    for process in running:
        process.kill()
        process.communicate()


def test_vectors_come_back_bit_by_bit_in_another_process_too(cache, start):
    assert_none(get(cache, TEXTS))
    put(cache, TEXTS)
    assert_kept(cache, [*TEXTS, *TEXTS[::-1]])
    program = "assert_kept(VectorCache(sys.argv[1], MINI), TEXTS)"
    assert start(program, cache.path.parent).wait() == 0
    assert [path.name for path in cache.path.parent.iterdir()] == [cache.path.name]


def test_only_what_was_put_is_found(cache):
    put(cache, TEXTS[:2])
    assert [vector is not None for vector in get(cache, TEXTS)] == [True, True] + [False] * (len(TEXTS) - 2)
    put(cache, TEXTS, "\ud83d?")
    for other in (ASK + " ", "\ud83c?", "??"):
        assert_none(get(cache, TEXTS, other))
    assert_none(get(cache, [text + "!" for text in TEXTS]))
    assert cache.get([], []) == []


@pytest.mark.parametrize("other", [TINY, MINI | {"weights": "0124"}, MINI | {"dtypes": []}, {}])
def test_another_embedder_finds_nothing(kept, other):
    assert_none(get(VectorCache(kept.parent, other), TEXTS))
    assert_kept(VectorCache(kept.parent, dict(reversed(MINI.items()))), TEXTS)


@given(joined=st.text(st.characters(), max_size=12))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_where_the_instruction_ends_and_the_text_begins_counts(cache, joined):
    cuts = range(len(joined) + 1)
    instructions, texts = [joined[:i] for i in cuts], [joined[i:] for i in cuts]
    vectors = np.arange(len(cuts), dtype=np.float32)[:, None]
    cache.put(texts, instructions, vectors)
    assert [vector[0] for vector in cache.get(texts, instructions)] == list(cuts)


def test_thousands_of_vectors_at_once(cache):
    texts = [f"text {i}" for i in range(2500)]
    put(cache, texts[::2])
    assert_kept(cache, texts[::2])
    assert [vector is None for vector in get(cache, texts)] == [False, True] * 1250


def test_a_later_put_replaces_an_earlier_one(cache):
    cache.put(["a", "a"], ["q", "q"], np.float32([[1], [2]]))
    cache.put(["a"], ["q"], np.float32([[3]]))
    assert cache.get(["a"], ["q"])[0].tolist() == [3]
    assert list_caches(cache.path.parent)["vectors"].tolist() == [1]


@pytest.mark.parametrize("vectors", [np.zeros((1, 3)), np.zeros(2), np.zeros((2, 3, 1))])
def test_vectors_that_do_not_fit_the_texts_are_refused(cache, vectors):
    with pytest.raises(ValueError, match=r"vectors must be \(2, d\), one per text; got \("):
        cache.put(["a", "b"], ["q", "q"], vectors)


def test_a_put_that_fails_leaves_nothing_behind(cache, monkeypatch):
    put(cache, TEXTS[:1])
    connect = vector_cache.connect

    def on_a_full_disk(path):  # a limit on pages is the size of one
        db = connect(path)
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
        return db

    many = [f"text {i}" for i in range(500)]
    with monkeypatch.context() as patched:
        patched.setattr(vector_cache, "connect", on_a_full_disk)
        with pytest.raises(OSError, match="can't be used .*full.*: make room on the disk, or choose another folder"):
            put(cache, many)
    assert_none(get(cache, many))
    assert_kept(cache, TEXTS[:1])
    put(cache, many)
    assert_kept(cache, many)


def test_a_write_error_of_the_disk_is_explained(tmp_path, start):
    program = """
        import resource
        cache = VectorCache(sys.argv[1], MINI)
        put(cache, TEXTS)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        with pytest.raises(OSError, match="can't be used .*I/O error.*: see whether the disk is full, over quota"):
            put(cache, [f"text {i}" for i in range(5000)])
        assert_kept(cache, TEXTS)
    """
    pytest.importorskip("resource")
    assert start(program, tmp_path).wait() == 0
    assert_sound(tmp_path)


def test_finished_puts_survive_kill_9(tmp_path, start):
    program = """
        cache = VectorCache(sys.argv[1], MINI)
        for i in range(int(sys.argv[2]), 10_000):
            put(cache, [f"{i} {j}" for j in range(300)])
            print(i, flush=True)
    """
    done = 0
    for more in (1, 4, 9):
        process = start(program, tmp_path, done)
        for _ in range(more):
            done = int(process.stdout.readline()) + 1
        process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        process.wait()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            cache = VectorCache(tmp_path, MINI)
            assert_kept(cache, [f"{i} {j}" for i in range(done) for j in range(300)])
            unfinished = [vector is None for vector in get(cache, [f"{done} {j}" for j in range(300)])]
            assert len(set(unfinished)) == 1  # all or none
    assert_sound(tmp_path)


def test_two_processes_at_once_both_finish_with_right_vectors(tmp_path, start):
    program = """
        texts = [f"text {i}" for i in range(400)]
        cache = VectorCache(sys.argv[1], MINI)
        for start in np.random.default_rng(int(sys.argv[2])).integers(0, 380, 30):
            part = texts[start : start + 20]
            missing = [text for text, vector in zip(part, get(cache, part)) if vector is None]
            if missing:
                put(cache, missing)
            put(cache, part[:2])
            assert_kept(cache, part)
    """
    for process in [start(program, tmp_path, seed) for seed in (0, 1)]:
        assert process.wait() == 0
    assert_sound(tmp_path)


@pytest.mark.parametrize("shared", [True, False])
def test_eight_threads_at_once(tmp_path, shared):
    one = VectorCache(tmp_path, MINI)

    def work(thread):
        cache = one if shared else VectorCache(tmp_path, MINI)
        for i in range(5):
            part = [f"text {j}" for j in range(10 * i, 10 * i + 15)] + [f"of thread {thread}"]
            get(cache, part)
            put(cache, part)
            assert_kept(cache, part)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert_sound(tmp_path)


def flip_a_byte_of(path, vector):
    content = bytearray(path.read_bytes())
    content[content.index(vector.tobytes()) + 60] ^= 1
    path.write_bytes(content)


def test_a_damaged_vector_is_named_and_can_be_replaced(kept):
    flip_a_byte_of(kept, vectors_for(TEXTS)[1])
    cache = VectorCache(kept.parent, MINI)
    damaged = r"1 of 8 vectors in .*\.sqlite are damaged, .* 'It came late': .* again"
    with pytest.warns(UserWarning, match=damaged) as warned:
        vectors = get(cache, TEXTS)
    assert len(warned) == 1
    assert [vector is None for vector in vectors] == [text == TEXTS[1] for text in TEXTS]
    put(cache, TEXTS[1:2])
    assert_kept(cache, TEXTS)
    assert_sound(kept.parent)


def test_many_damaged_vectors_are_one_warning(kept):
    for vector in vectors_for(TEXTS)[1:4]:
        flip_a_byte_of(kept, vector)
    with pytest.warns(UserWarning, match="3 of 8 vectors in .* the first that of 'It came late'") as warned:
        assert [vector is None for vector in get(VectorCache(kept.parent, MINI), TEXTS)].count(True) == 3
    assert len(warned) == 1


def test_a_vector_in_the_place_of_another_is_not_returned(kept):
    with closing(sqlite3.connect(kept)) as db, db:
        db.execute("UPDATE vectors SET (vector, checksum) = (SELECT vector, checksum FROM vectors WHERE rowid = 1)")
    with pytest.warns(UserWarning, match="7 of 8 vectors"):
        vectors = get(VectorCache(kept.parent, MINI), TEXTS)
    assert [vector is not None for vector in vectors] == [True] + [False] * 7


@pytest.mark.parametrize("value", ["7", "'text'", "x'00'", "CAST(x'ff' AS TEXT)"])
@pytest.mark.parametrize("column", ["vector", "checksum"])
def test_damage_that_changes_the_type_of_a_value_is_noticed(kept, column, value):
    with closing(sqlite3.connect(kept)) as db, db:
        db.execute(f"UPDATE vectors SET {column} = {value} WHERE rowid = 1")
    with pytest.warns(UserWarning, match="1 of 8 vectors"):
        vectors = get(VectorCache(kept.parent, MINI), TEXTS)
    assert [vector is None for vector in vectors] == [True] + [False] * 7


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbage(path):
    path.write_bytes(b"not a database at all\n" * 1000)


def foreign(path):
    path.unlink()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE vectors (key, vector, checksum)")
        db.execute("INSERT INTO vectors VALUES ('precious', 1, 2)")


def of_another_embedder(path):
    other = VectorCache(path.parent / "other", TINY)
    put(other, TEXTS)
    other.path.replace(path)


def unreadable_schema(path):
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE embedder", b"CREATE \xff\xff\xff\xff\xff embedder"))


def with_a_trigger(path):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TRIGGER t AFTER INSERT ON vectors BEGIN UPDATE vectors SET checksum = x'00'; END")


DAMAGES = [truncated, garbage, foreign, of_another_embedder, unreadable_schema, with_a_trigger]


DELETE_IT = r"\.sqlite can't be used .*: it is damaged or not a cache of this embedder: delete it, or choose another"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_not_this_cache_is_named_and_left_untouched(kept, damage):
    damage(kept)
    content = kept.read_bytes()
    with pytest.raises(OSError, match=DELETE_IT) as raised:
        VectorCache(kept.parent, MINI)
    assert str(kept) in str(raised.value) and kept.read_bytes() == content
    kept.unlink()
    cache = VectorCache(kept.parent, MINI)
    put(cache, TEXTS)
    assert_kept(cache, TEXTS)
    assert_sound(kept.parent)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("use", [put, get])
def test_damage_while_the_cache_is_in_use_is_noticed(cache, kept, damage, use):
    damage(kept)
    with pytest.raises(OSError, match=DELETE_IT):
        use(cache, TEXTS)


def test_damage_inside_an_sqlite_file_is_noticed_when_it_is_met(kept):
    content = bytearray(kept.read_bytes())
    content[2 * 8192 : 3 * 8192] = bytes(range(256)) * 32  # the page where the table of vectors begins
    kept.write_bytes(content)
    with pytest.raises(OSError, match=r"can't be used \(database disk image is malformed\): it is damaged"):
        get(VectorCache(kept.parent, MINI), TEXTS)


def test_a_cache_that_is_deleted_while_it_is_in_use_is_made_again(cache):
    put(cache, TEXTS)
    delete_cache(cache.path)
    assert_none(get(cache, TEXTS))
    put(cache, TEXTS[:3])
    assert [vector is not None for vector in get(cache, TEXTS)] == [True] * 3 + [False] * 5
    assert list_caches(cache.path.parent)["vectors"].tolist() == [3]


def test_a_journal_that_a_deleted_file_left_does_not_touch_the_new_one(cache):
    put(cache, TEXTS)
    journal = cache.path.with_name(cache.path.name + "-journal")
    with closing(sqlite3.connect(cache.path)) as db:
        db.execute("PRAGMA cache_size = 1")  # so that it is on disk before the transaction ends
        db.execute("UPDATE vectors SET vector = zeroblob(20000)")
        left = journal.read_bytes()
    cache.path.unlink()
    journal.write_bytes(left)
    put(cache, TEXTS)
    assert_kept(cache, TEXTS)
    assert not journal.exists()
    assert_sound(cache.path.parent)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file is a file: choose a folder for the cache"):
        VectorCache(tmp_path / "file", MINI)
    with pytest.raises(OSError, match="below can't be written .*: choose a folder for the cache"):
        VectorCache(tmp_path / "file" / "below", MINI)


def test_a_folder_in_place_of_the_file_is_refused(kept):
    kept.unlink()
    kept.mkdir()
    with pytest.raises(OSError, match="can't be used .*: it must be a file that can be written, or choose another"):
        VectorCache(kept.parent, MINI)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_what_may_not_be_written_is_named(kept):
    kept.chmod(0o400)
    with pytest.raises(OSError, match=r"\.sqlite can't be used .*: it must be a file that can be written"):
        VectorCache(kept.parent, MINI)
    kept.parent.chmod(0o500)
    with pytest.raises(PermissionError, match=r"can't be written \(Permission denied\): choose a folder"):
        VectorCache(kept.parent, MINI)
    kept.parent.chmod(0o700)


def test_a_list_of_caches_says_whose_they_are(kept):
    tiny = VectorCache(kept.parent, TINY)
    put(tiny, TEXTS[:2])
    VectorCache(kept.parent, {"checkpoint": "Counting(a)"})
    (kept.parent / "notes.txt").write_text("mine")
    (kept.parent / ("0" * 32 + ".sqlite")).write_text("damaged")
    table = list_caches(kept.parent).set_index("file")
    assert table.loc[kept.name].tolist()[:5] == ["mini", "avg_gen", -1, 8, 24]
    assert table.loc[tiny.path.name].tolist()[:5] == ["tiny", "fst_gen", 3, 2, 24]
    assert set(table["checkpoint"].dropna()) == {"mini", "tiny", "Counting(a)"}
    assert len(table) == 4 and (table["MB"] * 1e6).round().tolist() == [
        (kept.parent / name).stat().st_size for name in table.index
    ]
    assert table["last written"].dtype.kind == "M"


def test_an_empty_folder_has_an_empty_list_and_a_missing_one_is_an_error(tmp_path):
    assert list_caches(tmp_path).empty and find_caches(tmp_path) == []
    for look in (list_caches, find_caches):
        with pytest.raises(OSError, match="nowhere is not a folder: pass the one that holds the caches"):
            look(tmp_path / "nowhere")


def test_only_caches_are_deleted_damaged_ones_too(kept, monkeypatch):
    folder = kept.parent
    foreign_names = ["notes.txt", "0" * 32 + ".sqlite", "f" * 32 + ".sqlite", kept.name + ".bak", kept.name[1:]]
    for name in foreign_names:
        (folder / name).write_bytes(kept.read_bytes() if name[:2] not in ("00", "ff") else b"")
    foreign(folder / ("f" * 32 + ".sqlite"))
    truncated(kept)
    tiny = VectorCache(folder, TINY)
    tiny.path.with_name(tiny.path.name + "-journal").write_bytes(b"left")
    paths = find_caches(folder)
    assert paths == sorted([kept, tiny.path])
    (folder.parent / "tiny").mkdir()
    (folder.parent / "mini").symlink_to(folder.parent / "tiny")
    monkeypatch.chdir(folder.parent)
    assert find_caches(folder, "./tiny") == find_caches(folder, "tiny") == find_caches(folder, "./mini") == [tiny.path]
    assert find_caches(folder, "mini") == []
    for path in paths:
        delete_cache(path)
    assert sorted(path.name for path in folder.iterdir()) == sorted(foreign_names)


def test_the_caches_of_one_checkpoint(kept):
    tiny = VectorCache(kept.parent, TINY)
    assert find_caches(kept.parent, "mimi") == []
    assert find_caches(kept.parent, "mini") == [kept] and find_caches(kept.parent, "tiny") == [tiny.path]


def test_no_model_library_is_imported():
    heavy = {"torch", "pandas", "transformers"}
    code = f"import sys, inbedder_utils.storage.cache_folder; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
