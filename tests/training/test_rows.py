"""Rows from files and generators: good ones are taken, bad ones are named."""

import gzip
import json

import pytest

from inbedder_utils.data.natural_qa import natural_rows
from inbedder_utils.data.qa_sources import small_world_rows
from inbedder_utils.data.small_world import DOMAINS
from inbedder_utils.data.small_world_sets import attribute_values
from inbedder_utils.training.presets import Part
from inbedder_utils.training.rows import (
    CheckedRows,
    held_out_rows,
    load_parts,
    load_rows,
    mean_length,
    set_aside,
    shorten_answer,
    shortened,
    warn_of_overlap,
)


def row(i: int = 0, **other: str) -> dict[str, str]:
    return {"input": f"Text {i}.", "instruction": "What?", "output": "nothing"} | other


def write(path, rows):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8") as file:
        file.writelines((r if isinstance(r, str) else json.dumps(r, ensure_ascii=False)) + "\n" for r in rows)
    return path


# --- files


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.txt"])
def test_a_file_is_read_as_it_is(tmp_path, name):
    rows = [row(0, input="Grüße aus 東京 🗼\nzweite Zeile"), row(1, output="a  b", extra="kept")]
    assert load_rows(Part(str(write(tmp_path / name, rows)))) == CheckedRows(rows, [])


def test_a_folder_is_all_of_its_files_in_order(tmp_path):
    write(tmp_path / "b.jsonl", [row(2)])
    write(tmp_path / "a.jsonl.gz", [row(0), row(1)])
    write(tmp_path / "notes.txt", ["not data"])
    assert load_rows(Part(str(tmp_path))).good == [row(0), row(1), row(2)]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ('{"input": "a"', r"line 2 (Expecting ',' delimiter: line 2 column 1 (char 14))"),
        ('["input"]', "line 2: not an object with input, instruction, output"),
        ("null", "line 2: not an object with"),
        (row(output=" "), "line 2: output missing or empty"),
        (row(output=5), "line 2: output missing or empty"),
        ({"input": "a", "Instruction": "b"}, "line 2: instruction, output missing or empty"),
    ],
)
def test_a_bad_row_is_named_with_file_and_line(tmp_path, bad, message):
    file = write(tmp_path / "rows.jsonl", [row(0), bad, row(2)])
    rows = load_rows(Part(str(file)))
    assert rows.good == [row(0), row(2)]
    (named,) = rows.bad
    assert named.startswith(f"{file}, ") and message.split(" (Expecting")[0] in named


def test_a_few_bad_rows_are_left_out_with_a_warning(tmp_path):
    file = write(tmp_path / "rows.jsonl", [*(row(i) for i in range(99)), "{}"])
    with pytest.warns(UserWarning, match=r"^1 of 100 rows of .* are bad: .*line 100: input, .* They are left out$"):
        assert len(load_parts([Part(str(file))])) == 99


def test_many_bad_rows_are_an_error_that_names_the_first_of_them(tmp_path):
    file = write(tmp_path / "rows.jsonl", [*(row(i) for i in range(300)), *["{}"] * 7])
    with pytest.raises(ValueError, match=r"7 of 307 rows.*line 301: .*line 305: [^;]* \.\.\. and 2 more. More than 1%"):
        load_parts([Part(str(file))])


def test_a_byte_order_mark_and_blank_lines_are_no_rows(tmp_path):
    (tmp_path / "rows.jsonl").write_text(f"\ufeff{json.dumps(row(0))}\n\n{json.dumps(row(1))}\n\n", encoding="utf-8")
    assert load_rows(Part(str(tmp_path / "rows.jsonl"))) == CheckedRows([row(0), row(1)], [])


@pytest.mark.parametrize("name", ["latin.jsonl", "cut.jsonl.gz", "plain.jsonl.gz"])
def test_a_damaged_file_is_named(tmp_path, name):
    lines = "".join(json.dumps(row(i, input=f"Caf\xe9 {i}"), ensure_ascii=False) + "\n" for i in range(2000))
    whole = {"latin.jsonl": lines.encode("latin-1"), "cut.jsonl.gz": gzip.compress(lines.encode())[:-900]}
    (tmp_path / name).write_bytes(whole.get(name, lines.encode()))
    with pytest.raises(ValueError, match=rf"{name} can't be read after line \d+ .*it must be whole, and in UTF-8"):
        load_rows(Part(str(tmp_path / name)))


def test_each_source_is_judged_alone(tmp_path):
    good = write(tmp_path / "good.jsonl", [row(i) for i in range(500)])
    bad = write(tmp_path / "bad.jsonl", [row(0), "{}"])
    with pytest.raises(ValueError, match=r"1 of 2 rows of .*bad\.jsonl are bad"):
        load_parts([Part(str(good)), Part(str(bad))])


def test_a_source_without_a_good_row_is_refused(tmp_path):
    with pytest.raises(ValueError, match="empty.jsonl holds no complete row; the first problem: empty"):
        load_rows(Part(str(write(tmp_path / "empty.jsonl", []))))
    with pytest.raises(ValueError, match="no complete row; the first problem: .*line 1: input, instruction, output"):
        load_rows(Part(str(write(tmp_path / "bad.jsonl", ["{}"]))))
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="folder holds no complete row"):
        load_rows(Part(str(tmp_path / "folder")))


def test_parts_stand_one_after_another(tmp_path):
    first, second = (write(tmp_path / f"{i}.jsonl", [row(i)]) for i in range(2))
    assert load_parts([Part(str(second)), Part(str(first))]) == [row(1), row(0)]


@pytest.mark.parametrize("name", ["squadd", "./rows.jsonl", "/no/such/folder", "a/b/c", "some/rows.jsonl", "~/none.gz"])
def test_what_is_neither_here_nor_on_the_hub_is_named(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="no data set .*JSON Lines file, a hub id .*inbedder_qa, small_world, "):
        load_rows(Part(name))


def test_a_limit_draws_texts_with_all_of_their_questions(tmp_path):
    rows = [row(i % 50, instruction=f"What {i // 50}?") for i in range(200)]
    drawn = load_rows(Part(str(write(tmp_path / "rows.jsonl", rows)), limit=40)).good
    assert len(drawn) == 40 and len({r["input"] for r in drawn}) == 10


def test_a_limit_draws_rows_at_random_the_same_ones_for_a_seed(tmp_path):
    part = Part(str(write(tmp_path / "rows.jsonl", [row(i) for i in range(200)])), limit=20)
    first, again, other = (load_rows(part, seed).good for seed in (0, 0, 1))
    assert first == again != other and len(first) == len({r["input"] for r in first}) == 20
    assert first != [row(i) for i in range(20)]
    assert len(load_rows(Part(part.source, limit=1000)).good) == 200


def test_every_pass_over_a_file_gives_its_rows(tmp_path):
    file = write(tmp_path / "rows.jsonl", [row(0), row(1)])
    assert load_rows(Part(str(file), passes=2)).good == [row(0), row(1)] * 2


# --- the sets that ship with the package


def test_natural_rows_are_asked_anew_with_every_pass():
    once, thrice = (load_rows(Part("inbedder_qa", passes=n)).good for n in (1, 3))
    assert once == natural_rows("train") and len(thrice) == 3 * len(once)
    passes = [thrice[i : i + len(once)] for i in range(0, len(thrice), len(once))]
    assert passes[0] == once and passes[1] != passes[2]
    assert [r["input"] for r in passes[2]] == [r["input"] for r in once]
    assert load_rows(Part("inbedder_qa", passes=2), seed=1).good != load_rows(Part("inbedder_qa", passes=2)).good


def test_the_small_world_is_complete_and_the_same_for_a_seed():
    rows = small_world_rows(0, texts=20, notes_per_domain=20)
    assert rows == small_world_rows(0, texts=20, notes_per_domain=20) != small_world_rows(1, 20, 20)
    taken = CheckedRows()
    for i, made in enumerate(rows):
        taken.add(str(i), made)
    assert taken.good == rows and not taken.bad


@pytest.mark.parametrize("source", ["inbedder_qa", "small_world"])
def test_held_out_rows_share_no_text_with_those_trained_on(source):
    held = held_out_rows(source)
    trained = natural_rows("train") if source == "inbedder_qa" else small_world_rows(0, 500, 500)
    bare = [{" ".join(r["input"].lower().split()) for r in part} for part in (trained, held)]
    assert len(held) > 500 and not bare[0] & bare[1]
    assert held == held_out_rows(source)


def test_held_out_rows_of_a_file_are_all_of_it(rows_file):
    assert held_out_rows(str(rows_file)) == load_rows(Part(str(rows_file))).good


# --- answers, and rows set aside


@pytest.mark.parametrize(
    ("answer", "short"),
    [
        ("last week", "week"),
        ("to get the money back", "money back"),
        ("He was not happy.", "not happy."),
        ("the", "the"),
        ("no", "no"),
        ("two dogs", "two dogs"),
        ("a fire", "fire"),
        ("refund", "refund"),
        ("", ""),
    ],
)
def test_shorten_answer(answer, short):
    assert shorten_answer(answer) == short


@pytest.mark.parametrize(("domain", "attribute"), [(d, a) for d in DOMAINS for a in attribute_values(d)])
def test_answers_to_a_question_differ_in_their_first_word(domain, attribute):
    firsts = [shorten_answer(value).split()[0] for value in attribute_values(domain)[attribute]]
    assert len(set(firsts)) == len(firsts)


def test_answers_are_shortened_and_the_rest_stays():
    rows = [row(0, output="because of the rain"), row(1, output="the"), row(2, output="not there", extra="x")]
    short = shortened(rows)
    assert [r["output"] for r in short] == [shorten_answer(r["output"]) for r in rows] == ["rain", "the", "not"]
    assert [r | {"output": ""} for r in short] == [r | {"output": ""} for r in rows]
    assert rows[0]["output"] == "because of the rain"


def test_mean_length_counts_words():
    assert mean_length([row(output="a b"), row(output="a b c d")]) == 3 and mean_length([]) == 0


def test_rows_set_aside_share_no_text_with_the_rest():
    rows = [row(i % 100, instruction=f"Q{i}?") for i in range(1000)]
    train, held = set_aside(rows)
    assert not {r["input"] for r in train} & {r["input"] for r in held}
    assert len(held) == 20 and sorted(map(str, train + held)) == sorted(map(str, rows))
    assert train == [r for r in rows if r in train], "the order stays"
    assert set_aside(rows) == (train, held) != set_aside(rows, seed=1)


def test_texts_that_differ_in_case_and_spaces_only_are_set_aside_together():
    texts = (f"{form.format(i % 60)}" for i in range(60) for form in ("Text {}.", "TEXT  {}.", " text\n{}. "))
    train, held = set_aside([row(input=text) for text in texts], share=0.2)
    bare = [{" ".join(r["input"].lower().split()) for r in part} for part in (train, held)]
    assert not bare[0] & bare[1] and len(held) == 36 == 3 * len(bare[1])


def test_held_out_texts_that_are_trained_on_are_counted(recwarn):
    rows = [row(i) for i in range(5)]
    warn_of_overlap(rows, [row(7)])
    assert not recwarn
    with pytest.warns(UserWarning, match="2 of 3 held-out rows are about texts that are trained on"):
        warn_of_overlap(rows, [row(input="TEXT  1."), row(2), row(7)])


def test_not_many_more_rows_are_set_aside_than_are_wanted():
    rows = [row(i // 3) for i in range(3000)]
    assert 500 <= len(set_aside(rows, share=0.9)[1]) <= 502
    assert len(set_aside(rows, share=0.01)[1]) == 30
    assert set_aside([]) == ([], [])
    assert set_aside([row()]) == ([], [row()]), "nothing is left to train on: train says so"
