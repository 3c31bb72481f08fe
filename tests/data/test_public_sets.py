"""Public sets from local copies, and what is said where there is none."""

import json
from dataclasses import replace

import datasets
import pytest

from inbedder_utils.data.own_sets import small_set
from inbedder_utils.data.public_sets import PUBLIC_SETS, load_set, local_sets


def write_rows(file, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_copies_in_the_hubs_layout_load_by_folder_and_configuration(tmp_path):
    rows = small_set("triplets/messages_need").head(3).to_dict("records")
    configs = "".join(f"- config_name: {c}\n  data_files: {c}/test.jsonl\n" for c in ("emotion", "intent"))
    for folder in (tmp_path / "old", tmp_path / "new"):
        copy = folder / "BrandonZYW" / "IntentEmotion"
        for config in ("emotion", "intent"):
            write_rows(copy / config / "test.jsonl", [row | {"anchor": f"{folder.name} {config}"} for row in rows])
        (copy / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
        assert local_sets(folder) == ["IntentEmotion-emotion", "IntentEmotion-intent"]
        for config in ("emotion", "intent"):
            table = load_set(f"IntentEmotion-{config}", folder)
            assert list(table) == ["anchor", "positive", "negative"]
            assert table["anchor"].tolist() == [f"{folder.name} {config}"] * 3


def test_a_set_without_a_test_split_counts_as_test(tmp_path, monkeypatch):
    pairs = small_set("pairs").head(4)
    write_rows(tmp_path / "BrandonZYW" / "InstructSTSB" / "train.jsonl", pairs.to_dict("records"))
    monkeypatch.setenv("INBEDDER_DATA", str(tmp_path))
    assert load_set("InstructSTSB").to_dict("records") == pairs.to_dict("records")


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "parquet"])
def test_a_copy_may_be_one_file(tmp_path, ending):
    texts = small_set("clustering/news_topic").assign(extra=1)
    (tmp_path / "eval").mkdir()
    file = tmp_path / "eval" / f"nytclustering-topic.{ending}"
    texts.to_parquet(file) if ending == "parquet" else texts.to_json(file, lines=True, orient="records")
    assert load_set("NYTClustering-topic", tmp_path).equals(texts[["text", "cluster"]])
    assert local_sets(tmp_path) == ["NYTClustering-topic"]


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([{"text": "a"}], r"has no column cluster: expected text, cluster, found text. Is it BrandonZYW/FewRel"),
        ([{"text": "a", "cluster": "x"}, {"text": " ", "cluster": "y"}], "has a gap in row 2"),
        ([{"text": "a", "cluster": "x"}, {"text": "b", "cluster": None}], "has a gap in row 2"),
    ],
)
def test_a_copy_that_is_not_the_set_is_refused(tmp_path, rows, error):
    write_rows(tmp_path / "eval" / "fewrel.jsonl", rows)
    with pytest.raises(ValueError, match=error):
        load_set("FewRel", tmp_path)


def test_a_copy_that_is_not_whole_is_refused(tmp_path):
    write_rows(tmp_path / "eval" / "ratemyprof.jsonl", [{"text": "a", "cluster": "x"}])
    with pytest.raises(ValueError, match="has 1 rows, expected 2296 of BrandonZYW/RateMyProfClustering"):
        load_set("RateMyProf", tmp_path)
    (tmp_path / "eval" / "fewrel.jsonl.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(ValueError, match=r"fewrel.jsonl.gz can't be read.*is it whole\? Copy it again"):
        load_set("FewRel", tmp_path)


def test_a_set_that_cannot_be_had_is_named_with_the_way_to_it(tmp_path):
    with pytest.raises(
        OSError, match=r"FeedbacksClustering can't be loaded.*not in .*hf download BrandonZYW/Feedbacks"
    ):
        load_set("Feedbacks", tmp_path)
    with pytest.raises(OSError, match="no folder .*nowhere: pass one with local copies"):
        load_set("Feedbacks", tmp_path / "nowhere")
    with pytest.raises(ValueError, match="unknown data set 'RateMyPorf'.*did you mean 'RateMyProf'"):
        load_set("RateMyPorf")


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_a_set_is_taken_from_the_hub_at_the_commit_that_was_evaluated_and_at_no_other(monkeypatch, name):
    asked = []

    def load(hub, config, split, revision):
        asked.append(replace(PUBLIC_SETS[name], hub=hub, revision=revision, config=config, split=split))
        raise RuntimeError("Dataset scripts are no longer supported")

    monkeypatch.delenv("INBEDDER_DATA", raising=False)
    monkeypatch.setattr(datasets, "load_dataset", load)  # what the network would bring
    with pytest.raises(OSError, match="can't be loaded from the hub .Dataset scripts are no longer supported"):
        load_set(name)
    assert asked == [PUBLIC_SETS[name]] and len(asked[0].revision) == 40
