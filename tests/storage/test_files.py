"""Files are there as a whole or not at all; whether they can be written is known before there is anything to write."""

import os
from contextlib import suppress

import pytest

from inbedder_utils.storage.files import (
    check_file_can_be_written,
    check_folder_can_be_written,
    filling,
    replacing,
)

ROOT_MAY = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")


class Stopped(BaseException):
    """As KeyboardInterrupt, but never raised by anything else."""


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def visible(folder):
    return {path.name: path.read_text() for path in folder.glob("[!.]*")}


def test_a_file_is_replaced_at_the_end_only(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text("old")
    with suppress(Stopped), replacing(path) as file:
        file.write(b"ne")
        assert path.read_text() == "old"
        raise Stopped
    assert contents(tmp_path) == {"scores.json": "old"}
    with replacing(path) as file:
        file.write(b"new")
    assert contents(tmp_path) == {"scores.json": "new"}


def test_a_link_to_a_file_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with replacing(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("existed", [True, False])
def test_a_folder_gets_all_its_files_at_the_end_or_none(tmp_path, existed):
    folder = tmp_path / "above" / "folder"
    before = {"kept": "old", "replaced": "old"} if existed else {}
    if existed:
        folder.mkdir(parents=True)
    for name, text in before.items():
        (folder / name).write_text(text)

    with suppress(Stopped), filling(folder) as inside:
        (inside / "replaced").write_text("new")
        assert visible(folder) == before
        raise Stopped
    assert visible(folder) == before and set(folder.parent.iterdir()) <= {folder}
    with filling(folder) as inside:
        (inside / "replaced").write_text("new")
        (inside / "more").write_text("new")
    assert contents(folder) == before | {"replaced": "new", "more": "new"}
    assert list(folder.parent.iterdir()) == [folder]


def test_a_file_that_can_be_written_is_left_as_it_is(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    for name in ("file", "new", "link"):
        check_file_can_be_written(tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(PermissionError, match=r"file can't be written \(Is a directory\): choose another place"):
        check_file_can_be_written(tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere; create it, or choose another"):
        check_file_can_be_written(tmp_path / "nowhere" / "file")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "file")
    with pytest.raises(FileNotFoundError, match="link can't be written: there is no folder .*nowhere"):
        check_file_can_be_written(tmp_path / "link")


def test_a_folder_that_can_be_made_is_not_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, tmp_path / "new" / "deep", (tmp_path / "new").relative_to(tmp_path)):
        check_folder_can_be_written(folder, "choose another")
    assert not list(tmp_path.iterdir())


def test_a_file_is_no_folder_to_write_in(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match="file is a file: choose another output"):
        check_folder_can_be_written(tmp_path / "file", "choose another output")
    with pytest.raises(PermissionError, match=r"below can't be written \(Not a directory\): choose another output"):
        check_folder_can_be_written(tmp_path / "file" / "below", "choose another output")
    assert contents(tmp_path) == {"file": "mine"}


@ROOT_MAY
def test_what_may_not_be_written_is_named(tmp_path):
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked" / "file").touch(mode=0o400)
    with pytest.raises(PermissionError, match=r"file can't be written \(Permission denied\): choose another place"):
        check_file_can_be_written(tmp_path / "locked" / "file")
    (tmp_path / "locked").chmod(0o500)
    with pytest.raises(PermissionError, match=r"new can't be written \(Permission denied\): choose another place"):
        check_file_can_be_written(tmp_path / "locked" / "new")
    for folder in (tmp_path / "locked", tmp_path / "locked" / "below"):
        with pytest.raises(PermissionError, match=r"can't be written \(Permission denied\): choose another output"):
            check_folder_can_be_written(folder, "choose another output")


def test_a_disk_that_refuses_is_quoted(tmp_path, monkeypatch):
    def refuse(dir):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("inbedder_utils.storage.files.TemporaryFile", refuse)
    with pytest.raises(PermissionError, match=r"file can't be written \(Read-only file system\): choose another place"):
        check_file_can_be_written(tmp_path / "file")
    with pytest.raises(PermissionError, match=r"new can't be written \(Read-only file system\): choose another"):
        check_folder_can_be_written(tmp_path / "new", "choose another")
