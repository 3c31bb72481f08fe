"""How nbval compares these notebooks: offline, and without looking at stderr."""

import os

# The kernels inherit this. The stored outputs come from the bundled checkpoints, which need no download.
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_collectstart(collector) -> None:
    """Leave stderr out of the comparison: warnings and progress bars differ between machines."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)
