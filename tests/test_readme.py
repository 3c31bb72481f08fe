"""What the README shows is what happens."""

import contextlib
import io
import re

from conftest import ROOT

README = ROOT / "README.md"
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```[ ]*$", flags=re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str, int]]:
    """(info string, body, line number of the first line of the body) of every fenced block, in order."""
    text = README.read_text(encoding="utf-8")
    return [(m["info"].strip(), m["body"], text.count("\n", 0, m.start("body"))) for m in FENCE.finditer(text)]


def test_python_blocks_run_in_order_and_print_what_the_text_blocks_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a block that writes a file does it here
    found = blocks()
    assert any(info == "python" for info, _, _ in found), "README.md has no python block"
    namespace = {"__name__": "__main__"}
    for (info, code, line), (next_info, expected, _) in zip(found, [*found[1:], ("", "", 0)], strict=True):
        if info != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * line + code, README, "exec"), namespace)
        if next_info == "text":
            assert printed.getvalue() == expected, f"README.md, the python block at line {line}"
