"""Places on a map for embeddings."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from inbedder_utils.checks import one_of
from inbedder_utils.clustering.partition import SAME_EMBEDDING


def project(embeddings: np.ndarray, map_method: str = "tsne", seed: int = 0) -> np.ndarray:
    """Place embeddings, (n, d) as encoded, on a map by their cosines: (n, 2) float32, whose unit has no meaning.

    Args:
        embeddings: at least one.
        map_method: "tsne", "pca", or "umap" (if umap-learn is installed). Fewer than five are always placed by PCA, and
            those that are all the same at one point.
        seed: of the map.

    Raises:
        ValueError: for an unknown method.
        ImportError: if UMAP is asked for and not installed.
    """
    one_of("map_method", map_method, ("tsne", "pca", "umap"))
    unit, n = normalize(embeddings).astype(np.float32), len(embeddings)
    if map_method == "umap":
        try:
            from umap import UMAP
        except ImportError as error:
            raise ImportError("for a map by UMAP: pip install umap-learn; or use 'tsne' or 'pca'") from error
    if np.ptp(unit, axis=0).max() < SAME_EMBEDDING:
        return np.zeros((n, 2), dtype=np.float32)
    if map_method == "pca" or n < 5:
        flat = PCA(min(2, unit.shape[1]), random_state=seed).fit_transform(unit)
        return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    if map_method == "umap":
        return UMAP(metric="cosine", random_state=seed).fit_transform(unit)
    with threadpool_limits(1):  # its steps are so short that threads cost more than they save
        return TSNE(perplexity=min(30, (n - 1) / 3), init="pca", random_state=seed).fit_transform(unit)
