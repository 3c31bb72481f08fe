"""Result files as the evaluation writes them, for tests that read them."""

import json


def score(value, sd=None, measure="map", **changed):
    row = {"pooling": "own", "layer": None, "part": "", "measure": measure, "score": value, "sd": sd}
    return row | changed


def write(folder, checkpoint, task, rows):
    path = folder / checkpoint.replace("/", "__") / f"{task}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"task": task, "checkpoint": checkpoint, "scores": rows}), encoding="utf-8")
    return path
