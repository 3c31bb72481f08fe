"""The paper's published numbers, and measured ones beside them; figures of both are in `.figures`."""

from inbedder_utils.paper.comparison import compare, summary
from inbedder_utils.paper.layout import best_pooling, explained, from_parts, last_layer, robustness_gaps, score_table
from inbedder_utils.paper.measured import measured_robustness, measured_scores
from inbedder_utils.paper.published import (
    published_clusters,
    published_models,
    published_reviews,
    published_robustness,
    published_scores,
)
from inbedder_utils.paper.reproduction import later_results, recomputed_numbers, reproduction, runs
from inbedder_utils.paper.tasks import AWARENESS, GENERIC, PAPER_MEASURES, USER_SETS

__all__ = ["AWARENESS", "GENERIC", "PAPER_MEASURES", "USER_SETS", "best_pooling", "compare", "explained", "from_parts"]
__all__ += ["last_layer", "later_results", "measured_robustness", "measured_scores", "published_clusters"]
__all__ += ["published_models", "published_reviews", "published_robustness", "published_scores", "recomputed_numbers"]
__all__ += ["reproduction", "robustness_gaps", "runs", "score_table", "summary"]
