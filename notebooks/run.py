"""Run the notebooks from top to bottom and say how each one fared.

python notebooks/run.py                   every notebook; executed copies and HTML go to build/
python notebooks/run.py 01_load_models    only this one (a stem, a file name or a path; solutions/01_load_models)
python notebooks/run.py --in-place        also write the new outputs back, where the run succeeded
"""

import argparse
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parent
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
CLEAR = "\r\x1b[K" if sys.stdout.isatty() else ""  # start the line afresh; a log gets no progress at all


def name_of(path: Path) -> str:
    """What the table calls a notebook: its stem, after solutions/ if it is one of those."""
    return f"solutions/{path.stem}" if path.parent.name == "solutions" else path.stem


def find(names: list[str]) -> list[Path]:
    """Turn names into paths, or list every numbered notebook, then the solutions, when there are no names."""
    every = sorted(FOLDER.glob("[0-9]*.ipynb")) + sorted(FOLDER.glob("solutions/[0-9]*.ipynb"))
    paths = []
    for name in names:
        found = [p for p in (Path(name), FOLDER / name, FOLDER / f"{name}.ipynb") if p.is_file()]
        if not found:
            raise SystemExit(f"no notebook {name!r}; there are: {', '.join(map(name_of, every))}")
        paths.append(found[0].resolve())
    return paths or every


def execute(nb: NotebookNode, path: Path) -> str:
    """Run all cells of `nb`, in the folder of `path`; return "ok", or which cell stopped the run and why."""
    begun, total = 0, sum(cell.cell_type == "code" and cell.source.strip() != "" for cell in nb.cells)

    def show_progress(cell: NotebookNode, cell_index: int) -> None:
        nonlocal begun
        begun += 1
        if CLEAR:
            print(f"{CLEAR}{name_of(path)}  cell {begun}/{total}", end="", flush=True)

    client = NotebookClient(nb, kernel_name="python3", timeout=None, on_cell_execute=show_progress)
    client.record_timing, client.coalesce_streams = False, True  # the same outputs on every run
    client.extra_arguments = ["--log-level=ERROR"]  # the kernel warns at each start that it talks over TCP
    try:
        client.execute(cwd=path.parent)
    except CellExecutionError as error:
        reason = f"{error.ename}: {error.evalue}"
    except Exception as error:  # a dead kernel, say: the other notebooks still get their turn
        reason = f"{type(error).__name__}: {error}"
    else:
        return "ok"
    return f"cell {begun} of {total}: {' '.join(reason.split())[:150]}"


def quieten(nb: NotebookNode) -> None:
    """Drop what changes from run to run or machine to machine, so that a diff shows real changes only."""
    nb.metadata.kernelspec = KERNEL
    nb.metadata.language_info = {"name": "python"}
    nb.metadata.pop("widgets", None)
    for cell in nb.cells:
        cell.metadata.pop("execution", None)


def write_atomically(nb: NotebookNode, path: Path) -> None:
    """Write the notebook next to its place first, so that no reader ever finds half a file."""
    part = path.with_name(f".{path.name}.part")
    nbformat.write(nb, part)
    os.replace(part, path)


def run_one(path: Path, build: Path, in_place: bool) -> str:
    """Run one notebook, write its copies, and return its result for the table."""
    try:
        nb = nbformat.read(path, as_version=4)
        result = execute(nb, path)
        quieten(nb)
        copy = build / f"{name_of(path)}.ipynb"
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(nb, copy)
        page, _ = HTMLExporter().from_notebook_node(nb, resources={"metadata": {"name": path.stem}})
        copy.with_suffix(".html").write_text(page, encoding="utf-8")
    except Exception as error:  # a file that is not a notebook, say
        return f"not run: {type(error).__name__}: {error}"
    if in_place and result == "ok":
        write_atomically(nb, path)
    return result


def main() -> int:
    """Run what was asked for, print the table, and return 1 if any notebook failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", help="which notebooks (default: all)")
    parser.add_argument("--in-place", action="store_true", help="write the outputs back into the notebooks")
    parser.add_argument("--build", type=Path, default=FOLDER.parent / "build", help="folder for the copies")
    args = parser.parse_args()
    paths = find(args.names) or parser.error(f"there is no notebook in {FOLDER.name}/")

    rows = []
    for path in paths:
        start = time.perf_counter()
        result = run_one(path, args.build, args.in_place)
        rows.append((name_of(path), time.perf_counter() - start, result))
        print(f"{CLEAR}{name_of(path)}: {result}", flush=True)

    width = max([len("notebook"), *(len(name) for name, _, _ in rows)])
    print(f"\n{'notebook':{width}}  seconds  result")
    for name, seconds, result in rows:
        print(f"{name:{width}}  {seconds:7.1f}  {result}")
    return int(any(result != "ok" for _, _, result in rows))


if __name__ == "__main__":
    sys.exit(main())
