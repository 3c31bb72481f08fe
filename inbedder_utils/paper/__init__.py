"""The paper's published numbers, and measured ones beside them; figures of both are in `.figures`."""

from inbedder_utils.paper.comparison import (
    AWARENESS,
    DEVIATIONS,
    GENERIC,
    PAPER_MEASURES,
    compare,
    last_layer,
    robustness_gaps,
    score_table,
    summary,
)
from inbedder_utils.paper.measured import measured_robustness, measured_scores
from inbedder_utils.paper.published import published_clusters, published_models, published_robustness, published_scores

__all__ = ["AWARENESS", "DEVIATIONS", "GENERIC", "PAPER_MEASURES", "compare", "last_layer", "measured_robustness"]
__all__ += ["measured_scores", "published_clusters", "published_models", "published_robustness", "published_scores"]
__all__ += ["robustness_gaps", "score_table", "summary"]
