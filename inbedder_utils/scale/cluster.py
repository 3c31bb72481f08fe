"""Ray: how a cluster is joined, and in what its actors run."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any

from inbedder_utils.checks import first_line, short

SECONDS_TO_ANSWER = 10
"""Most that a cluster is waited for."""
TRIES = 3
"""To start one here: Ray gives up after 30 seconds, which a busy machine may need."""


def connect(address: str | None = None) -> None:
    """Join a Ray cluster, unless this process is in one already; what Ray logs of it goes to files.

    Args:
        address: "HOST:PORT", "auto" for the one that this machine is in, "local" for a new one of its own cores; None
            for the second if there is one, and otherwise the third.

    Raises:
        ImportError: if Ray is not installed.
        OSError: if the cluster can't be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray.data
    except ImportError as error:
        raise ImportError(f"{error}: install Ray, pip install -e '.[scale]'") from error
    if ray.is_initialized():
        return
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors come to the caller
    host, _, port = (address or "").rpartition(":")
    try:
        if host and port.isdigit():
            socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()  # Ray would try for minutes
        with _silence():
            for again in reversed(range(TRIES)):
                try:
                    ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
                    break
                except Exception as error:
                    if not again or "timed out during startup" not in str(error):
                        raise
                    ray.shutdown()
    except Exception as error:  # of this very class, if it does not start in time
        fix = "is one running there (ray status), and has this machine its ~/.ray/auth_token?"
        raise OSError(f"no Ray cluster at {short(address)} ({first_line(error)}): {fix}") from error


@contextmanager
def _silence() -> Iterator[None]:
    """Let nothing go to stderr, to which Ray's C++ writes beside `sys.stderr`; what fails is raised all the same."""
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def actors(num_gpus: float | None) -> dict[str, Any]:
    """How Ray Data runs a class: in as many actors as there is room for, one core each (and so one thread)."""
    connect()
    import ray
    from ray.data import ActorPoolStrategy

    there = ray.cluster_resources().get("GPU", 0)
    gpus = min(1, there) if num_gpus is None else num_gpus
    if isinstance(gpus, bool) or not isinstance(gpus, Real) or not 0 <= gpus <= there:
        raise ValueError(f"num_gpus must be a number from 0 to {there:g}, the cluster's GPUs; got {short(num_gpus)}")
    return {"batch_format": "pyarrow", "compute": ActorPoolStrategy(min_size=1), "num_gpus": gpus, "num_cpus": 1}
