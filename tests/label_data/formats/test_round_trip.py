"""What is written in a format and read again is the same, as far as that format can carry it.

Each test says what that is. Groups are made at random: any text that a store keeps, ties, what was not placed, uneven
numbers of completions, strengths, several annotators, tests of annotators.
"""

import json
from collections import Counter
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings

from group_strategies import some_groups
from label_data.errors import InputError
from label_data.exchange import known_formats as formats
from label_data.exchange.known_formats import FILE_ENDINGS, PAIR_WRITERS, READERS, WITH_MARGIN, WRITERS, recognised
from label_data.formats.pair_rows import pairs_of
from label_data.formats.pairs import SAME_TEXT
from label_data.records import Prompt, messages_from
from tests.support.reasons import lost_field

law = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def is_text(prompt):
    return len(prompt.messages) == 1 and not formats.trl_text.TURN.match(prompt.messages[0].content)


def is_by_turns(prompt):
    roles = [message.role for message in prompt.messages if message.role != "system"]
    return roles == ["user", "assistant", "user"][: len(roles)]


def is_single_turn(prompt):
    return [message.role for message in prompt.messages] in (["user"], ["system", "user"])


CARRIED = {"trl-text": is_text, "llama-factory": is_by_turns, "ms-swift": is_by_turns, "axolotl": is_single_turn}
"""Format -> which prompts it has a place for; the others have one for all."""


def written(tmp_path_factory, name, groups, ending=None, **options):
    """Return the groups that are read from what is written, and what was left out; none if nothing was written."""
    path = tmp_path_factory.mktemp("law") / f"a{ending or FILE_ENDINGS[name][0]}"
    left_out = Counter()
    try:
        WRITERS[name](path, groups, left_out, **options)
    except InputError as error:
        assert "there is nothing to write" in str(error)
        return [], left_out
    not_read = Counter()
    result = list(READERS[recognised(path)[0]](path, not_read))
    assert set(not_read) <= {lost_field("margin"), SAME_TEXT}
    return result, left_out


def asked(prompt, name):
    """Return the prompt's messages; axolotl takes an empty system message for none."""
    turns = [(message.role, message.content) for message in prompt.messages]
    return turns[1:] if name == "axolotl" and turns[0] == ("system", "") else turns


@law
@given(some_groups)
@pytest.mark.parametrize("name", PAIR_WRITERS)
def test_pairs_keep_the_prompt_and_both_texts_and_which_is_better_row_by_row(tmp_path_factory, name, made):
    pairs = list(pairs_of(made, Counter()))
    prompts = [Prompt(messages_from(json.loads(pair.prompt), "A prompt")) for pair in pairs]
    carried = [both for both in zip(prompts, pairs, strict=True) if CARRIED.get(name, lambda prompt: True)(both[0])]
    options = {"with_margin": True} if name in WITH_MARGIN else {}
    result, left_out = written(tmp_path_factory, name, made, **options)
    expected = [(asked(prompt, name), pair.chosen, pair.rejected) for prompt, pair in carried]
    texts = [{completion.id: completion.text for completion in group.completions} for group in result]
    assert expected == [
        (asked(group.prompt, ""), *(text[id] for (id,) in group.rankings[0].order))
        for group, text in zip(result, texts, strict=True)
    ]
    assert sum(times for reason, times in left_out.items() if "whose prompt has several turns" in str(reason)) + sum(
        times for reason, times in left_out.items() if "does not alternate" in str(reason)
    ) == len(pairs) - len(carried)


def in_texts(group, ranking):
    text = {completion.id: completion.text for completion in group.completions}
    return [sorted(text[id] for id in tied) for tied in ranking.order]


@law
@given(some_groups)
def test_nemo_rl_keeps_orders_of_any_number_with_their_ties(tmp_path_factory, made):
    """Two completions of one text, by different policies, are one to it: such a ranking is left out when read."""
    result, _ = written(tmp_path_factory, "nemo-rl", made)
    orders = [
        ([(message.role, message.content) for message in group.prompt.messages], in_texts(group, ranking))
        for group in made
        for ranking in group.rankings
        if ranking.order and not ranking.tests_annotator
    ]
    told_apart = [order for order in orders if len(set(chain(*order[1]))) == len(list(chain(*order[1])))]
    assert told_apart == [
        ([(message.role, message.content) for message in group.prompt.messages], in_texts(group, group.rankings[0]))
        for group in result
    ]


@law
@given(some_groups)
def test_demonstrations_keep_prompt_and_text(tmp_path_factory, made):
    result, _ = written(tmp_path_factory, "trl-sft", made)
    assert [(group.prompt.id, demonstration.text) for group in made for demonstration in group.demonstrations] == [
        (group.prompt.id, demonstration.text) for group in result for demonstration in group.demonstrations
    ]


def row_of(group, ranking):
    """Return all that a spreadsheet keeps of a ranking; completions are named by text and policy."""
    name = {completion.id: (completion.text, completion.policy) for completion in group.completions}
    dated = ranking.submitted is not None and formats.spreadsheet.FIRST <= ranking.submitted <= formats.spreadsheet.LAST
    return {
        "prompt": (group.prompt.messages, group.prompt.category),
        "said": (ranking.submission, ranking.annotator, ranking.outcome, ranking.reason, ranking.source),
        "order": [sorted(name[id] for id in tied) for tied in ranking.order],
        "shown": [name[id] for id in ranking.shown],
        "strength": ranking.strength if any(ranking.strength) else (),
        "flags": {name[id]: flags for id, flags in ranking.flags.items()},
        "ratings": {name[id]: rating for id, rating in ranking.ratings.items()},
        "times": (ranking.seconds, ranking.submitted if dated else None),
    }


@law
@given(some_groups)
@pytest.mark.parametrize("ending", formats.spreadsheet.ENDINGS)
def test_spreadsheets_keep_every_ranking_but_its_marked_parts_and_settings(tmp_path_factory, ending, made):
    """Two completions of one text and policy, of different revisions, are one to it."""
    result, _ = written(tmp_path_factory, "spreadsheet", made, ending)
    rows = [row_of(group, ranking) for group in made for ranking in group.rankings]
    assert [row for row in rows if len(set(row["shown"])) == len(row["shown"])] == [
        row_of(group, ranking) for group in result for ranking in group.rankings
    ]
