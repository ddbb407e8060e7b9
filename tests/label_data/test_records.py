"""Records check themselves when made, and their ids are hashes of what they hold."""

import dataclasses

import pytest

from label_data.canonical import canonical, canonical_bytes, content_id
from label_data.errors import InputError
from label_data.records import (
    Completion,
    Group,
    Message,
    Prompt,
    Ranking,
    check_text,
    distinct,
    messages_from,
    user_prompt,
)
from label_data.unchecked import imported_pair


def ranking(order=(("a",), ("b",)), shown=("a", "b", "c"), **fields):
    return Ranking("p", "ana", shown, order, **fields)


def test_canonical_json_has_one_text_for_one_value():
    assert canonical({"b": [1, None], "a": "é"}) == '{"a":"é","b":[1,null]}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(float("nan"))


@pytest.mark.parametrize(
    "value",
    ["".join(map(chr, range(0xD800))), "\ue000\uffff\U0010ffff", {"b": ["é", None, True], "a": (1, -(2**63))}, [2**64]],
)
def test_both_encoders_write_the_same_text(value):
    assert canonical_bytes(value) == canonical(value).encode()


def test_an_id_is_the_first_32_hexadecimal_digits_of_the_sha256_of_the_content():
    """printf '["prompt"]' | sha256sum gives d651a3aba26225d50548f15bb44a4c92 and 32 digits more."""
    assert content_id("prompt") == "d651a3aba26225d50548f15bb44a4c92"
    assert content_id("a", "b") != content_id("ab")


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        user_prompt("Why?").category = "other"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (7, "The reason is int, not text. Write it as a string."),
        ("abcd", "The reason is too long: 4 characters, limit 3. Shorten it."),
        ("a\0", "The reason holds a NUL character"),
        ("a\ud800", "The reason contains half of a surrogate pair at character 1."),
    ],
)
def test_text_that_a_back_end_cannot_store_is_refused(text, expected):
    with pytest.raises(InputError) as error:
        check_text(text, "The reason", longest=3)
    assert str(error.value).startswith(expected)


def test_text_in_any_script_is_accepted_unchanged():
    assert check_text("日本語 🐖\n", "It", longest=6) == "日本語 🐖\n"


# Prompts


def test_the_id_of_a_prompt_does_not_depend_on_category_and_source():
    assert user_prompt("Why?", "science", "a.txt").id == user_prompt("Why?").id
    assert user_prompt("Why?").id != user_prompt("Why").id


def test_the_id_of_a_prompt_depends_on_the_roles():
    question = Message("user", "Go on.")
    assert Prompt((Message("assistant", "Hm."), question)).id != Prompt((Message("user", "Hm."), question)).id


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ((), "has no messages"),
        ((Message("assistant", "Hi."),), "ends with role 'assistant'"),
        ((Message("user", " \n"),), "last message is empty"),
        ((Message("user", "a"), Message("system", "b"), Message("user", "c")), "system message after its first"),
    ],
)
def test_a_prompt_ends_with_a_message_of_the_user(messages, expected):
    with pytest.raises(InputError, match=expected):
        Prompt(messages)


def test_the_first_turn_ignores_the_system_message_case_and_white_space():
    long = Prompt((Message("system", "Be kind."), Message("user", "  Hello\nTHERE "), Message("user", "Well?")))
    assert long.first_turn == user_prompt("hello there").first_turn == "hello there"


def test_a_role_is_system_user_or_assistant():
    with pytest.raises(InputError, match=r"A message has role 'tool'. Use one of: system, user, assistant"):
        Message("tool", "42")


@pytest.mark.parametrize("value", [None, "Why?", {"role": "user"}])
def test_messages_must_be_a_list(value):
    with pytest.raises(InputError, match=r"prompt is not a list of messages. Write \[\{"):
        messages_from(value, "prompt")


def test_a_conversation_has_at_least_one_message():
    with pytest.raises(InputError, match=r"prompt is an empty list. Write \[\{"):
        messages_from([], "prompt")


def test_each_message_has_a_role_and_content():
    with pytest.raises(InputError, match='prompt, message 2: not an object with "role" and "content"'):
        messages_from([{"role": "user", "content": "a"}, {"role": "user"}], "prompt")
    (message,) = messages_from([{"role": "user", "content": "a", "name": "ana"}], "prompt")
    assert message == Message("user", "a")


def test_a_prompts_messages_are_available_as_dicts():
    assert user_prompt("Why?").as_dicts == [{"role": "user", "content": "Why?"}]


# Completions


def test_the_id_of_a_completion_depends_on_prompt_text_and_policy_but_not_on_sampling():
    created = Completion("p", "No.", "tiny", "1", {"temperature": 0.5}, 7, "stop")
    assert created.id == Completion("p", "No.", "tiny", "1", {"temperature": 1.0}, 8, "length").id
    others = [("q", "No.", "tiny", "1"), ("p", "No", "tiny", "1"), ("p", "No.", "big", "1"), ("p", "No.", "tiny", "2")]
    assert created.id not in {Completion(*other).id for other in others}


def test_completions_that_differ_in_white_space_alone_are_shown_once():
    first, equal, other = Completion("p", "No. Never."), Completion("p", " No.\n Never. "), Completion("p", "No.")
    assert distinct([first, equal, other]) == (first, other)


# Rankings


def test_completions_shown_but_not_placed_are_unranked():
    assert ranking((("c",), ("a",))).unranked == ("b",)
    assert ranking((("c",), ("a", "b"))).unranked == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"order": (("a",), ("d",))}, "Place each completion shown at most once, and no others"),
        ({"order": (("a",), ("b", "a"))}, "Place each completion shown at most once, and no others"),
        ({"order": (("a", "b"), ())}, "Place each completion shown at most once, and no others"),
        ({"order": (("a",),)}, "places too few completions: 1. An order needs at least two"),
        ({"order": ()}, "places too few completions: 0. An order needs at least two"),
        ({"shown": ("a", "b", "b")}, "List at least two, each once"),
        ({"order": (), "shown": ("a",), "outcome": "skipped"}, "List at least two, each once"),
        ({"outcome": "all_bad"}, "has outcome 'all_bad' and an order. Give only one of them"),
        ({"outcome": "good"}, "Use one of: ranked, all_bad, indistinguishable, skipped"),
        ({"source": "dream"}, "Use one of: person, import, model"),
        ({"strength": (1, 2)}, "has 2 strengths for 2 groups"),
        ({"strength": (4,)}, "Each must be 1, 2, 3 or null"),
        ({"seconds": float("inf")}, "Give a finite number of at least 0"),
        ({"seconds": -1.0}, "Give a finite number of at least 0"),
        ({"flags": {"d": ("untrue",)}}, "flags completions that were not shown"),
        ({"reason": "x" * 10_001}, "the reason is too long: 10,001 characters"),
    ],
)
def test_a_ranking_that_contradicts_itself_is_refused(fields, expected):
    with pytest.raises(InputError, match=expected):
        ranking(**fields)


def test_a_ranking_without_an_annotator_is_refused():
    with pytest.raises(InputError, match="no annotator"):
        Ranking("p", "", ("a", "b"), (("a",), ("b",)))


def test_a_ranking_without_an_order_has_another_outcome():
    assert ranking((), outcome="all_bad").order == ()


def test_a_ranking_without_a_submission_gets_a_hash_of_its_content_without_times():
    first = ranking(seconds=4.0, submitted=1)
    assert first.submission == ranking(seconds=5.0, submitted=2).submission
    assert first.submission != ranking((("b",), ("a",))).submission
    assert ranking(submission="from-the-browser").submission == "from-the-browser"


def test_empty_flags_and_the_order_of_flags_do_not_change_a_judgement():
    flagged = ranking(flags={"a": ("untrue", "broken"), "b": ()})
    assert flagged.judgement["flags"] == {"a": ["broken", "untrue"]}
    assert flagged.judgement == ranking(flags={"a": ("broken", "untrue")}).judgement


# Groups


@pytest.mark.parametrize("text", ["No.", 'n\u00e9 "\\\n\x01\x7f\u2028', "\U0001f600"])
def test_an_imported_pair_equals_what_the_constructors_make(text):
    prompt = Prompt((Message("system", text), Message("user", "Why?")), source="a.jsonl")
    good, bad = Completion(prompt.id, "Because."), Completion(prompt.id, text)
    order = Ranking(
        prompt.id, "file", tuple(sorted((good.id, bad.id))), ((good.id,), (bad.id,)), source="import", reason=""
    )
    created = imported_pair(prompt, Message("assistant", "Because."), Message("assistant", text), "file")
    assert created == Group(prompt, (good, bad), (order,))
    assert (created.rankings[0].submission, created.completions[1].id) == (order.submission, bad.id)
    assert repr(created) == repr(Group(prompt, (good, bad), (order,)))
    with pytest.raises(InputError, match="An annotator's name is too long: 201 characters"):
        imported_pair(prompt, Message("assistant", "a"), Message("assistant", "b"), "x" * 201)


def test_the_records_of_a_group_belong_to_its_prompt_and_completions():
    prompt = user_prompt("Why?")
    good, bad = Completion(prompt.id, "Because."), Completion(prompt.id, "No.")
    order = Ranking(prompt.id, "ana", (good.id, bad.id), ((good.id,), (bad.id,)))
    assert Group(prompt, (good, bad), (order,)).rankings == (order,)
    with pytest.raises(InputError, match="orders completions that are not in its group"):
        Group(prompt, (good,), (order,))
    with pytest.raises(InputError, match="answers another prompt"):
        Group(user_prompt("Who?"), (good,))
