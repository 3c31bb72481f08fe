"""The HTML page of a cluster report: one file, without scripts, for a screen, a phone or paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import version

import numpy as np

from inbedder_utils.clustering.diagnosis import NO_CLUSTERS, Diagnosis
from inbedder_utils.clustering.relations import in_words, relate
from inbedder_utils.clustering.result import NOISE, Clustering, Explanation, shortened

MARK = '<meta name="generator" content="inbedder_utils">'
LONGEST = 300
"""Characters of a text that are shown; the whole text is in the table."""
APART = {0.5: "clearly", 0.25: "fairly well", NO_CLUSTERS: "a little", -1.0: "hardly"}
"""How far clusters are apart, from which mean silhouette on."""
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3 { line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin-top: 3rem; padding-top: 1rem; border-top: 3px solid #0173b2; }
figure { margin: 1.5rem 0; }
img { max-width: 100%; height: auto; }
figcaption, footer, .small { color: #555; font-size: .875em; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; vertical-align: top; padding: .5rem .75rem .5rem 0; border-bottom: 1px solid #ccc; }
td { overflow-wrap: anywhere; }
td ul { margin: 0; padding-left: 1.1rem; }
.clusters td:nth-child(-n+2) { min-width: 9rem; }
.bar { height: .5rem; background: #0173b2; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.warning { border-left: 4px solid #de8f05; background: #fdf3e1; padding: .25rem 1rem; }
.wide { overflow-x: auto; }
.wide td { white-space: nowrap; overflow-wrap: normal; }
@media (max-width: 44rem) {
  .clusters thead { display: none; }
  .clusters tr, .clusters td { display: block; }
  .clusters td { border: 0; padding: .25rem 0; }
  .clusters tr { border-bottom: 1px solid #ccc; padding: .75rem 0; }
  .clusters td[data-label]::before { content: attr(data-label); display: block; color: #555; font-size: .875em; }
}
@media print {
  body { font-size: 10pt; max-width: none; padding: 0; }
  nav { display: none; }
  figure, tr, .warning { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  img { max-height: 16cm; }
}
"""


@dataclass(frozen=True)
class Picture:
    """A figure of a report.

    Attributes:
        question: number of the question that it is about, from 1; 0 for all.
        caption: what it shows.
        png: the image, in base64.
    """

    question: int
    caption: str
    png: str


def page(results: Sequence[Clustering], diagnoses: Sequence[Diagnosis], pictures: Sequence[Picture]) -> str:
    """Lay out what was found as HTML that needs no other file.

    Args:
        results: one per question, of the same texts.
        diagnoses: one per result, or none.
        pictures: the figures.

    Returns:
        The page; everything that came from the texts and questions is escaped.
    """
    n, several = len(results[0].texts), len(results) > 1
    title = f"{n:,} texts, asked {_count(len(results), 'question')}"
    links = [f'<li><a href="#q{i}">{escape(result.instruction)}</a></li>' for i, result in enumerate(results, 1)]
    links += ['<li><a href="#relation">How the questions relate</a></li>'] if several else []
    sections = [
        _section(i, result, diagnoses[i - 1] if diagnoses else None, [p for p in pictures if p.question == i])
        for i, result in enumerate(results, 1)
    ]
    sections += [_relation(results, [p for p in pictures if p.question == 0])] if several else []
    # The policy lets the browser run and load nothing, whatever a text might contain.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
{MARK}
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p>Every text was read together with the question, and texts that answer it alike form a cluster. A cluster is named
after the words that set its answers apart. Which text is in which cluster is in the file assignments.csv.</p>
{f"<nav><ul>{''.join(links)}</ul></nav>" if several else ""}
{"".join(sections)}
<footer><p>Made with inbedder_utils {version("inbedder-utils")}, seed {results[0].seed}.</p></footer>
</body>
</html>
"""


def _section(number: int, result: Clustering, diagnosis: Diagnosis | None, pictures: Sequence[Picture]) -> str:
    """Everything about one question: warnings, map, clusters, figures."""
    outside = int((result.assignments == NOISE).sum())
    lead = f"{_count(len(result.texts), 'text')} in {_count(len(result), 'cluster')}" + (
        f"; {_count(outside, 'text')} in none" if outside else ""
    )
    cautions = [*result.notes, *(diagnosis.warnings if diagnosis else [])]
    warning = "".join(f"<li>{escape(_sentence(caution))}</li>" for caution in cautions)
    first, *others = map(_figure, pictures)
    return f"""
<section id="q{number}">
<h2 dir="auto">{escape(result.instruction)}</h2>
<p>{lead}.</p>
{f'<div class="warning"><p><b>Read this with care</b></p><ul>{warning}</ul></div>' if cautions else ""}
{first}
{_clusters(result)}
<h3>How good are these clusters?</h3>
<ul>{"".join(f"<li>{escape(line)}</li>" for line in quality_in_words(result, diagnosis))}</ul>
{"".join(others)}
</section>"""


def _clusters(result: Clustering) -> str:
    """The table of clusters; on a phone each row becomes a block."""
    heads = ["Cluster", "Words", "Typical texts", "Texts near the border"]
    rows = [_row(result, e, int(size), heads) for e, size in zip(result.explanations, result.sizes, strict=True)]
    cells = "".join(f"<th>{head}</th>" for head in heads)
    return f'<table class="clusters"><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _row(result: Clustering, e: Explanation, size: int, heads: Sequence[str]) -> str:
    share = size / len(result.texts)
    bar = f'<div class="bar" style="width:{100 * size / max(result.sizes):.0f}%"></div>'
    said = ", ".join(f"{word} ({part:.0%})" for word, part in [*e.words.items()][:6])
    read = ", ".join(e.decoded_words[:6])
    words = escape(said or "-") + (f'<div class="small">read from the mean: {escape(read)}</div>' if read else "")
    lists = (
        "<ul>"
        + "".join(f'<li dir="auto">{escape(shortened(" ".join(result.texts[i].split()), LONGEST))}</li>' for i in some)
        + "</ul>"
        if some
        else "-"
        for some in (e.typical, e.borderline)
    )
    cells = "".join(
        f'<td data-label="{head}">{cell}</td>' for head, cell in zip(heads[1:], [words, *lists], strict=True)
    )
    return f"<tr><td><b>{escape(e.name)}</b><br>{_count(size, 'text')} ({share:.0%}){bar}</td>{cells}</tr>"


def quality_in_words(result: Clustering, diagnosis: Diagnosis | None = None) -> list[str]:
    """Say how good clusters are, in sentences that explain their figures.

    Args:
        result: from `ask`.
        diagnosis: from `diagnose`, to say more.
    """
    found, lines = result.quality, []
    apart = found["silhouette"]
    if np.isfinite(apart):
        how = next(word for least, word in APART.items() if apart >= least)
        scale = "1: each text is far nearer to its own cluster than to any other; 0: just as near"
        lines.append(f"The clusters are {how} apart: mean silhouette {apart:.2f} ({scale}).")
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
            f"Compared with the labels: V-measure {found['v_measure']:.2f} (1: the clusters are the labels; 0: they "
            f"have nothing to do with them), {found['entropy']:.1f} bits of mixture within a cluster (0: one label)."
        )
    return lines or ["There are not two clusters to compare."]


def _relation(results: Sequence[Clustering], pictures: Sequence[Picture]) -> str:
    """How the questions relate: agreement, in figures and words, and the flow of texts."""
    agreement = relate(results)
    heads = "".join(f"<th>{i}</th>" for i in range(1, len(results) + 1))
    rows = "".join(
        f"<tr><th>{i}. {escape(result.instruction)}</th>{''.join(f'<td>{value:z.2f}</td>' for value in values)}</tr>"
        for i, (result, values) in enumerate(zip(results, agreement.to_numpy(), strict=True), 1)
    )
    return f"""
<section id="relation">
<h2>How the questions relate</h2>
<p>{" ".join(map(escape, in_words(agreement)))}</p>
<div class="wide"><table>
<thead><tr><th>Adjusted mutual information</th>{heads}</tr></thead>
<tbody>{rows}</tbody>
</table></div>
<p class="small">1: two questions divide the texts in the same way; about 0: to know the cluster under one says nothing
about the cluster under the other.</p>
{"".join(map(_figure, pictures))}
</section>"""


def _figure(picture: Picture) -> str:
    image = f'<img alt="{escape(picture.caption)}" src="data:image/png;base64,{picture.png}">'
    return f"<figure>{image}<figcaption>{escape(picture.caption)}</figcaption></figure>"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def _count(n: int, thing: str) -> str:
    return f"{n:,} {thing}{'s' * (n != 1)}"
