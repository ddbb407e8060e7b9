"""Which completions are good and which are bad, by the votes of rankings."""

import json
from collections import Counter

from label_data.formats.trainers import trl_unpaired
from label_data.formats.trainers.trl_unpaired import NO_VOTE, UNDECIDED, votes
from label_data.records import Completion, Group, Ranking, user_prompt
from label_data.sentences import say

PROMPT = user_prompt("Why?")
A, B, C, D, E = (Completion(PROMPT.id, text) for text in "abcde")


def ranking(*order, shown=(A, B, C, D), annotator="ana", **fields):
    ids = tuple(completion.id for completion in shown)
    ranks = tuple(tuple(completion.id for completion in tied) for tied in order)
    return Ranking(PROMPT.id, annotator, ids, ranks, **fields)


def in_texts(found):
    return {completion.text: found[completion.id] for completion in (A, B, C, D) if completion.id in found}


def test_the_upper_half_of_an_order_is_good_and_the_lower_bad():
    assert in_texts(votes(ranking((A,), (B,), (C,), (D,)))) == {"a": 1, "b": 1, "c": -1, "d": -1}


def test_the_middle_a_tie_of_all_and_what_was_not_placed_have_no_vote():
    """b has one better and one worse; a = b = c has none of either; d was shown and not placed."""
    assert in_texts(votes(ranking((A,), (B,), (C,)))) == {"a": 1, "b": 0, "c": -1, "d": 0}
    assert in_texts(votes(ranking((A, B, C)))) == {"a": 0, "b": 0, "c": 0, "d": 0}


def test_tied_completions_have_one_vote_each_by_those_above_and_below():
    """a over b = c = d: three are worse than a; one is better than each of the others and none worse."""
    assert in_texts(votes(ranking((A,), (B, C, D)))) == {"a": 1, "b": -1, "c": -1, "d": -1}


def test_what_is_flagged_is_bad_even_if_it_is_the_best_and_so_are_all_if_all_are_bad():
    assert in_texts(votes(ranking((A,), (B,), (C,), (D,), flags={A.id: ("untrue",)})))["a"] == -1
    assert set(votes(ranking(outcome="all_bad")).values()) == {-1}
    assert set(votes(ranking(outcome="skipped")).values()) == {0}


def test_the_majority_decides_and_what_is_undecided_is_counted(tmp_path):
    """Ana: a good, d bad. Bo: b good, a bad. Cem: a good, b bad. A gold answer has no vote. e nobody was shown.

    a: +1 -1 +1 = good. b: 0 +1 -1 = undecided. c: 0 0 = no vote at all. d: bad. e: no vote.
    """
    rankings = (
        ranking((A,), (D,)),
        ranking((B,), (A,), annotator="bo"),
        ranking((A,), (B,), annotator="cem"),
        ranking((C,), (D,), annotator="di", purpose="gold"),
    )
    left_out = Counter()
    path = tmp_path / "a.jsonl"
    assert trl_unpaired.write(path, [Group(PROMPT, (A, B, C, D, E), rankings)], left_out) == 2
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["completion"][0]["content"], row["label"]) for row in rows] == [("a", True), ("d", False)]
    assert rows[0]["prompt"] == [{"role": "user", "content": "Why?"}]
    assert +left_out == {UNDECIDED: 1, NO_VOTE: 2, say("label_data.formats.tests_annotator", purpose="gold"): 1}
