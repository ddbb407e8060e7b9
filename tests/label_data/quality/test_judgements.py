"""Rankings as tables: every pair that is judged, once, with who judged it and where it was shown."""

from dataclasses import replace

import numpy as np
import pytest

from label_data.quality.judgements import MARKUP, judged_pairs, judgements
from label_data.records import Completion, Group, Ranking, user_prompt
from label_data.sentences import say
from planted_people import careful, judged, order_untold, planted


def rows(found):
    return found.pairs[["first", "second", "judgement"]].to_numpy().tolist()


def test_three_completions_with_a_tie_are_three_judged_pairs():
    """a over b and c, which are tied; rows of completions count from 0."""
    assert rows(judgements([judged("q", {"ana": "a>b=c"})])) == [[0, 1, 1], [0, 2, 1], [1, 2, 0]]


def test_a_reversed_order_is_the_same_pairs_the_other_way_round():
    assert rows(judgements([judged("q", {"ana": "c>b>a"})])) == [[0, 1, -1], [0, 2, -1], [1, 2, -1]]


def test_of_a_completion_that_was_not_placed_nothing_is_judged():
    assert rows(judgements([judged("q", {"ana": "a>b", "ben": "a>b>c"})]))[0] == [0, 1, 1]
    assert len(judgements([judged("q", {"ana": "a>b", "ben": "a>b>c"})]).pairs) == 1 + 3


def test_skipped_and_all_bad_judge_no_pair_and_indistinguishable_ties_all():
    assert rows(judgements([judged("q", {"ana": "skip", "ben": "bad"})])) == []
    group = judged("q", {"ana": "a>b>c"})
    tied = replace(group.rankings[0], order=(), outcome="indistinguishable")
    assert rows(judgements([replace(group, rankings=(tied,))])) == [[0, 1, 0], [0, 2, 0], [1, 2, 0]]


def test_places_are_those_of_the_screen():
    result = judgements([judged("q", {"ana": "a>b>c"}, shown="cab")])
    assert result.pairs[["first_place", "second_place"]].to_numpy().tolist() == [[1, 2], [1, 0], [2, 0]]


def test_the_pairs_are_those_that_the_ranking_implies_one_at_a_time():
    groups = planted({"ana": careful(), "ben": careful()}, prompts=30, completions=4, ties=0.5)
    result = judgements(groups)
    names = result.completions["id"].tolist()
    by_ranking = result.pairs.groupby("ranking")
    for number, ranking in enumerate(ranking for group in groups for ranking in group.rankings):
        table = by_ranking.get_group(number)
        message = {}
        for first, second, judgement in table[["first", "second", "judgement"]].to_numpy().tolist():
            one, other = sorted((names[first], names[second]))
            message[one, other] = judgement if one == names[first] else -judgement
        assert message == judged_pairs(ranking)


def test_completions_with_equal_texts_are_no_pair_and_counted():
    prompt = user_prompt("q")
    twins = (Completion(prompt.id, "same  text", "one"), Completion(prompt.id, "same text", "two"))
    ids = tuple(twin.id for twin in twins)
    result = judgements([Group(prompt, twins, (Ranking(prompt.id, "ana", ids, ((ids[0],), (ids[1],))),))])
    assert rows(result) == [] and dict(result.left_out) == {say("label_data.quality.equal_texts"): 1}


def test_rankings_by_a_judge_model_are_left_out_and_counted():
    group = judged("q", {"ana": "a>b", "judge": "b>a"})
    judge = replace(group.rankings[1], source="model")
    result = judgements([replace(group, rankings=(group.rankings[0], judge))])
    assert rows(result) == [[0, 1, 1]] and dict(result.left_out) == {say("label_data.quality.judge_model"): 1}


def test_the_second_time_the_same_annotator_judges_a_pair_is_left_to_self_consistency():
    result = judgements([judged("q", {"ana": "a>b", "ben": "b>a", "ana/2": "b>a"})])
    assert result.once()[["annotator", "judgement"]].to_numpy().tolist() == [["ana", 1], ["ben", -1]]


def test_prompts_that_share_their_first_turn_are_one_prompt():
    result = judgements(
        [judged("Why?", {"ana": "a>b"}), judged("why? ", {"ana": "a>b"}), judged("What?", {"ana": "a>b"})]
    )
    assert result.rankings["prompt"].tolist() == [0, 0, 1]


def test_a_pattern_has_the_chance_of_falling_on_the_places_as_it_did():
    """Three apart: 1 of 3!; two tied first: 2! 1! / 3!; all tied says nothing of places."""
    answers = {"ana": "a>b>c", "ben": "a=b>c", "cem": "c>a=b", "dee": "a=b=c"}
    table = judgements([judged("q", answers)]).rankings
    assert table["pattern"].tolist() == ["012", "001", "110", ""]
    assert table["chance"].tolist()[:3] == pytest.approx([1 / 6, 1 / 3, 1 / 3])
    assert table["unchanged"].tolist() == [True, True, False, False]


def test_an_empty_store_has_empty_tables():
    result = judgements([])
    assert len(result.rankings) == len(result.pairs) == len(result.once()) == 0


@pytest.mark.parametrize(
    "text, marks",
    [
        ("Plain text. With 3. numbers and * stars", 0),
        ("# Title\n\n- one\n- two\n1. three", 4),
        ("**bold** and `code` and [a link](x)", 3),
        ("```\ncode\n```", 2),
        ("| a | b |\n|---|---|", 2),
    ],
)
def test_marks_of_markdown_are_counted(text, marks):
    assert len(MARKUP.findall(text)) == marks


def test_lengths_read_are_those_of_the_prompt_and_of_what_was_shown():
    """Seven characters of prompt, one each of a and b."""
    assert judgements([judged("Really?", {"ana": "a>b"})]).rankings["characters"].tolist() == [9]
    assert np.isnan(judgements([judged("q", {"ana": "a>b"})]).rankings["seconds"]).all()


def test_an_imported_ranking_in_order_of_id_tells_no_place():
    result = judgements([order_untold(judged("q", {"ana": "a>b>c"}))])
    assert result.pairs[["first_place", "second_place"]].to_numpy().tolist() == [[-1, -1]] * 3
    assert result.rankings[["order_is_known", "pattern", "unchanged"]].to_numpy().tolist() == [[False, "", False]]
    assert rows(result) == [[0, 1, 1], [0, 2, 1], [1, 2, 1]]


@pytest.mark.parametrize(("source", "known"), [("person", True), ("import", False), ("derived", False)])
def test_what_a_person_did_here_is_seen_in_the_order_shown_even_if_that_is_the_order_of_the_ids(source, known):
    ranking = replace(order_untold(judged("q", {"ana": "a>b"})).rankings[0], source=source)
    assert ranking.order_is_known is known
    assert replace(ranking, shown=ranking.shown[::-1]).order_is_known
