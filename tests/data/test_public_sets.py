import json

import pandas as pd
import pytest

from inbedder_utils.data.public_sets import QUESTIONS, corpus, load_set, local_sets, small_set, small_sets

SETS = [(domain, label) for domain, labels in QUESTIONS.items() for label in labels]


def test_every_set_that_is_named_can_be_read_and_holds_no_gaps():
    assert len(small_sets()) == 2 * len(SETS) + 3
    for name in small_sets():
        table = small_set(name)
        assert len(table) >= 100
        assert not table.isna().any(axis=None)
        assert not table.duplicated().any()


def test_an_unknown_set_is_named_with_close_matches():
    with pytest.raises(
        ValueError, match="unknown small set 'triplets/message_need'.*did you mean 'triplets/messages_need'"
    ):
        small_set("triplets/message_need")
    with pytest.raises(ValueError, match="unknown domain 'new': expected one of messages, news, reviews"):
        corpus("new")


@pytest.mark.parametrize("domain", QUESTIONS)
def test_labels_of_a_domain_are_independent(domain):
    texts = corpus(domain)
    assert len(texts) >= 100 and texts["text"].is_unique
    counts = texts.groupby(list(QUESTIONS[domain])).size()
    combinations = pd.Series({label: texts[label].nunique() for label in QUESTIONS[domain]}).prod()
    assert len(counts) == combinations
    assert counts.min() == counts.max()


@pytest.mark.parametrize(("domain", "label"), SETS)
def test_a_positive_shares_only_the_label_and_a_negative_only_the_others(domain, label):
    labels = corpus(domain).set_index("text")
    triplets = small_set(f"triplets/{domain}_{label}")
    anchor, positive, negative = (labels.loc[triplets[side]].reset_index(drop=True) for side in triplets)
    for column in labels:
        shared = positive if column == label else negative
        differing = negative if column == label else positive
        assert (anchor[column] == shared[column]).all()
        assert (anchor[column] != differing[column]).all()


def test_every_pair_is_judged_alike_under_one_question_and_unlike_under_another():
    pairs = small_set("pairs")
    by_pair = pairs.groupby(["sentence1", "sentence2"])["score"]
    assert len(by_pair) >= 100
    assert (by_pair.size() == 2).all() and (by_pair.sum() == 1).all()
    frequent = pairs.groupby("instruction")["score"].agg(["size", "mean"]).query("size >= 4")
    assert frequent["mean"].between(0.35, 0.65).all(), "a question gives the score away"


@pytest.mark.parametrize(("domain", "label"), [pair for pair in SETS if pair[1] != "product"])
def test_texts_mostly_do_not_say_their_label(domain, label):
    texts = corpus(domain)
    named = [row[label].lower() in row["text"].lower() for _, row in texts.iterrows()]
    assert sum(named) / len(named) < 0.2


def test_the_guests_labels_are_crossed():
    guests = small_set("guests")
    assert list(guests) == ["text", "aspect", "feeling", "country"] and guests["text"].is_unique
    counts = guests.groupby(["aspect", "feeling", "country"]).size()
    assert len(counts) == 6 * 4 * 6 and (counts == 3).all()


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
