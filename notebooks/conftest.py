"""How nbval compares these notebooks: offline, and without looking at stderr."""

import os

# The kernels inherit this. The stored outputs come from the bundled checkpoints, which need no download.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Where notebooks run side by side, each has its share of the cores: more threads than cores wait for each other.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))


def pytest_collectstart(collector) -> None:
    """Leave stderr out of the comparison: warnings and progress bars differ between machines."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)
