"""hh-rlhf transcripts are read in turns, and nothing of them is bent to fit."""

import gzip
import json
from collections import Counter

import pytest

from label_data.errors import InputError
from label_data.formats.datasets import hh_rlhf
from label_data.formats.pairs import NOT_LAST_TURN
from label_data.records import Message
from tests.support.reasons import lost_field

FLYING = "\n\nHuman: Can pigs fly?\n\nAssistant: "


def file_of(tmp_path, *rows, name="pairs.jsonl.gz"):
    path = tmp_path / name
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


def test_a_row_is_a_prompt_two_completions_and_one_ranking(tmp_path):
    path = file_of(tmp_path, {"chosen": FLYING + "No, they have no wings.", "rejected": FLYING + "No, but yes."})
    (group,) = hh_rlhf.read(path)
    assert group.prompt.messages == (Message("user", "Can pigs fly?"),)
    assert group.prompt.source == "pairs.jsonl.gz"
    assert [completion.text for completion in group.completions] == ["No, they have no wings.", "No, but yes."]
    assert group.rankings[0].order[0] == (group.completions[0].id,)
    assert group.rankings[0].annotator == "hh-rlhf"


def test_white_space_inside_a_turn_is_kept_and_only_the_space_after_the_colon_is_layout(tmp_path):
    text = "  def f():\n\n    return 1\n"
    path = file_of(tmp_path, {"chosen": FLYING + text, "rejected": "\n\nHuman: Can pigs fly?\n\nAssistant:"})
    (group,) = hh_rlhf.read(path)
    assert [completion.text for completion in group.completions] == [text, ""]


def test_a_speakers_name_inside_a_line_begins_no_turn(tmp_path):
    path = file_of(tmp_path, {"chosen": FLYING + "Human: no. \nAssistant: no.", "rejected": FLYING + "Yes."})
    assert next(hh_rlhf.read(path)).completions[0].text == "Human: no. \nAssistant: no."


def test_rows_that_part_before_their_last_turn_are_left_out_with_a_count(tmp_path):
    early = {"chosen": FLYING + "No.\n\nHuman: Sure?\n\nAssistant: Yes.", "rejected": FLYING + "Yes."}
    left_out = Counter()
    path = file_of(tmp_path, early, {"chosen": FLYING + "No.", "rejected": FLYING + "Yes.", "id": 7}, early)
    assert len(list(hh_rlhf.read(path, left_out))) == 1
    assert left_out == {NOT_LAST_TURN: 2, lost_field("id"): 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"chosen": FLYING}, "line 2, field rejected: missing; the fields are chosen."),
        ({"chosen": 5, "rejected": FLYING}, "line 2, field chosen: found the number 5. Write a text."),
        ({"chosen": FLYING, "rejected": ["a"]}, "line 2, field rejected: found a list. Write a text."),
        (
            {"chosen": FLYING, "rejected": "Yes."},
            "line 2, field rejected: found a text that does not begin with a turn",
        ),
        ({"chosen": "So" + FLYING, "rejected": FLYING}, "line 2, field chosen: found a text that does not begin"),
        (
            {"chosen": FLYING + "x" * 200_001, "rejected": FLYING},
            "line 2, field chosen: An assistant message is too long: 200,001",
        ),
    ],
)
def test_a_row_that_is_no_pair_of_transcripts_is_refused(tmp_path, row, message):
    path = file_of(tmp_path, {"chosen": FLYING + "No.", "rejected": FLYING + "Yes."}, row)
    with pytest.raises(InputError) as error:
        list(hh_rlhf.read(path))
    assert str(error.value).startswith(f"{path}, {message}")
