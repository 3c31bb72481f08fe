"""Embeddings kept on disk: what one process has encoded, every later one reads back bit by bit.

Each embedder has an SQLite file of its own, named by a hash of all that decides about its vectors. It is written with
a rollback journal and not with a write-ahead log: that one needs memory shared by all who use the file, which network
drives don't have, and up to SQLite 3.51.2 two writers could damage the file. `synchronous=EXTRA` makes a finished
`put` survive a loss of power: FULL doesn't wait until the folder has forgotten the journal, which undoes the `put`.
"""

import hashlib
import json
import os
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

import numpy as np

from inbedder_utils.checks import as_path, first_line
from inbedder_utils.storage.files import check_folder_can_be_written

FORMAT, MARK = 1, 0x1BEDDE4
"""The version of what is written here, and the number in the header that says that an SQLite file is a cache."""
SCHEMA = [
    b"CREATE TABLE embedder (identity BLOB NOT NULL)",
    b"CREATE TABLE vectors (key BLOB PRIMARY KEY NOT NULL, vector BLOB NOT NULL, checksum BLOB NOT NULL)",
]
PATIENCE = 300  # seconds; another process holds the file for as long as its `put` or `verify` takes
KEYS_PER_QUERY = 900  # every SQLite takes 999 parameters
ATTEMPTS = 3

# What is wrong around the file and not in it, and what to do; all other errors say that the file is damaged.
FIXES = {
    sqlite3.SQLITE_BUSY: "wait until the other program that uses it is done",
    sqlite3.SQLITE_FULL: "make room on the disk",
    sqlite3.SQLITE_IOERR: "see whether the disk is full, over quota or failing",
    sqlite3.SQLITE_PROTOCOL: "the drive must have locks",
    sqlite3.SQLITE_READONLY: "it must be a file that can be written",
    sqlite3.SQLITE_CANTOPEN: "it must be a file that can be written",
    sqlite3.SQLITE_PERM: "it must be a file that can be written",
}
SQLITE_ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)  # the latter for a message with damaged names in it


class VectorCache:
    """The vectors of one embedder, for any number of threads and processes at once.

    A file that is damaged, or not a cache of this embedder, is renamed with a warning, and an empty one takes its
    place. No vector is returned unless its checksum, over key and bytes, is right.

    Args:
        folder: holds the caches of any number of embedders; made if it is not there.
        identity: everything that decides about the vectors, from `inbedder_utils.storage.identity.identity`.

    Attributes:
        path: the file.

    Raises:
        OSError: if the folder or the file can't be written.
    """

    def __init__(self, folder: str | Path, identity: dict[str, Any]) -> None:
        self._identity = json.dumps(identity, sort_keys=True).encode()
        folder = as_path("cache", folder)
        check_folder_can_be_written(folder, "choose a folder for the cache that can be written")
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / file_name(self._identity)
        self._lock, self._db, self._inode = Lock(), None, 0
        self._run(lambda db: None)

    def get(self, texts: Sequence[str], instructions: Sequence[str]) -> list[np.ndarray | None]:
        """Look up vectors.

        Args:
            texts: n strings.
            instructions: n strings, the question to each text.

        Returns:
            For each text its (d,) float32 vector, read-only; or None if there is none, or a damaged one, which a
            warning names.

        Raises:
            OSError: if the file can't be read.
        """
        keys = _keys(texts, instructions)
        rows = self._run(lambda db: list(_rows(db, keys)))
        found = {row[0]: np.frombuffer(row[1], dtype="<f4") for row in rows if intact(*row)}
        damaged = {row[0] for row in rows} - found.keys()
        if damaged:
            first = texts[next(i for i, key in enumerate(keys) if key in damaged)]
            warnings.warn(
                f"{len(damaged)} of {len(rows)} vectors in {self.path} are damaged, the first that of {first!r:.60}: "
                "they have to be encoded again",
                stacklevel=2,
            )
        return [found.get(key) for key in keys]

    def put(self, texts: Sequence[str], instructions: Sequence[str], vectors: np.ndarray) -> None:
        """Keep vectors, all or none; when this returns they are on the disk. Older ones are replaced.

        Args:
            texts: n strings.
            instructions: n strings, the question to each text.
            vectors: (n, d) float32.

        Raises:
            OSError: if they can't be written.
            ValueError: if there is not one vector per text.
        """
        keys, vectors = _keys(texts, instructions), np.asarray(vectors, dtype="<f4")
        if vectors.ndim != 2 or len(vectors) != len(keys):
            raise ValueError(f"vectors must be ({len(keys)}, d), one per text; got {vectors.shape}")
        blobs = [vector.tobytes() for vector in vectors]
        rows = list(zip(keys, blobs, map(_checksum, keys, blobs), strict=True))

        def write(db: sqlite3.Connection) -> None:
            with _transaction(db):
                db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)

        self._run(write)

    def close(self) -> None:
        """Let go of the file; it is opened again if need be."""
        with self._lock:
            self._close()

    def __enter__(self) -> "VectorCache":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _run(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Do something with the file; if that shows that it is damaged, do it with an empty one."""
        with self._lock:
            for _ in range(ATTEMPTS):
                try:
                    return work(self._db or self._open())
                except BaseException as error:
                    self._close()  # and with it a transaction that is not finished
                    if not isinstance(error, SQLITE_ERRORS):
                        raise
                    self._recover(error)
        raise OSError(f"{self.path} was damaged {ATTEMPTS} times in a row: choose another folder for the cache")

    def _open(self) -> sqlite3.Connection:
        self._inode = 0
        self._db = db = connect(self.path)
        self._inode = os.stat(self.path).st_ino
        db.execute("PRAGMA synchronous = EXTRA")
        db.execute("PRAGMA fullfsync = ON")  # a Mac's fsync leaves data in the drive's own memory
        db.execute("PRAGMA page_size = 8192")  # vectors of width 384 to 4096 leave less of it empty than of 4096
        with _transaction(db):
            if not db.execute("SELECT * FROM sqlite_master").fetchall():
                for statement in SCHEMA:
                    db.execute(statement.decode())
                db.execute("INSERT INTO embedder VALUES (?)", [self._identity])
                db.execute(f"PRAGMA application_id = {MARK}")
            read_identity(db, self.path)
            db.execute("DELETE FROM vectors WHERE 0")  # an error now, not at the first put, if it can't be written
        return db

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _recover(self, error: Exception) -> None:
        """Raise an OSError if the file can't be used as things are; else see to it that it can be opened."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code == sqlite3.SQLITE_IOERR_DELETE_NOENT or self._is_moved():  # the former: its journal was
            return
        if (fix := FIXES.get(code & 0xFF)) is not None:
            fix += ", or choose another folder for the cache"
            raise OSError(f"{self.path} can't be used ({first_line(error)}): {fix}") from error
        with suppress(FileNotFoundError):  # another process may be faster
            aside = self.path.rename(f"{self.path}.{uuid4().hex[:8]}.aside")
            warnings.warn(
                f"{self.path} is damaged or no cache of this embedder ({first_line(error)}): it is now called "
                f"{aside.name}, and its vectors have to be encoded again",
                stacklevel=4,
            )

    def _is_moved(self) -> bool:
        """Whether another process has renamed or deleted the file since it was opened here."""
        with suppress(FileNotFoundError):
            return self._inode not in (0, os.stat(self.path).st_ino)
        return self._inode != 0


def file_name(identity: bytes) -> str:
    """What the cache of an embedder is called: 32 hexadecimal digits, and .sqlite."""
    return hashlib.sha256(b"%d %b" % (FORMAT, identity)).hexdigest()[:32] + ".sqlite"


def connect(path: Path) -> sqlite3.Connection:
    """Open an SQLite file, whatever is in it; it commits by itself, and text is read as bytes."""
    # One thread at a time uses a connection, but not always the one that opened it.
    db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    db.text_factory = bytes  # damage can make text that is no UTF-8 out of anything
    return db


def read_identity(db: sqlite3.Connection, path: Path) -> dict[str, Any]:
    """What a cache says about its embedder.

    Raises:
        sqlite3.DatabaseError: if the file is damaged, no cache, or that of another embedder than its name says.
    """
    schema = [sql for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")]
    if schema != SCHEMA or db.execute("PRAGMA application_id").fetchone() != (MARK,):
        raise sqlite3.DatabaseError("its tables are not those of a cache")
    identities = db.execute("SELECT identity FROM embedder").fetchall()
    if [file_name(identity) for (identity,) in identities if isinstance(identity, bytes)] != [path.name]:
        raise sqlite3.DatabaseError("it holds another embedder than its name says")
    return json.loads(identities[0][0])


def intact(key: bytes, vector: Any, checksum: Any) -> bool:
    """Whether a row of the table of vectors is as it was written."""
    return isinstance(vector, bytes) and checksum == _checksum(key, vector)


def _checksum(key: bytes, vector: bytes) -> bytes:
    return hashlib.blake2b(key + vector, digest_size=8).digest()


def _keys(texts: Iterable[str], instructions: Iterable[str]) -> list[bytes]:
    pairs = zip(texts, instructions, strict=True)
    both = ((text.encode("utf-8", "surrogatepass"), asked.encode("utf-8", "surrogatepass")) for text, asked in pairs)
    return [hashlib.sha256(len(asked).to_bytes(8, "big") + asked + text).digest() for text, asked in both]


def _rows(db: sqlite3.Connection, keys: list[bytes]) -> Iterator[tuple[bytes, Any, Any]]:
    """The rows of those keys that there are; each with the key that was looked up, for the one in it may be damaged."""
    for start in range(0, len(keys), KEYS_PER_QUERY):
        part = keys[start : start + KEYS_PER_QUERY]
        wanted = f"WITH wanted(key) AS (VALUES {','.join(['(?)'] * len(part))})"
        joined = "wanted CROSS JOIN vectors ON vectors.key = wanted.key"  # CROSS: by the index, never by a full scan
        yield from db.execute(f"{wanted} SELECT wanted.key, vector, checksum FROM {joined}", part)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing. It begins as a writer: one that began as a reader could not wait for another writer."""
    db.execute("BEGIN IMMEDIATE")
    yield
    db.execute("COMMIT")
