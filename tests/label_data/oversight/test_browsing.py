"""Prompts are searched page by page, and a prompt has its history."""

from dataclasses import replace
from datetime import date

import pytest

from label_data.assignment.answers import Answer, submit
from label_data.assignment.gold import mark_gold
from label_data.assignment.own_rankings import retract
from label_data.assignment.tasks import next_tasks
from label_data.dates import midnight
from label_data.errors import InputError
from label_data.oversight import browsing
from label_data.oversight.browsing import (
    PromptFilter,
    choices,
    count_prompts,
    history,
    rankings_fingerprint,
    search_prompts,
)
from label_data.records import Completion, Group, Message, Prompt, Ranking, user_prompt
from label_data.settings import ProjectSettings
from label_data.store.adding import add_groups, add_prompts
from label_data.store.annotators import find_or_add_annotator
from label_data.store.projects import PROJECT, add_project, save_settings
from label_data.versions.making import make_version
from label_data.versions.recipes import Recipe
from label_data.versions.version import version_groups
from store_fixtures import add_ready_prompt


def asked(text, category="", source="", policies=("tiny", "large"), licence="", **ranking):
    """Return a prompt with a completion of each policy, ranked in that order by "ana" unless told otherwise."""
    prompt = Prompt((Message("user", text),), category, source, licence)
    completions = tuple(Completion(prompt.id, f"{text} {policy}", policy) for policy in policies)
    ids = tuple(completion.id for completion in completions)
    fields = {"annotator": "ana", "shown": ids, "order": tuple((id,) for id in ids), "source": "import"} | ranking
    return Group(prompt, completions, (Ranking(prompt.id, submission=f"of {text}", **fields),))


def flagged(group, flag):
    """Return the group with this flag on its first completion."""
    (ranking,) = group.rankings
    return replace(group, rankings=(replace(ranking, flags={ranking.shown[0]: (flag,)}),))


@pytest.fixture
def filled(store):
    """A store of four prompts, three of them judged: by ana, by ben, and by ana who skipped."""
    groups = [
        asked("Can pigs fly?", "facts", "a.jsonl", reason="100% True", submitted=midnight(date(2026, 1, 31)) - 1),
        flagged(asked("Write a haiku.", "verse", "b.jsonl", ("tiny", "other"), "MIT", annotator="ben"), 'too "long"'),
        asked("Any 100% sure thing?", "facts", "b.jsonl", order=(), outcome="skipped"),
    ]
    add_groups(store, groups)
    add_prompts(store, [user_prompt('Not sampled: "quoted" user\'s PIGS')])
    return store


def texts(store, **wanted):
    return [result.text for result in search_prompts(store, PROJECT, PromptFilter(**wanted))]


def test_prompts_come_newest_first_with_their_counts(filled):
    newest, skipped, haiku, pigs = search_prompts(filled, PROJECT, PromptFilter())
    assert (newest.text, newest.state, newest.completions, newest.rankings) == (
        'Not sampled: "quoted" user\'s PIGS',
        "waiting",
        0,
        0,
    )
    assert (haiku.category, haiku.source, haiku.turns, haiku.completions, haiku.rankings) == (
        "verse",
        "b.jsonl",
        1,
        2,
        1,
    )
    assert (skipped.text, pigs.text) == ("Any 100% sure thing?", "Can pigs fly?")


@pytest.mark.parametrize(
    ("wanted", "result"),
    [
        ({"text": "pigs"}, ['Not sampled: "quoted" user\'s PIGS', "Can pigs fly?"]),
        ({"text": '"quoted"'}, ['Not sampled: "quoted" user\'s PIGS']),
        ({"text": "100%"}, ["Any 100% sure thing?"]),
        ({"text": "s_mpled"}, []),
        ({"text": "user"}, ['Not sampled: "quoted" user\'s PIGS']),
        ({"text": "role"}, []),
        ({"text": "["}, []),
        ({"category": "facts"}, ["Any 100% sure thing?", "Can pigs fly?"]),
        ({"source": "b.jsonl", "category": "facts"}, ["Any 100% sure thing?"]),
        ({"policy": "other"}, ["Write a haiku."]),
        ({"annotator": "ana"}, ["Any 100% sure thing?", "Can pigs fly?"]),
        ({"annotator": "ana", "outcome": "skipped"}, ["Any 100% sure thing?"]),
        ({"annotator": "ben", "outcome": "skipped"}, []),
        ({"outcome": "ranked"}, ["Write a haiku.", "Can pigs fly?"]),
        ({"state": "waiting"}, ['Not sampled: "quoted" user\'s PIGS']),
        ({"text": "haiku. OTHER", "text_in": "completions"}, ["Write a haiku."]),
        ({"text": "other"}, []),
        ({"text": "% sure thing? tiny", "text_in": "completions"}, ["Any 100% sure thing?"]),
        ({"text": "s_re thing", "text_in": "completions"}, []),
        ({"text": "100% true", "text_in": "reasons"}, ["Can pigs fly?"]),
        ({"text": "100% true", "text_in": "reasons", "annotator": "ben"}, []),
        ({"licence": "MIT"}, ["Write a haiku."]),
        ({"flag": 'too "long"'}, ["Write a haiku."]),
        ({"flag": "long"}, []),
        ({"flag": 'too "long"', "annotator": "ana"}, []),
        (
            {"since": midnight(date(2026, 1, 30)), "before": midnight(date(2026, 1, 30), days_later=1)},
            ["Can pigs fly?"],
        ),
        ({"before": midnight(date(2026, 1, 30))}, []),
        ({"since": midnight(date(2026, 1, 31))}, ["Any 100% sure thing?", "Write a haiku."]),
    ],
    ids=str,
)
def test_a_filter_finds_prompts_that_meet_all_its_conditions(filled, wanted, result):
    assert texts(filled, **wanted) == result
    assert count_prompts(filled, PROJECT, PromptFilter(**wanted)) == len(result)


def test_pages_have_no_gaps_and_no_repeats(store):
    add_prompts(store, [user_prompt(f"prompt {number}") for number in range(5)])
    first = search_prompts(store, PROJECT, PromptFilter(), limit=2)
    second = search_prompts(store, PROJECT, PromptFilter(), limit=2, below=first[-1].number)
    last = search_prompts(store, PROJECT, PromptFilter(), limit=2, below=second[-1].number)
    assert [one.text for one in (*first, *second, *last)] == [f"prompt {number}" for number in (4, 3, 2, 1, 0)]
    assert search_prompts(store, PROJECT, PromptFilter(), limit=2, below=last[-1].number) == ()


def test_a_text_is_found_beyond_the_rows_read_at_once(store, monkeypatch):
    """Every row has the sign "]" of JSON, and of seven one says it; two are read together, and one is wanted."""
    monkeypatch.setattr(browsing, "SEARCH_ROWS", 2)
    add_prompts(store, [user_prompt("a list ]")] + [user_prompt(f"prompt {number}") for number in range(6)])
    assert [prompt.text for prompt in search_prompts(store, PROJECT, PromptFilter("]"), limit=1)] == ["a list ]"]


def test_counting_stops_at_its_limit(store, monkeypatch):
    monkeypatch.setattr(browsing, "MOST_COUNTED", 3)
    add_prompts(store, [user_prompt(f"prompt {number}") for number in range(5)])
    assert count_prompts(store, PROJECT, PromptFilter()) == 3


def test_a_prompt_of_another_project_is_not_found(filled):
    other = add_project(filled, "Safety").id
    assert search_prompts(filled, other, PromptFilter()) == ()
    assert choices(filled, other).categories == ()
    with pytest.raises(InputError, match="has no prompt"):
        history(filled, other, user_prompt("Can pigs fly?").id)


def test_filters_offer_the_existing_values_with_annotators_names(filled):
    add_ready_prompt(filled, "Which?")
    ann = find_or_add_annotator(filled, "Ann").id
    (task,) = next_tasks(filled, ann)
    submit(filled, Answer(task.token, "s", "all_bad"), ann)
    result = choices(filled, PROJECT)
    assert result.categories == ("facts", "verse")
    assert result.sources == ("a.jsonl", "b.jsonl")
    assert result.licences == ("MIT",)
    assert result.policies == ("large", "other", "tiny")
    assert dict(result.annotators) == {"ana": "ana", ann: "Ann", "ben": "ben"}


def test_a_history_has_revisions_withdrawals_demonstrations_and_the_settings_of_each(store):
    """Ann ranks under the settings a project begins with, changes it under revision 1, and withdraws it: two rows."""
    prompt = add_ready_prompt(store, "Which?", "a", "b")
    ann = find_or_add_annotator(store, "Ann").id
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "s-1", "ranked", [[0], [1]], demonstration="mine"), ann)
    save_settings(store, ProjectSettings(guidelines="Prefer b."))
    submit(store, Answer(task.token, "s-2", "ranked", [[1], [0]], revises="s-1"), ann)
    retract(store, "s-2", ann)
    result = history(store, PROJECT, prompt.id)
    assert [(one.submission, one.revises, one.project_revision) for one in result.group.rankings] == [
        ("s-1", None, 0),
        ("s-2", "s-1", 1),
    ]
    assert [one.text for one in result.group.demonstrations] == ["mine"]
    assert result.withdrawn.keys() == result.stored.keys() == {"s-1", "s-2"}
    assert result.added <= result.stored["s-1"] <= result.stored["s-2"] <= result.withdrawn["s-1"]
    assert result.names == {ann: "Ann"}
    assert result.state == "ready"
    assert result.revisions[PROJECT, 1].settings.guidelines == "Prefer b."
    assert result.revisions[PROJECT, 0].settings == ProjectSettings()
    assert result.revisions[PROJECT, 0].saved is None
    assert texts(store, annotator=ann) == []


def test_a_conversation_is_searched_in_every_turn(store):
    turns = (Message("user", "Of pigs."), Message("assistant", "Yes?"), Message("user", "Can they fly?"))
    add_prompts(store, [Prompt(turns)])
    (result,) = search_prompts(store, PROJECT, PromptFilter("of PIGS"))
    assert (result.text, result.turns) == ("Can they fly?", 3)


def test_every_ranking_withdrawal_and_gold_prompt_changes_the_fingerprint(store):
    seen = [rankings_fingerprint(store, PROJECT)]
    add_ready_prompt(store, "Which?", "a", "b")
    seen.append(rankings_fingerprint(store, PROJECT))
    assert seen[0] == seen[1]
    ann = find_or_add_annotator(store, "Ann").id
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "s-1", "ranked", [[0], [1]]), ann)
    seen.append(rankings_fingerprint(store, PROJECT))
    mark_gold(store, "s-1")
    seen.append(rankings_fingerprint(store, PROJECT))
    retract(store, "s-1", ann)
    seen.append(rankings_fingerprint(store, PROJECT))
    assert len(set(seen)) == 4


def test_a_history_names_the_versions_that_contain_the_prompt_and_its_side(filled):
    every = make_version(filled, "first", Recipe(PROJECT, held_out=0.5))
    make_version(filled, "verse", Recipe(PROJECT, ("category=verse",), held_out=0.5))
    pigs, haiku = (history(filled, PROJECT, user_prompt(text).id) for text in ("Can pigs fly?", "Write a haiku."))
    assert [one.name for one in pigs.versions] == ["first"]
    assert [one.name for one in haiku.versions] == ["first", "verse"]
    sides = {one.group.prompt.id: one.side for one in version_groups(filled, every)}
    assert [result.versions[0].side for result in (pigs, haiku)] == [
        sides[result.group.prompt.id] for result in (pigs, haiku)
    ]
