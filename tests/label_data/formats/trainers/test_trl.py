"""TRL's preference rows: every shape that they come in, and the one that is written."""

import json
from collections import Counter

import pyarrow.parquet as pq
import pytest

from label_data.errors import InputError
from label_data.exchange.importing import import_files
from label_data.formats.pairs import NOT_LAST_TURN, SAME_TEXT
from label_data.formats.trainers import trl
from label_data.formats.trainers.trl import NO_PROMPT
from label_data.records import Completion, Group, Message, Ranking, user_prompt
from label_data.sentences import say
from label_data.store.stored_groups import groups
from tests.support.reasons import lost_field


@pytest.fixture
def address(sqlite_store):
    """Return the address of a store on SQLite alone: these tests are about files and wording, not about SQL."""
    return sqlite_store


USER = {"role": "user", "content": "Can pigs fly?"}
NO, YES = {"role": "assistant", "content": "No."}, {"role": "assistant", "content": "Yes."}


def file_of(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [USER], "chosen": [NO], "rejected": [YES]},
        {"chosen": [USER, NO], "rejected": [USER, YES]},
        {"prompt": "Can pigs fly?", "chosen": "No.", "rejected": "Yes."},
        {
            "prompt": "\n\nHuman: Can pigs fly?\n\nAssistant:",
            "chosen": " No.",
            "rejected": " Yes.",
        },
        {
            "chosen": "\n\nHuman: Can pigs fly?\n\nAssistant: No.",
            "rejected": "\n\nHuman: Can pigs fly?\n\nAssistant: Yes.",
        },
    ],
    ids=["explicit messages", "implicit messages", "explicit text", "explicit transcript", "implicit transcript"],
)
def test_a_prompt_is_found_in_every_shape_of_a_row(tmp_path, row):
    (group,) = trl.read(file_of(tmp_path, row))
    assert group.prompt.messages == (Message("user", "Can pigs fly?"),)
    assert [completion.text for completion in group.completions] == ["No.", "Yes."]
    assert group.rankings[0].order == tuple((completion.id,) for completion in group.completions)
    assert group.rankings[0].annotator == "trl"


def test_a_margin_is_a_gap_in_rewards_and_no_strength_so_it_is_not_kept_and_that_is_said(tmp_path):
    left_out = Counter()
    row = {"prompt": [USER], "chosen": [NO], "rejected": [YES], "margin": 1.0, "score_chosen": None}
    (group,) = trl.read(file_of(tmp_path, row), left_out)
    assert group.rankings[0].strength == ()
    assert left_out == {lost_field("margin"): 1}


def test_rows_without_a_preference_are_left_out_with_a_count(tmp_path):
    left_out = Counter()
    same = {"prompt": [USER], "chosen": [NO], "rejected": [NO]}
    long = {"prompt": [USER], "chosen": [NO, USER, NO], "rejected": [YES]}
    assert list(trl.read(file_of(tmp_path, same, long), left_out)) == []
    assert left_out == {SAME_TEXT: 1, NOT_LAST_TURN: 1}


def test_plain_texts_without_a_prompt_are_left_out_with_what_to_do(tmp_path):
    """TRL's own example of an implicit prompt, a prompt that is empty, and a transcript against a plain text."""
    left_out = Counter()
    sky = {"chosen": "The sky is blue.", "rejected": "The sky is green."}
    half = {"chosen": "\n\nHuman: Can pigs fly?\n\nAssistant: No.", "rejected": "Yes."}
    assert list(trl.read(file_of(tmp_path, sky, {"prompt": "", **sky}, half), left_out)) == []
    assert left_out == {NO_PROMPT: 3}
    assert "add a field 'prompt', name the field with --format table --name prompt=FIELD, or write" in str(NO_PROMPT)


def test_what_is_said_to_do_with_a_prompt_of_another_name_works(store, tmp_path):
    path = file_of(tmp_path, {"input": "Which colour has the sky?", "chosen": "Blue.", "rejected": "Green."})
    import_files(store, [path], "table", names={"prompt": "input"})
    [group] = groups(store)
    assert group.prompt.messages == (Message("user", "Which colour has the sky?"),)
    assert [completion.text for completion in group.completions] == ["Blue.", "Green."] and len(group.rankings) == 1


def test_plain_texts_without_a_prompt_leave_the_other_rows_of_their_file_as_they_are(tmp_path):
    left_out = Counter()
    sky = {"chosen": "The sky is blue.", "rejected": "The sky is green."}
    pigs = {"prompt": "Can pigs fly?", "chosen": "No.", "rejected": "Yes."}
    whole = {"chosen": [USER, NO], "rejected": [USER, YES]}
    groups = list(trl.read(file_of(tmp_path, sky, pigs, sky, whole), left_out))
    assert [group.completions[0].text for group in groups] == ["No.", "No."]
    assert left_out == {NO_PROMPT: 2}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "Hi", "chosen": "a"}, "field rejected: missing; the fields are prompt, chosen."),
        ({"prompt": [USER], "chosen": "a", "rejected": "b"}, "field prompt: found a list. Write a text."),
        ({"prompt": "Hi", "chosen": [NO], "rejected": [YES]}, "field chosen: found a list. Write a text."),
        ({"prompt": {}, "chosen": "a", "rejected": "b"}, "field prompt: found an object. Write a text."),
        ({"chosen": [USER, {"role": "tool", "content": "4"}], "rejected": [USER]}, "field chosen: A message has role"),
        ({"chosen": [USER, "No."], "rejected": [USER]}, "field chosen: The list, message 2: not an object"),
    ],
)
def test_a_row_that_is_no_preference_row_is_refused(tmp_path, row, message):
    path = file_of(tmp_path, row)
    with pytest.raises(InputError) as error:
        list(trl.read(path))
    assert str(error.value).startswith(f"{path}, line 1, {message}")


def ranked_group(*, texts=("a", "b", "c"), order=((0,), (1,), (2,)), **fields):
    prompt = user_prompt("Why?")
    completions = tuple(Completion(prompt.id, text) for text in texts)
    ids = [completion.id for completion in completions]
    ranks = tuple(tuple(ids[place] for place in tied) for tied in order)
    return Group(prompt, completions, (Ranking(prompt.id, "ana", tuple(ids), ranks, **fields),))


def written(tmp_path, *groups, **options):
    left_out = Counter()
    count = trl.PAIRS.write(tmp_path / "out.jsonl", groups, left_out, **options)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert count == len(rows)
    return rows, +left_out


def test_a_ranking_of_three_is_written_as_three_comparisons(tmp_path):
    rows, left_out = written(tmp_path, ranked_group())
    assert [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    assert rows[0] == {
        "prompt": [{"role": "user", "content": "Why?"}],
        "chosen": [{"role": "assistant", "content": "a"}],
        "rejected": [{"role": "assistant", "content": "b"}],
    }
    assert not left_out


def test_what_trl_has_no_place_for_is_counted(tmp_path):
    """a over b = c, d not placed: two comparisons, one tie. Twins: one pair. One prompt that nobody ranked."""
    ties = ranked_group(texts=("a", "b", "c", "d"), order=((0,), (1, 2)))
    twins = ranked_group(texts=("a", "a "), order=((0,), (1,)))
    bad = ranked_group(order=(), outcome="all_bad")
    rows, left_out = written(tmp_path, ties, twins, bad, Group(user_prompt("Who?")))
    assert len(rows) == 2
    assert left_out == {
        say("label_data.formats.tie"): 1,
        say("label_data.formats.not_placed"): 1,
        say("label_data.formats.equal_texts"): 1,
        say("label_data.formats.outcome", outcome="all_bad"): 1,
        say("label_data.formats.prompt_not_ranked"): 1,
    }


def test_a_margin_is_the_strength_between_the_two_in_every_row_or_in_none(tmp_path):
    """a to b is 3; b to c nobody measured, so a to c and b to c ask for no gap."""
    rows, left_out = written(tmp_path, ranked_group(strength=(3, None)), with_margin=True)
    assert [row["margin"] for row in rows] == [3.0, 0.0, 0.0]
    assert left_out == {say("label_data.formats.no_strength"): 2}
    assert "margin" not in written(tmp_path, ranked_group(strength=(3, None)))[0][0]


def test_parquet_holds_the_same_rows(tmp_path):
    rows, _ = written(tmp_path, ranked_group(strength=(3, 1)), with_margin=True)
    trl.PAIRS.write(tmp_path / "out.parquet", [ranked_group(strength=(3, 1))], with_margin=True)
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == rows


def test_what_is_written_reads_back_as_the_same_comparisons(tmp_path):
    trl.PAIRS.write(tmp_path / "out.jsonl.gz", [ranked_group()])
    texts = [
        tuple(completion.text for completion in group.completions) for group in trl.read(tmp_path / "out.jsonl.gz")
    ]
    assert texts == [("a", "b"), ("a", "c"), ("b", "c")]
