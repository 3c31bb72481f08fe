"""Cluster texts by their answers to a question, and say what the clusters are.

Figures are in `.plots`, the HTML report in `.report`, the panel for notebooks in `.explorer` (extra `notebooks`), a
viewer that others have made in `.maps` (extra `maps`).
"""

from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.breakdown import break_down
from inbedder_utils.clustering.diagnosis import diagnose
from inbedder_utils.clustering.relations import in_words, relate
from inbedder_utils.clustering.result import Clustering

__all__ = ["Clustering", "ask", "break_down", "diagnose", "in_words", "relate"]
