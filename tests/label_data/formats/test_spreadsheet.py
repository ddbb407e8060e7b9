"""A table that a spreadsheet opens: no model text is a formula, and what was edited by hand is read or refused."""

import csv
import io
from collections import Counter

import pandas as pd
import pytest

from label_data.errors import InputError
from label_data.exchange.known_formats import recognised
from label_data.formats import spreadsheet
from label_data.records import Completion, Group, Message, Prompt, Ranking, user_prompt
from label_data.sentences import say


def ranked(prompt, *texts, order=None, **fields):
    completions = tuple(Completion(prompt.id, text, "tiny") for text in texts)
    ids = tuple(completion.id for completion in completions)
    ranks = tuple(tuple(ids[place] for place in tied) for tied in order or [[place] for place in range(len(texts))])
    return Group(prompt, completions, (Ranking(prompt.id, "ana", ids[::-1], ranks, submission="s1", **fields),))


def written(tmp_path, *groups):
    left_out = Counter()
    number = spreadsheet.write(tmp_path / "a.csv", groups, left_out)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_bytes().decode("utf-8-sig"), newline="")))
    assert len(rows) == number
    return rows, +left_out


def test_a_row_is_a_completion_with_its_rank_and_those_of_one_ranking_stand_together(tmp_path):
    group = ranked(user_prompt("Why?", "sky"), "a", "b", "c", order=[[1], [0, 2]], strength=(3,), seconds=4.5)
    rows, left_out = written(tmp_path, group)
    assert [(row["rank"], row["completion"], row["shown"], row["strength"]) for row in rows] == [
        ("1", "b", "2", "3"),
        ("2", "a", "3", ""),
        ("2", "c", "1", ""),
    ]
    assert {(row["ranking"], row["annotator"], row["prompt"], row["category"]) for row in rows} == {
        ("s1", "ana", "Why?", "sky")
    }
    assert not left_out


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1"])
def test_no_cell_begins_as_a_formula_does_and_reading_gives_the_text_again(tmp_path, text):
    rows, _ = written(tmp_path, ranked(user_prompt(text), text + "a", "b", reason=text))
    assert (rows[0]["prompt"], rows[0]["completion"], rows[0]["reason"]) == (f"'{text}", f"'{text}a", f"'{text}")
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row.values())
    (group,) = spreadsheet.read(tmp_path / "a.csv")
    assert group.prompt.messages[0].content == text
    assert group.rankings[0].reason == text


def test_pandas_reads_the_table_as_it_is(tmp_path):
    written(tmp_path, ranked(user_prompt('Say "no",\nplease: שלום'), "a, b\r\nc", "d"))
    table = pd.read_csv(tmp_path / "a.csv")
    assert table["prompt"].unique().tolist() == ['Say "no",\nplease: שלום']
    assert table["completion"].tolist() == ["a, b\r\nc", "d"]
    assert table["rank"].tolist() == [1, 2]


def test_a_conversation_is_kept_whole_beside_its_last_turn(tmp_path):
    prompt = Prompt((Message("system", "Be brief."), Message("user", "Why?")))
    rows, _ = written(tmp_path, ranked(prompt, "a", "b"))
    assert rows[0]["prompt"] == "Why?"
    assert recognised(tmp_path / "a.csv") == ("spreadsheet", say("label_data.formats.is_spreadsheet"))
    (group,) = spreadsheet.read(tmp_path / "a.csv")
    assert group.prompt.messages == prompt.messages


def test_what_a_table_has_no_place_for_is_counted(tmp_path):
    group = ranked(user_prompt("Why?"), "a", "b", submitted=2**62)
    more = Group(group.prompt, (*group.completions, Completion(group.prompt.id, "c")), group.rankings)
    rows, left_out = written(tmp_path, more, Group(user_prompt("Who?")))
    assert rows[0]["submitted"] == ""
    assert left_out == {
        say("label_data.formats.prompt_not_ranked"): 1,
        say("label_data.formats.not_shown"): 1,
        spreadsheet.NO_DATE: 1,
    }


def test_a_time_is_readable_and_exact(tmp_path):
    """1.5 seconds after the day began that is 20,000 days after 1970-01-01, which is 2024-10-04."""
    microseconds = 20_000 * 86_400 * 10**6 + 1_500_000
    rows, _ = written(tmp_path, ranked(user_prompt("Why?"), "a", "b", submitted=microseconds))
    assert rows[0]["submitted"] == "2024-10-04 00:00:01.500000"
    (group,) = spreadsheet.read(tmp_path / "a.csv")
    assert group.rankings[0].submitted == microseconds


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("rank", "first", "field rank: found 'first'. Write a whole number"),
        ("shown", "-1", "field shown: found '-1'. Write a whole number"),
        ("seconds", "long", "field seconds: found 'long'. Write a number"),
        ("seconds", "inf", "took inf seconds"),
        ("submitted", "noon", "field submitted: found 'noon'. Write a time"),
        ("flags", "untrue", "field flags: invalid JSON at character 1"),
        ("flags", '{"a": 1}', "field flags: found"),
        ("conversation", "[]", "field conversation: The cell is an empty list"),
        ("outcome", "won", "has outcome 'won'"),
        ("annotator", "", "field annotator: missing"),
        ("rating", "9", "has ratings [9]"),
    ],
)
def test_a_cell_that_does_not_fit_is_refused_with_its_line(tmp_path, column, cell, message):
    rows, _ = written(tmp_path, ranked(user_prompt("Why?"), "a", "b"))
    with (tmp_path / "b.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, spreadsheet.COLUMNS)
        table.writeheader()
        table.writerows([rows[0] | {column: cell}, rows[1] | ({column: cell} if column == "conversation" else {})])
    with pytest.raises(InputError) as error:
        list(spreadsheet.read(tmp_path / "b.csv"))
    assert str(error.value).startswith(f"{tmp_path / 'b.csv'}, line 2")
    assert message in str(error.value)


@pytest.mark.parametrize(("rows", "text"), [(1_001, ""), (130, "x" * 131_000)])
def test_a_ranking_without_an_end_is_refused(tmp_path, rows, text):
    """130 cells of 131,000 characters are more than 16 Mi = 16,777,216."""
    row = {"ranking": "s", "annotator": "ana", "prompt": "Why?", "outcome": "skipped", "source": "person"}
    with (tmp_path / "a.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, spreadsheet.COLUMNS)
        table.writeheader()
        table.writerows(row | {"completion": f"{place}{text}", "shown": place} for place in range(rows))
    message = "line 2, field ranking: one id has more than 1,000 rows, or 16 Mi characters"
    with pytest.raises(InputError, match=message):
        list(spreadsheet.read(tmp_path / "a.csv"))
