"""Two conversations of which one is preferred become a prompt, two completions and a ranking."""

from collections import Counter

import pytest

from label_data.files.rows_in import Row
from label_data.formats.pairs import NO_QUESTION, NOT_LAST_TURN, SAME_TEXT, count_unknown, pair_group
from label_data.records import Message
from label_data.sentences import plain, say
from tests.support.reasons import lost_field


def conversation(*turns):
    """Return messages from texts such as "user: Why?"."""
    return tuple(Message(*turn.split(": ", 1)) for turn in turns)


def test_what_both_share_is_the_prompt_and_what_they_end_with_the_completions():
    shared = ("user: Hi", "assistant: Hello.", "user: Can pigs fly?")
    chosen, rejected = conversation(*shared, "assistant: No."), conversation(*shared, "assistant: Now and then.")
    group = pair_group(chosen, rejected, "hh-rlhf", "a.jsonl", Counter())
    assert group.prompt.messages == conversation(*shared)
    assert group.prompt.source == "a.jsonl"
    assert [completion.text for completion in group.completions] == ["No.", "Now and then."]
    (ranking,) = group.rankings
    assert ranking.order == tuple((completion.id,) for completion in group.completions)
    assert (ranking.annotator, ranking.source, ranking.submitted) == ("hh-rlhf", "import", None)


def test_the_place_in_which_a_completion_was_shown_says_nothing_of_which_was_chosen():
    one, other = conversation("user: Hi", "assistant: a"), conversation("user: Hi", "assistant: b")
    there, back = pair_group(one, other, "x", "", Counter()), pair_group(other, one, "x", "", Counter())
    assert there.rankings[0].shown == back.rankings[0].shown
    assert there.rankings[0].submission != back.rankings[0].submission


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        (["user: Hi", "assistant: a"], ["user: Hi", "assistant: a"], SAME_TEXT),
        (["user: Hi", "assistant: a", "user: So?", "assistant: b"], ["user: Hi", "assistant: c"], NOT_LAST_TURN),
        (["user: Hi", "assistant: a", "assistant: b"], ["user: Hi", "assistant: c"], NOT_LAST_TURN),
        (["user: Hi", "assistant: a"], ["user: Hi"], NOT_LAST_TURN),
        (["user: Hi"], ["user: Ho"], NOT_LAST_TURN),
        (["user: Hi", "assistant: a"], ["user: Ho", "assistant: a"], NOT_LAST_TURN),
        (["assistant: a"], ["assistant: b"], NO_QUESTION),
        (["user: Hi", "assistant: So", "assistant: a"], ["user: Hi", "assistant: So", "assistant: b"], NO_QUESTION),
        (["user:  ", "assistant: a"], ["user:  ", "assistant: b"], NO_QUESTION),
    ],
)
def test_two_conversations_that_hold_no_preference_are_left_out_and_counted(chosen, rejected, reason):
    left_out = Counter()
    assert pair_group(conversation(*chosen), conversation(*rejected), "x", "", left_out) is None
    assert left_out == {reason: 1}


def test_fields_that_no_record_has_are_counted_by_name_but_not_a_million_names():
    left_out = Counter()
    for number in range(30):
        count_unknown(
            Row(plain(""), {"chosen": "a", "margin": 1, "empty": None, f"x{number}": 1}), ("chosen",), left_out
        )
    assert left_out[lost_field("margin")] == 30
    assert len(left_out) == 21
    assert left_out[say("label_data.formats.other_field")] == 30 - 19
