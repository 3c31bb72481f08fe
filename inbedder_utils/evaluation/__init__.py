"""Measure whether embeddings follow the question."""

from inbedder_utils.evaluation.awareness import answer_triplets, awareness
from inbedder_utils.evaluation.baselines import load_embedder
from inbedder_utils.evaluation.measures import linear_probe, pair_correlation, triplet_success, v_measures
from inbedder_utils.evaluation.run import evaluate, suite_tasks

__all__ = ["answer_triplets", "awareness", "evaluate", "linear_probe", "load_embedder", "pair_correlation"]
__all__ += ["suite_tasks", "triplet_success", "v_measures"]
