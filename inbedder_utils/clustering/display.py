"""Clusterings in words and as a table of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from inbedder_utils.clustering.options import OTHER
from inbedder_utils.clustering.partition import NOISE

if TYPE_CHECKING:
    from inbedder_utils.clustering.result import Clustering


def as_text(result: Clustering) -> str:
    """One line per cluster: its name, number of texts and words; and the notes."""
    width = max(map(len, result.names), default=0)
    lines = [f"{result.instruction!r}: {_headline(result)}"]
    for name, size, e in zip(result.names, result.sizes, result.explanations, strict=True):
        lines.append(f"  {name:<{width}}  {size:>6,}  {', '.join([*e.words][:6]) or '-'}")
    return "\n".join([*lines, *(f"  note: {note}" for note in result.notes)])


def as_html(result: Clustering) -> str:
    """A table with a row per cluster: its name, number of texts, words and typical texts; and the notes."""
    kinds = ({"words of the answers": "words"} if result.answers else {}) | {"words of the texts": "text_words"}
    rows = [row("th", ["cluster", "texts", *kinds, "typical texts"])]
    for size, e in zip(result.sizes, result.explanations, strict=True):
        words = (escape(", ".join([*getattr(e, kind)][:6])) for kind in kinds.values())
        typical = "<br>".join(escape(in_one_line(result.texts[i], 120)) for i in e.typical)
        rows.append(row("td", [f"<b>{escape(e.name)}</b>", f"{size:,}", *words, typical]))
    notes = "".join(f"<p>{escape(note)}</p>" for note in result.notes)
    return (
        f"<p><b>{escape(result.instruction)}</b> {escape(_headline(result))}</p><table>{''.join(rows)}</table>{notes}"
    )


def row(tag: str, values: Sequence[str]) -> str:
    """A row of a table: cells of HTML, all "th" or all "td"."""
    return "<tr>" + "".join(f"<{tag} style='text-align:left'>{value}</{tag}>" for value in values) + "</tr>"


def _headline(result: Clustering) -> str:
    outside = (result.assignments == NOISE).sum()
    judged = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in result.quality.items())
    judged += "" if result.stability is None else f", stability {result.stability:.2f}"
    left = f", {outside} {'in none' if result.options is None else OTHER}" if outside else ""
    return f"{len(result.texts)} texts, {counted(result)}{left} ({judged})"


def kind(result: Clustering) -> str:
    """What the texts are in: "cluster" or "option"."""
    return "cluster" if result.options is None else "option"


def counted(result: Clustering) -> str:
    """How many clusters or options there are, such as "1 cluster"."""
    return f"{len(result)} {kind(result)}{'s' * (len(result) != 1)}"


def in_one_line(text: str, length: int) -> str:
    """The text without line breaks, or its beginning if it has more than `length` characters."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
