"""Write the vectors that a plain sentence embedder gives the shipped texts, for `load_embedder("stored-NAME")`.

    python scripts/stored_vectors.py     # all-MiniLM-L6-v2, from the hub or its cache; a few seconds

Eight bits a number, each vector stretched to the full range: they are of unit length once they are read.
"""

import numpy as np

from inbedder_utils.data import small_set
from inbedder_utils.data.own_sets import DATA, QUESTIONS, corpus
from inbedder_utils.evaluation import load_embedder
from inbedder_utils.evaluation.baselines import hash_of

NAME = "all-MiniLM-L6-v2"

sets = [corpus(domain) for domain in QUESTIONS] + [small_set("guests"), small_set("bug_reports")]
texts = sorted({text for table in sets for text in table["text"]})
vectors = load_embedder(f"sentence-transformers/{NAME}").encode(texts, "", normalize_embeddings=True)  # (texts, d)
path = DATA / "vectors" / f"{NAME}.npz"
path.parent.mkdir(exist_ok=True)
np.savez_compressed(
    path,
    hashes=np.array([list(hash_of(text)) for text in texts], np.uint8),
    vectors=np.round(127 * vectors / np.abs(vectors).max(axis=1, keepdims=True)).astype(np.int8),
)
print(f"{len(texts)} texts, {path.stat().st_size / 1e6:.2f} MB")
