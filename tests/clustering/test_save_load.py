import json

import numpy as np
import pandas as pd
import pytest
from test_asking import LABELS, NEED, TEXTS, Given, Oracle, Words, about, blobs, numbered

from inbedder_utils import load_encoder
from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.result import Clustering
from inbedder_utils.evaluation.baselines import TfidfEmbedder


@pytest.fixture(scope="module")
def asked():
    return ask(Oracle(), TEXTS, NEED, labels=LABELS[NEED][TEXTS])


def test_a_saved_clustering_comes_back_whole(asked, tmp_path):
    folder = asked.save(tmp_path / "kept" / "need")
    again = Clustering.load(folder)
    assert repr(again) == repr(asked)
    pd.testing.assert_frame_equal(again.to_frame(), asked.to_frame())
    pd.testing.assert_series_equal(again.curve, asked.curve)
    assert np.array_equal(again.embeddings, asked.embeddings) and again.explanations == asked.explanations
    plain = ask(TfidfEmbedder(), ["odd text", "a\u2028b", "c"], NEED, 2)
    again = Clustering.load(plain.save(folder))
    assert again.texts == plain.texts and again.answers is again.labels is again.curve is None
    assert len(list(folder.iterdir())) == 3


def test_stability_and_rows_come_back_and_older_folders_still_load(tmp_path):
    twice = pd.Index([7, 3, 7, 9, 8, 1])
    days = pd.to_datetime(
        ["2026-01-01", "2026-01-01", "2026-02-01", "2026-02-02", "2026-02-03", "2026-02-04"], utc=True
    )
    pairs = pd.MultiIndex.from_product([[1, 2], list("abc")], names=["shop", None])
    for index in (
        twice,
        pd.Index(list("abcdef"), name="index"),
        pd.RangeIndex(10, 16),
        pd.DatetimeIndex(days).as_unit("ns"),
        pairs,
    ):
        texts = pd.Series(numbered(6), index=index)
        result = ask(Given(blobs(3, 3)), texts, "Which?", 2)
        folder = result.save(tmp_path)
        again = Clustering.load(folder)
        assert again.stability == result.stability is not None
        pd.testing.assert_index_equal(again.to_frame().index, index, exact="equiv")
    path = folder / "clustering.json"
    contents = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in contents.items() if k not in ("stability", "index")}))
    older = Clustering.load(folder)
    assert older.stability is older.index is None and older.names == result.names


@pytest.fixture(scope="module")
def kept(felt, tmp_path_factory):
    return felt.save(tmp_path_factory.mktemp("kept"))


def test_loaded_with_their_encoder_clusters_take_further_texts(felt, kept, mini_encoder):
    new = ["I am so angry!", "Thank you, how lovely", "x = 1"]
    again = Clustering.load(kept, encoder=load_encoder(device="cpu"))
    assert again.encoder is not mini_encoder and np.array_equal(again.memberships, felt.memberships)
    pd.testing.assert_frame_equal(again.assign(new), felt.assign(new))


def test_loaded_without_an_encoder_clusters_say_what_they_need(felt, kept):
    again = Clustering.load(kept)
    with pytest.raises(ValueError, match=r"load them with it, Clustering.load\(folder, encoder=load_encoder\(\)\)"):
        again.assign(["x"])
    assert again.split(0, 2).sizes.tolist() == felt.split(0, 2).sizes.tolist()
    assert np.array_equal(again.merge(3).assignments, felt.merge(3).assignments) and again.tree().size == 175


def test_another_encoder_is_refused(felt, kept, tiny_encoder):
    with pytest.raises(
        ValueError, match="another encoder, or one with other settings, asked in .*: load 'mini' in float32"
    ) as refused:
        Clustering.load(kept, encoder=tiny_encoder)
    assert "save it again" not in str(refused.value)
    for nothing in ("mini", object()):
        with pytest.raises(TypeError, match=r"encoder must have encode\(texts, instruction\), got .*load_encoder\(\)"):
            Clustering.load(kept, encoder=nothing)


def test_of_encoders_without_a_name_and_older_folders_nothing_is_known(tmp_path):
    class Named(Words):
        checkpoint = "words"

    for encoder in (Words(), Named()):
        folder = ask(encoder, about("sea", "rail"), "Which?", 2).save(tmp_path)
        assert json.loads((folder / "clustering.json").read_text())["encoder"] is None
        again = Clustering.load(folder, encoder=Words())
        assert again.assign(again.texts)["cluster"].tolist() == again.assignments.tolist()


def test_options_come_back_and_take_further_texts(tmp_path):
    result = ask(Words(), [*about("sea", "rail"), "cheese"], "Which?", options=["rail: train", "sea", "qqq"])
    again = Clustering.load(result.save(tmp_path), encoder=Words())
    assert again.options == result.options == ["rail", "sea", "qqq"] and again.notes == result.notes
    assert repr(again) == repr(result) and np.array_equal(again.memberships, result.memberships)
    new = ["a boat at sea", "rail", "cloud"]
    pd.testing.assert_frame_equal(again.assign(new), result.assign(new))
    clusters = ask(Words(), about("sea", "rail"), "Which?", 2).save(tmp_path)
    assert Clustering.load(clusters).options is None


def test_saving_over_a_clustering_fails_as_a_whole(asked, tmp_path):
    folder = asked.save(tmp_path)
    other = ask(Given(blobs(3, 3)), numbered(6), "Which?", 2)
    other.notes.append(object())  # which JSON can't hold: the list of contents, written last, fails
    with pytest.raises(TypeError, match="not JSON serializable"):
        other.save(folder)
    assert repr(Clustering.load(folder)) == repr(asked)


def test_a_damaged_folder_says_so(asked, tmp_path):
    with pytest.raises(FileNotFoundError, match="no clustering in"):
        Clustering.load(tmp_path)
    folder = asked.save(tmp_path / "one")
    contents = folder / "clustering.json"
    good = contents.read_text()
    for bad in (
        "",
        "[]",
        good[:100],
        json.dumps(json.loads(good) | {"format": 2}),
        good.replace("rows-", "../rows-"),
        good.replace("typical", "x"),
    ):
        contents.write_text(bad)
        with pytest.raises(ValueError, match="can't be read.*save it again"):
            Clustering.load(folder)
    contents.write_text(good)
    (rows,) = folder.glob("rows-*")
    rows.write_text(rows.read_text().replace("refund", "repair"))
    with pytest.raises(ValueError, match="rows-.* is not the file that was saved"):
        Clustering.load(folder)
    rows.unlink()
    with pytest.raises(ValueError, match="can't be read"):
        Clustering.load(folder)


def test_a_folder_with_other_files_is_left_alone(asked, tmp_path):
    (tmp_path / "rows-mine.jsonl").write_text("mine")
    with pytest.raises(ValueError, match="holds something else"):
        asked.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["rows-mine.jsonl"]


def test_saving_clears_away_what_an_earlier_save_left_and_nothing_else(asked, tmp_path):
    (tmp_path / "arrays.new").write_text("half")
    folder = asked.save(tmp_path)
    (folder / "rows-mine.jsonl").write_text("mine")
    (folder / f".{'0' * 32}.part").write_text("half")
    asked.save(folder)
    assert len(list(folder.iterdir())) == 4 and (folder / "rows-mine.jsonl").read_text() == "mine"
