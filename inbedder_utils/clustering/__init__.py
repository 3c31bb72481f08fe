"""Cluster texts by their answers to a question, and say what the clusters are.

Figures are in `.plots`, the HTML report in `.report`, the panel for notebooks in `.explorer` (extra `notebooks`), a
viewer that others have made in `.maps` (extra `maps`).
"""

from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.breakdown import break_down
from inbedder_utils.clustering.diagnosis import diagnose
from inbedder_utils.clustering.lens import Lens, fit_lens
from inbedder_utils.clustering.relations import in_words, relate
from inbedder_utils.clustering.result import Clustering
from inbedder_utils.clustering.wordings import compare_wordings

__all__ = ["Clustering", "Lens", "ask", "break_down", "compare_wordings", "diagnose", "fit_lens", "in_words", "relate"]
