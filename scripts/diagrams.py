"""Draw the diagrams of the course: `python scripts/diagrams.py` writes all of figures/diagrams/.

Each is a white card, so that it can be read on dark pages too. Shades differ in lightness, and all that they tell
stands there in words. A card is 560 units wide, and words in it are at least 16 high: small enough for a telephone.
"""

from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "figures" / "diagrams"
WIDTH = 560
INK, LINE, NOTHING = "#1a1a1a", "#444444", "none"
SHADES = {  # of each kind of box: its fill, and the colour of its words
    "text": ("#d3e8f8", INK),
    "question": ("#f5c46a", INK),
    "answer": ("#0b4a7a", "white"),
    "plain": ("#f4f4f4", INK),
    "empty": ("white", "#666666"),
}
ALT = {
    "flow": (
        "Text and question go into one prompt, and a language model reads it. The state from which it would begin its "
        "answer is the embedding. The same text with another question gives another vector, and another answer."
    ),
    "poolings": (
        "Which states each pooling averages, in a causal model (fst_gen takes the last token of the prompt) and in a "
        "masked model (avg_gen takes the masks)."
    ),
    "read_once": (
        "Who sees whom in read-once attention: the text sees only itself, each question with its masks sees the text "
        "and itself, and no question sees another."
    ),
    "training": (
        "What training changes: before, all tokens or random ones are predicted; for InBedder only the answer behind "
        "the question, shortened to the words that matter."
    ),
    "explanation": (
        "How a cluster is explained: by words that are frequent in its answers and rare in those of other clusters, "
        "and by reading its mean embedding with the model's output layer."
    ),
}
"""What each diagram shows, for those who can't see it."""
CAUSAL = {  # of nine tokens, the last three the answer and its end, those whose states are averaged
    "fst_gen": {5},
    "avg_gen": {5, 6},
    "last_gen": {6},
    "avg_ppt": {0, 1, 2, 3, 4},
    "avg_all": {0, 1, 2, 3, 4, 5, 6},
}
MASKED = {
    "fst_gen": {6},
    "avg_gen": {6, 7},
    "last_gen": {7},
    "avg_ppt": {0, 1, 2, 3, 4, 5},
    "avg_all": {0, 1, 2, 3, 4, 5, 6, 7, 8},
}


class Card:
    """A diagram that grows piece by piece; lengths are in units, of which a card is `WIDTH` wide."""

    def __init__(self, title: str, height: int) -> None:
        self.title, self.height = title, height
        self.pieces = [_rectangle(1, 1, WIDTH - 2, height - 2, 14, "white", "#bbbbbb")]

    def words(self, x: float, y: float, words: str, size: int = 16, anchor: str = "middle", **look: str) -> None:
        """Write lines of words, the first one's middle at height y."""
        style = "".join(f' {name}="{value}"' for name, value in ({"fill": INK} | look).items())
        for i, line in enumerate(words.split("\n")):
            place = f'x="{x:g}" y="{y + i * size * 1.3 + size * 0.35:.1f}"'
            self.pieces.append(f'<text {place} font-size="{size}" text-anchor="{anchor}"{style}>{escape(line)}</text>')

    def heading(self, y: float, words: str) -> None:
        """Write a heading at the left."""
        self.words(20, y, words, 17, "start", **{"font-weight": "bold"})

    def box(self, x: float, y: float, w: float, h: float, words: str = "", kind: str = "plain", size: int = 16) -> None:
        """Draw a box of a kind, with its words in the middle."""
        fill, ink = SHADES[kind]
        self.pieces.append(_rectangle(x, y, w, h, 5, fill, "white" if kind == "answer" else LINE))
        middle = y + h / 2 - words.count("\n") * size * 0.65
        self.words(x + w / 2, middle, words, size, fill=ink)

    def arrow(self, x: float, y: float, to_x: float, to_y: float) -> None:
        """Draw an arrow from (x, y)."""
        line = f'x1="{x:g}" y1="{y:g}" x2="{to_x:g}" y2="{to_y:g}" stroke="{LINE}"'
        self.pieces.append(f'<line {line} stroke-width="2" marker-end="url(#head)"/>')

    def dot(self, x: float, y: float, used: bool) -> None:
        """Draw a large dark dot, or a small pale one."""
        radius, fill = (9, SHADES["answer"][0]) if used else (2.5, "#999999")
        self.pieces.append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{fill}"/>')

    def vector(self, x: float, y: float, shades: str) -> None:
        """Draw a row of cells, 24 wide; a digit from 0 to 9 is a shade, from white to black."""
        for i, digit in enumerate(shades):
            grey = 250 - 23 * int(digit)
            self.pieces.append(_rectangle(x + 24 * i, y, 24, 24, 0, f"rgb({grey},{grey},{grey})", LINE))

    def svg(self, description: str) -> str:
        """The whole file."""
        size = f'viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}" height="{self.height}"'
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title desc" '
            "font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n"
            f'<title id="title">{escape(self.title)}</title>\n<desc id="desc">{escape(description)}</desc>\n'
            '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="6" markerHeight="6" '
            f'orient="auto"><path d="M0 0L10 5L0 10z" fill="{LINE}"/></marker></defs>\n'
        )
        return head + "\n".join(self.pieces) + "\n</svg>\n"


def _rectangle(x: float, y: float, w: float, h: float, radius: float, fill: str, stroke: str) -> str:
    place = f'x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{radius:g}"'
    return f'<rect {place} fill="{fill}" stroke="{stroke}" stroke-width="1.2"/>'


def flow() -> Card:
    """Text and question, prompt, model, state, answer and embedding."""
    card = Card("From text and question to an embedding", 500)
    columns = [
        (20, "How does the\ncustomer feel?", "29407163", "angry"),
        (290, "What does the\ncustomer need?", "71852034", "repair"),
    ]
    for x, question, shades, answer in columns:
        middle = x + 125
        card.box(x, 42, 250, 56, "My lamp broke again!\nPlease repair it.", "text")
        card.box(x, 98, 250, 56, question, "question")
        card.box(x, 154, 250, 34, "### Response:")
        card.arrow(middle, 188, middle, 218)
        card.arrow(middle, 262, middle, 292)
        card.vector(middle - 96, 318, shades)
        card.arrow(middle, 346, middle, 376)
        card.box(middle - 60, 378, 120, 40, answer, "answer", 18)
    card.words(280, 24, "the prompts: same text, two questions")
    card.box(20, 220, 520, 42, "language model", size=18)
    card.words(280, 303, "the state before the answer is the embedding")
    card.words(280, 440, "the answer that it would begin from there")
    card.words(280, 472, "Another question: another vector, another answer.", **{"font-weight": "bold"})
    return card


def poolings() -> Card:
    """Which states the poolings average."""
    card = Card("Which states a pooling averages", 612)
    prompt = [("lamp", "text"), ("broke", "text"), ("How", "question"), ("feel?", "question"), ("###", "plain")]
    causal = [*prompt, (":", "plain"), ("very", "answer"), ("angry", "answer"), ("end", "plain")]
    masked = [*prompt, (":", "plain"), ("mask", "answer"), ("mask", "answer"), ("end", "plain")]
    panels = [
        (20, "Causal: a state predicts the next token", causal, CAUSAL),
        (322, "Masked: a mask's state predicts its own token", masked, MASKED),
    ]
    for y, heading, tokens, places in panels:
        card.heading(y + 8, heading)
        for x, words in ((142, "text"), (242, "question"), (342, "prompt's end"), (442, "answer")):
            card.words(x, y + 42, words)
        for i, (token, kind) in enumerate(tokens):
            card.box(92 + 50 * i, y + 58, 50, 36, token, kind)
        for row, (name, used) in enumerate(places.items()):
            height = y + 118 + 34 * row
            card.words(14, height, name, anchor="start")
            for i in range(len(tokens)):
                card.dot(117 + 50 * i, height, i in used)
    return card


def read_once() -> Card:
    """Who sees whom."""
    card = Card("Read-once attention: who sees whom", 408)
    parts = [("text", "text"), ("question 1\n+ masks", "question"), ("question 2\n+ masks", "question")]
    card.words(340, 24, "sees whom →")
    card.words(70, 70, "who ↓")
    for i, (words, kind) in enumerate(parts):
        card.box(135 + 138 * i, 44, 130, 52, words, kind)
        card.box(15, 106 + 78 * i, 110, 70, words, kind)
        for j in range(3):
            seen = j in (0, i)
            card.box(135 + 138 * j, 106 + 78 * i, 130, 70, "sees" if seen else "no", "answer" if seen else "empty", 18)
    card.words(280, 362, "No question changes what the text's states are:\nthe text is read once for all of them.")
    return card


def training() -> Card:
    """Which tokens carry the loss."""
    card = Card("What training changes", 614)
    asked = ["lamp", "broke", "How", "feel?", ":"]
    kinds = ["text", "text", "question", "question", "plain", "plain", "plain"]
    story = ["The", "lamp", "broke", "again", "and", "I", "am"]
    guessed = [*story[:2], "mask:\nbroke", *story[3:6], "mask:\nam"]
    rows = [
        ("Causal, before: every next token", story, {1, 2, 3, 4, 5, 6}),
        ("Causal, InBedder: the answer and its end", [*asked, "angry", "end"], {5, 6}),
        ("Masked, before: some tokens at random", guessed, {2, 6}),
        ("Masked, InBedder: the answer at masks", [*asked, "mask:\nangry", "end"], {5}),
    ]
    card.words(280, 24, "dark: what the model is trained to predict")
    for y, (heading, tokens, judged) in zip((60, 164, 268, 372), rows, strict=True):
        card.heading(y, heading)
        for i, token in enumerate(tokens):
            kind = kinds[i] if ":" in tokens else "plain"
            card.box(20 + 74 * i, y + 18, 74, 52, token, "answer" if i in judged else kind)
    card.heading(476, "Answers are made short")
    card.box(20, 496, 300, 42, "The customer is very angry.")
    card.arrow(322, 517, 392, 517)
    card.box(396, 496, 144, 42, "angry", "answer", 18)
    card.words(280, 566, "Before the long answer a state need only predict “The”,")
    card.words(280, 587, "before the short one it must hold the meaning.")
    return card


def explanation() -> Card:
    """How a cluster gets its name and its words."""
    card = Card("How a cluster is explained", 500)
    card.box(120, 18, 320, 56, "texts of one cluster,\nasked one question", "text")
    card.arrow(200, 74, 140, 106)
    card.arrow(360, 74, 420, 106)
    left = ["answers in words\nangry, furious, angry ...", "count them against\nother clusters (TF-IDF)"]
    right = ["embeddings: their mean\nminus that of all texts", "output layer of\nthe language model"]
    for x, boxes in ((20, left), (290, right)):
        for i, words in enumerate(boxes):
            card.box(x, 108 + 96 * i, 250, 62, words)
            card.arrow(x + 125, 170 + 96 * i, x + 125, 202 + 96 * i)
    card.box(20, 300, 250, 56, "angry, furious", "answer", 18)
    card.box(290, 300, 250, 56, "angry, mad, rage", "answer", 18)
    card.words(145, 382, "the cluster's name:\nwhat its texts answer\nand others do not")
    card.words(415, 382, "words of the vectors:\nno text is needed\nto read them")
    card.words(280, 470, "Do both say the same?", **{"font-weight": "bold"})
    return card


DIAGRAMS = {function.__name__: function for function in (flow, poolings, read_once, training, explanation)}


def drawn() -> dict[str, str]:
    """The SVG of every diagram, by name."""
    return {name: draw().svg(ALT[name]) for name, draw in DIAGRAMS.items()}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, svg in drawn().items():
        (FOLDER / f"{name}.svg").write_text(svg, encoding="utf-8", newline="\n")
