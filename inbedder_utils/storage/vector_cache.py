"""Embeddings kept on disk: what one process has encoded, every later one reads back bit by bit.

Each embedder has an SQLite file of its own, named by a hash of all that decides about its vectors. It is written with
a rollback journal and not with a write-ahead log: that one needs memory shared by all who use the file, which network
drives don't have, and up to SQLite 3.51.2 two writers could damage the file. `synchronous=EXTRA` makes a finished
`put` survive a loss of power: FULL doesn't wait until the folder has forgotten the journal, which undoes the `put`.
"""

import hashlib
import json
import sqlite3
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from inbedder_utils.checks import as_path, first_line
from inbedder_utils.storage.files import check_folder_can_be_written

FORMAT, APPLICATION_ID = 1, 0x1BEDDE4  # the version of what is written; in the file's header, what it is: a cache
SECONDS_TO_WAIT = 300  # for other threads and processes, each of which has the file for as long as its `put` takes
SCHEMA = [
    b"CREATE TABLE embedder (identity BLOB NOT NULL)",
    b"CREATE TABLE vectors (key BLOB PRIMARY KEY NOT NULL, vector BLOB NOT NULL, checksum BLOB NOT NULL)",
]
SQLITE_ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)  # the latter for a message with damaged names in it
UNWRITABLE = "it must be a file that can be written"
FIXES = {  # of what is wrong around the file; all other errors say that the file itself is damaged
    sqlite3.SQLITE_BUSY: "wait until the other program that uses it is done",
    sqlite3.SQLITE_FULL: "make room on the disk",
    sqlite3.SQLITE_IOERR: "see whether the disk is full, over quota or failing",
    sqlite3.SQLITE_PROTOCOL: "the drive must have locks",
    **dict.fromkeys((sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM), UNWRITABLE),
}


class VectorCache:
    """The vectors of one embedder in the file `path`, for any number of threads and processes at once.

    The folder, made if it is not there, may hold other caches; `identity` (`storage.identity`) is all that decides
    about the vectors. All methods raise an OSError if the file can't be used, is damaged, or another embedder's.
    """

    def __init__(self, folder: str | Path, identity: dict[str, Any]) -> None:
        folder = as_path("cache", folder)
        check_folder_can_be_written(folder, "choose a folder for the cache that can be written")
        folder.mkdir(parents=True, exist_ok=True)
        self._identity = json.dumps(identity, sort_keys=True).encode()
        self.path = folder / _file_name(self._identity)
        with self._transaction():
            pass

    def get(self, texts: Sequence[str], instructions: Sequence[str]) -> list[np.ndarray | None]:
        """Look up n texts: (d,) float32 each, read-only; None for what is not there, or (with one warning) damaged."""
        keys = [_key(*pair) for pair in zip(texts, instructions, strict=True)]
        with self._transaction() as db:
            rows = [db.execute("SELECT vector, checksum FROM vectors WHERE key = ?", [key]).fetchone() for key in keys]
        vectors = [_vector(key, *row) if row else None for key, row in zip(keys, rows, strict=True)]
        damaged = [text for text, row, vector in zip(texts, rows, vectors, strict=True) if row and vector is None]
        if damaged:
            share = f"{len(damaged)} of {len(rows) - rows.count(None)} vectors in {self.path} are damaged"
            first = f"the first that of {damaged[0]!r:.60}"
            warnings.warn(f"{share}, {first}: they have to be encoded again", stacklevel=2)
        return vectors

    def put(self, texts: Sequence[str], instructions: Sequence[str], vectors: np.ndarray) -> None:
        """Keep (n, d) float32, one per text (or a ValueError), all or none; when this returns they are on the disk."""
        keys = [_key(*pair) for pair in zip(texts, instructions, strict=True)]
        vectors = np.asarray(vectors, dtype="<f4")
        if vectors.ndim != 2 or len(vectors) != len(keys):
            raise ValueError(f"vectors must be ({len(keys)}, d), one per text; got {vectors.shape}")
        blobs = [vector.tobytes() for vector in vectors]
        with self._transaction() as db:
            rows = zip(keys, blobs, map(_checksum, keys, blobs), strict=True)
            db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """The file, opened for one transaction: all that is done in it is kept, or nothing; others wait meanwhile."""
        try:
            with closing(connect(self.path)) as db, db:
                db.execute("PRAGMA synchronous = EXTRA")
                db.execute("PRAGMA fullfsync = ON")  # a Mac's fsync leaves data in the drive's own memory
                db.execute("PRAGMA page_size = 8192")  # with 4096, vectors of width 384 to 4096 leave more of it empty
                db.execute("BEGIN IMMEDIATE")  # what begins as a reader can't wait for a writer
                if not db.execute("SELECT * FROM sqlite_master").fetchall():
                    for statement in SCHEMA:
                        db.execute(statement.decode())
                    db.execute("INSERT INTO embedder VALUES (?)", [self._identity])
                    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                read_identity(db, self.path)
                db.execute("DELETE FROM vectors WHERE 0")  # an error if it can't be written, before work is done
                yield db
        except SQLITE_ERRORS as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            fix = FIXES.get(code, "it is damaged or not a cache of this embedder: delete it")
            what = f"{self.path} can't be used ({first_line(error)})"
            raise OSError(f"{what}: {fix}, or choose another folder for the cache") from error


def connect(path: Path) -> sqlite3.Connection:
    """Open an SQLite file, whatever is in it; text is read as bytes, for damage can make text of anything."""
    db = sqlite3.connect(path, timeout=SECONDS_TO_WAIT, isolation_level=None)
    db.text_factory = bytes
    return db


def read_identity(db: sqlite3.Connection, path: Path) -> dict[str, Any]:
    """What a cache says about its embedder; a DatabaseError if it is damaged, not a cache, or named as another's."""
    schema = [sql for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")]
    if schema != SCHEMA or db.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
        raise sqlite3.DatabaseError("its tables are not those of a cache")
    identities = db.execute("SELECT identity FROM embedder").fetchall()
    if [_file_name(identity) for (identity,) in identities if isinstance(identity, bytes)] != [path.name]:
        raise sqlite3.DatabaseError("it holds another embedder than its name says")
    return json.loads(identities[0][0])


def _file_name(identity: bytes) -> str:
    return hashlib.sha256(b"%d %b" % (FORMAT, identity)).hexdigest()[:32] + ".sqlite"


def _key(text: str, instruction: str) -> bytes:
    asked = instruction.encode("utf-8", "surrogatepass")
    return hashlib.sha256(len(asked).to_bytes(8, "big") + asked + text.encode("utf-8", "surrogatepass")).digest()


def _vector(key: bytes, vector: Any, checksum: Any) -> np.ndarray | None:
    intact = isinstance(vector, bytes) and checksum == _checksum(key, vector)
    return np.frombuffer(vector, dtype="<f4") if intact else None


def _checksum(key: bytes, vector: bytes) -> bytes:
    return hashlib.blake2b(key + vector, digest_size=8).digest()
