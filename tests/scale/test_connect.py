"""Joining a cluster: what is said if there is none."""

import socket

import pytest

from inbedder_utils.scale import connect

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install -e '.[scale]'")


def test_an_address_where_nothing_listens_is_told_at_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(OSError, match=rf"no Ray cluster at '{address}' \(.*refused.*\): is one running there"):
        connect(address)
