"""Which questions divide the same texts in the same way?"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score

from inbedder_utils.checks import as_list
from inbedder_utils.clustering.result import Clustering

SAME_QUESTION = 0.4
"""Adjusted mutual information above which two questions count as one.

Chosen with an earlier `mini` on 100 texts of each shipped corpus: between 42 pairs of wordings of one question it was
0.42 to 1 (median 0.93), between wordings of different questions at most 0.17; with the number of clusters given, 0.50
to 1 and at most 0.27. On the bug reports, which had no part in the choice and which it clustered badly, one of three
pairs of like questions is found, and no other: expect to miss some where clusters are poor.
"""


def relate(results: Sequence[Clustering]) -> pd.DataFrame:
    """Measure how far the clusterings of the same texts agree.

    Args:
        results: two or more, from `ask`.

    Returns:
        Adjusted mutual information (Vinh et al. 2010), questions by questions: 1 for the same clusters, about 0 for
        clusters that know nothing of each other. Texts in no cluster count as one more.

    Raises:
        TypeError: if they are not clusterings.
        ValueError: if there are fewer than two, or they are not of the same texts in the same order.
    """
    results = as_list("results", results, "pass [one, other]")
    if not all(isinstance(result, Clustering) for result in results):
        raise TypeError(f"results must be what ask returns, got {', '.join(type(r).__name__ for r in results)}")
    if len(results) < 2:
        raise ValueError(f"got {len(results)} clustering: pass two or more")
    for result in results[1:]:
        if result.texts != results[0].texts:
            raise ValueError(f"{result.instruction!r} was asked of other texts than {results[0].instruction!r}")
    agreement = np.eye(len(results))
    for i, j in combinations(range(len(results)), 2):
        information = adjusted_mutual_info_score(results[i].assignments, results[j].assignments)
        agreement[i, j] = agreement[j, i] = information
    questions = [result.instruction for result in results]
    return pd.DataFrame(agreement, index=questions, columns=questions)


def in_words(agreement: pd.DataFrame) -> list[str]:
    """Say which questions ask the same thing of the corpus: those whose agreement is above `SAME_QUESTION`.

    There is one sentence per pair of such questions, the most alike first; or one that says that there are none.
    """
    values = agreement.to_numpy()
    pairs = [(values[i, j], i, j) for i, j in combinations(range(len(values)), 2) if values[i, j] > SAME_QUESTION]
    names = agreement.index
    return [
        f"{names[i]!r} and {names[j]!r} ask the same thing of these texts (adjusted mutual information {value:.2f})."
        for value, i, j in sorted(pairs, reverse=True)
    ] or [f"These {len(names)} questions ask different things of these texts."]
