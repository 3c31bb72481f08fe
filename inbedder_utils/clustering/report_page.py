"""What the HTML page of a cluster report says; how it looks is in `report.html.jinja`."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from inbedder_utils.clustering.breakdown import Breakdown
from inbedder_utils.clustering.diagnosis import NO_CLUSTERS, Diagnosis
from inbedder_utils.clustering.display import in_one_line, kind
from inbedder_utils.clustering.explain import Explanation
from inbedder_utils.clustering.levels import shown_levels
from inbedder_utils.clustering.options import OTHER
from inbedder_utils.clustering.partition import NOISE
from inbedder_utils.clustering.relations import in_words, relate
from inbedder_utils.clustering.result import Clustering

LONGEST_TEXT = 300
"""Characters of a text that are shown; the whole text is in the table."""
WORDS_SHOWN, TEXTS_MIXED = 6, 5
APART_IN_WORDS = {0.5: "clearly", 0.25: "fairly well", NO_CLUSTERS: "a little", -1.0: "hardly"}
"""How far clusters are apart, from which mean silhouette on."""
LOADER = PackageLoader("inbedder_utils", "clustering")
TEMPLATES = Environment(loader=LOADER, autoescape=True, undefined=StrictUndefined, trim_blocks=True)


class Picture(NamedTuple):
    """A figure: the number of its question, from 1 (0: of all), what it shows, and the PNG in base64."""

    question: int
    caption: str
    png: str


def page(
    results: Sequence[Clustering],
    diagnoses: Sequence[Diagnosis],
    pictures: Sequence[Picture],
    breakdowns: Sequence[Sequence[tuple[Breakdown, Picture]]],
) -> str:
    """Lay out what was found, by results, diagnoses (one per result, or none), figures and breakdowns, as HTML.

    It needs no other file, and everything that came from the texts and questions is escaped.
    """
    about = [[picture for picture in pictures if picture.question == i] for i in range(len(results) + 1)]
    return TEMPLATES.get_template("report.html.jinja").render(
        title=f"{_count(len(results[0].texts), 'text')}, asked {_count(len(results), 'question')}",
        sections=[
            _section(result, diagnosis, about[i]) | {"breakdowns": [_breakdown(*column) for column in columns]}
            for i, (result, diagnosis, columns) in enumerate(
                zip(results, diagnoses or [None] * len(results), breakdowns, strict=True), 1
            )
        ],
        relation=_relation(results, about[0]) if len(results) > 1 else None,
        version=version("inbedder-utils"),
        seed=results[0].seed,
    )


def _section(result: Clustering, diagnosis: Diagnosis | None, pictures: list[Picture]) -> dict[str, Any]:
    """Everything about one question: warnings, map, clusters, figures."""
    return {
        "question": result.instruction,
        "lead": _lead(result),
        "kind": kind(result).capitalize(),
        "levels": shown_levels(result),
        "mixed": _mixed(result) if len(result) else [],
        "cautions": [
            _sentence(text) for text in dict.fromkeys([*result.notes, *(diagnosis.warnings if diagnosis else [])])
        ],
        "clusters": _clusters(result),
        "outside_name": result.names_and_outside[-1],
        "outside": [in_one_line(result.texts[i], LONGEST_TEXT) for i in np.flatnonzero(result.assignments == NOISE)],
        "source": "answers" if any(result.answers or []) else "texts",
        "quality": quality_in_words(result, diagnosis),
        "pictures": pictures,
    }


def _lead(result: Clustering) -> str:
    outside, n = int((result.assignments == NOISE).sum()), _count(len(result.texts), "text")
    if result.options is not None:
        return f"{n} sorted into {len(result)} options; {OTHER}: {outside:,} ({outside / len(result.texts):.0%})"
    none = f"; {_count(outside, 'text')} in none" if outside else ""
    return f"{n} in {_count(len(result), 'cluster')}{none}"


def _mixed(result: Clustering) -> list[str]:
    """The texts that are most evenly divided between two clusters or options."""
    return [
        f"{in_one_line(text, LONGEST_TEXT)} ({first} {share:.0%}, {second} {second_share:.0%})"
        for text, first, share, second, second_share in result.mixed().head(TEXTS_MIXED).itertuples(index=False)
    ]


def _clusters(result: Clustering) -> list[dict[str, Any]]:
    """The rows of the table of clusters."""

    def texts(indices: Iterable[int]) -> list[str]:
        return [in_one_line(result.texts[i], LONGEST_TEXT) for i in indices]

    def words(e: Explanation) -> str:
        shown = sorted([*e.words.items()][:WORDS_SHOWN], key=lambda word: -word[1])
        return ", ".join(f"{word} ({share:.0%})" for word, share in shown)

    return [
        {
            "name": e.name,
            "size": f"{_count(size, 'text')} ({size / len(result.texts):.0%})",
            "bar": f"{100 * size / max(1, result.sizes.max()):.0f}",
            "words": words(e),
            "text_words": ", ".join([*e.text_words][:WORDS_SHOWN]),
            "typical": texts(e.typical),
            "borderline": texts(e.borderline),
            "all": texts(np.flatnonzero(result.assignments == c)),
            "opened": "its text" if size == 1 else f"all {size:,} texts",
        }
        for c, (e, size) in enumerate(zip(result.explanations, result.sizes.tolist(), strict=True))
    ]


def _breakdown(parts: Breakdown, picture: Picture) -> dict[str, Any]:
    """How the clusters of one question divide over a column: table, sentences and figure."""
    table = parts.table()
    return {
        "name": parts.name,
        "note": _sentence(parts.note),
        "heads": list(table),
        "rows": [(cluster, cells) for cluster, *cells in table.itertuples(name=None)],
        "sentences": parts.in_words(),
        "picture": picture,
    }


def _relation(results: Sequence[Clustering], pictures: list[Picture]) -> dict[str, Any]:
    """How the questions relate: agreement, in figures and words, and the flow of texts."""
    agreement = relate(results)
    figures = agreement.map("{:z.2f}".format).iterrows()
    return {"sentences": " ".join(in_words(agreement)), "agreement": figures, "pictures": pictures}


def quality_in_words(result: Clustering, diagnosis: Diagnosis | None = None) -> list[str]:
    """Say how good clusters are, in sentences that explain their figures; more of them with a diagnosis."""
    quality, lines = result.quality, []
    apart = quality["silhouette"]
    if np.isfinite(apart):
        how = next(word for least, word in APART_IN_WORDS.items() if apart >= least)
        scale = "1: each text is far nearer to its own cluster than to any other; 0: just as near"
        lines.append(f"The clusters are {how} apart: mean silhouette {apart:.2f} ({scale}).")
    if result.stability is not None:
        lines.append(
            f"Made anew of samples of the texts, the clusters agree with these by {result.stability:.2f} (adjusted "
            "Rand index; 1: the same each time, 0: chance)."
        )
    if diagnosis is not None:
        lines.append(
            f"The embeddings depend on the question by {diagnosis.dependence:.2f} (0: not at all) and on the text by "
            f"{diagnosis.spread:.2f} (mean cosine distances)."
        )
        if np.isfinite(diagnosis.top_share):
            distinct = _count(int(diagnosis.distinct_answers), "different answer")
            lines.append(
                f"There are {distinct}; the most frequent one is that of {diagnosis.top_share:.0%} of the texts."
            )
    if result.labels is not None:
        lines.append(
            f"Compared with the labels: V-measure {quality['v_measure']:.2f} (1: the clusters are the labels; 0: they "
            f"have nothing to do with them), {quality['entropy']:.1f} bits of mixture within a cluster (0: one label)."
        )
    if "sorted_right" in quality:
        lines.append(f"Of the texts whose label is an option, {quality['sorted_right']:.0%} were sorted into it.")
    return lines or ["There are not two clusters to compare."]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def _count(n: int, thing: str) -> str:
    return f"{n:,} {thing}{'s' * (n != 1)}"
