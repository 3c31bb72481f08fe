"""How nbval compares these notebooks: offline, and without looking at stderr."""

import os

# The kernels inherit this. The stored outputs come from the bundled checkpoints, which need no download.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Where notebooks run side by side, each has its share of the cores: more threads than cores wait for each other.
side_by_side = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // side_by_side)))


def pytest_collectstart(collector) -> None:
    """Leave stderr out of the comparison: warnings and progress bars differ between machines."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)
