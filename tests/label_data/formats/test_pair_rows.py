"""Comparisons with their texts, and the count of what gives none."""

from collections import Counter

import orjson
import pyarrow.parquet as pq

from label_data.formats.pair_rows import (
    EQUAL_TEXTS,
    NO_STRENGTH,
    REMARKS_LOST,
    STRENGTH_LOST,
    WEIGHT_LOST,
    Pair,
    margin_of,
    pairs_of,
)
from label_data.formats.trainers import trl
from label_data.records import Completion, Demonstration, Group, Ranking, user_prompt
from label_data.sentences import say

PROMPT = user_prompt("Why?")
COMPLETIONS = tuple(Completion(PROMPT.id, text) for text in ("a", "b", "c"))


def group(order, demonstrations=(), **fields):
    ids = [completion.id for completion in COMPLETIONS]
    ranks = tuple(tuple(ids[place] for place in tied) for tied in order)
    ranking = Ranking(PROMPT.id, "ana", tuple(ids), ranks, **fields)
    return Group(PROMPT, COMPLETIONS, (ranking,), demonstrations)


def test_strength_becomes_the_margin_and_every_pair_counts_alike():
    """a over b is 1, b over c is 3, so a over c is 4."""
    left_out = Counter()
    result = list(pairs_of([group(((0,), (1,), (2,)), strength=(1, 3))], left_out))
    asked = '[{"content":"Why?","role":"user"}]'
    assert result == [Pair(asked, "a", "b", 1.0), Pair(asked, "a", "c", 4.0), Pair(asked, "b", "c", 3.0)]
    assert {pair.weight for pair in result} == {1.0}
    assert not +left_out


def test_what_is_said_beside_an_order_and_written_for_it_is_counted():
    left_out = Counter()
    demonstration = Demonstration(PROMPT.id, "Because.", "ana")
    first = COMPLETIONS[0].id
    groups = [
        group(((0,), (1, 2)), (demonstration,), reason="short"),
        group((), outcome="all_bad", flags={first: ("untrue",)}),
        group(((0,), (1,)), purpose="repeat", ratings={first: 7}),
    ]
    assert len(list(pairs_of(groups, left_out))) == 2
    assert +left_out == {
        say("label_data.formats.tie"): 1,
        say("label_data.formats.demonstration"): 1,
        REMARKS_LOST: 2,
        say("label_data.formats.outcome", outcome="all_bad"): 1,
        say("label_data.formats.tests_annotator", purpose="repeat"): 1,
    }


def test_texts_alike_but_for_white_space_give_no_pair_and_a_count_however_late_they_differ():
    """Of nine words each, "a a … b" and "a a … c" differ in the last alone; its twin has a line break somewhere."""
    same = "a " * 8
    one, twin, other = (Completion(PROMPT.id, text) for text in (f"{same}b", f"{same}\nb ", f"{same}c"))
    order = tuple((completion.id,) for completion in (one, twin, other))
    ranking = Ranking(PROMPT.id, "ana", tuple(id for (id,) in order), order)
    left_out = Counter()
    result = pairs_of([Group(PROMPT, (one, twin, other), (ranking,))], left_out)
    assert [(pair.chosen, pair.rejected) for pair in result] == [(one.text, other.text), (twin.text, other.text)]
    assert +left_out == {EQUAL_TEXTS: 1}


def test_a_margin_is_in_every_row_or_in_none_and_a_lost_one_is_counted():
    left_out = Counter()
    pairs = [Pair(PROMPT.as_json, "a", "b", 2.5), Pair(PROMPT.as_json, "a", "b", weight=0.5)]
    assert [orjson.dumps(margin_of(pair, left_out, True)) for pair in pairs] == [b'{"margin":2.5}', b'{"margin":0.0}']
    assert +left_out == {NO_STRENGTH: 1, WEIGHT_LOST: 1}
    left_out.clear()
    assert [margin_of(pair, left_out, False) for pair in pairs] == [{}, {}]
    assert +left_out == {STRENGTH_LOST: 1, WEIGHT_LOST: 1}


def test_a_margin_near_0_is_spelled_as_ever(tmp_path):
    """Python writes 0.00001 as 1e-05 and orjson does not: a version's file has the bytes that it always had."""
    trl.PAIRS.write_pairs(tmp_path / "a.jsonl", [Pair(PROMPT.as_json, "a", "b", 0.00001)], with_margin=True)
    assert '"margin":1e-05,' in (tmp_path / "a.jsonl").read_text()
    trl.PAIRS.write_pairs(tmp_path / "a.parquet", [Pair(PROMPT.as_json, "a", "b", 0.00001)], with_margin=True)
    assert pq.read_table(tmp_path / "a.parquet")["margin"].to_pylist() == [0.00001]
