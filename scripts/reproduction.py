"""Write the tables of docs/reproduction.md, after its mark."""

from pathlib import Path

from inbedder_utils.paper.reproduction import reproduction_page

MARK = "<!-- made by scripts/reproduction.py -->\n"


if __name__ == "__main__":
    root = Path(__file__).parents[1]
    page = root / "docs" / "reproduction.md"
    prose = page.read_text(encoding="utf-8").split(MARK)[0]
    page.write_text(f"{prose}{MARK}\n{reproduction_page(root / 'results' / 'scores')}", encoding="utf-8")
