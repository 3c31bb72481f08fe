"""Cluster texts by their answers to a question, and say what the clusters are.

Figures are in `.plots`, the HTML report in `.report`, the panel for notebooks in `.explorer` (extra `notebooks`).
"""

from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.diagnosis import diagnose
from inbedder_utils.clustering.relations import in_words, relate
from inbedder_utils.clustering.result import Clustering
from inbedder_utils.clustering.wordings import compare_wordings

__all__ = ["Clustering", "ask", "compare_wordings", "diagnose", "in_words", "relate"]
