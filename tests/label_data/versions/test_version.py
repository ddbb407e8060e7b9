"""Versions: the same bytes everywhere, never changed, split without leaks, refused once something is withdrawn."""

import hashlib
import json
from dataclasses import replace
from itertools import combinations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from label_data.assignment.answers import Answer, submit
from label_data.assignment.gold import mark_gold
from label_data.assignment.own_rankings import retract
from label_data.assignment.tasks import next_tasks
from label_data.canonical import canonical
from label_data.comparisons import group_comparisons, is_held_out
from label_data.database.engine import open_store, writing
from label_data.errors import InputError
from label_data.oversight.check import problems
from label_data.oversight.copies import back_up, copy_store, restore
from label_data.records import Completion, Demonstration, Group, Ranking, user_prompt
from label_data.store.adding import add_groups
from label_data.store.annotators import find_or_add_annotator
from label_data.store.stored_groups import groups
from label_data.versions.making import make_version
from label_data.versions.near_duplicates import overlap, word_pairs
from label_data.versions.recipes import Recipe
from label_data.versions.version import (
    models_of,
    record_model,
    version_groups,
    version_named,
    versions,
    withdrawn_rankings,
)
from planted_people import careful, planted
from store_fixtures import add_ready_prompt, on_sqlite

QUESTIONS = [
    "how do bees find their way home",
    "how do bees always find their way home",
    "please tell me how bees always find their way home again in the dark",
    "please tell me how bees always find their way home in the dark",
    "why is the sky blue",
    "why is the sea blue",
    "what is the capital of france",
    "What is the capital of FRANCE?",
    "write a long poem about the sea and the wind and the rain for my mother",
    "write a long poem about the sea and the wind and the rain for my father",
    "write a short poem about snow",
    *(f"question number {number}" for number in range(20)),
]


def asked(question, order=((0,), (1, 2)), annotators=("ana", "ben"), **fields):
    """A group of three completions, ranked alike by some people."""
    prompt = user_prompt(question, "facts", "made.jsonl")
    completions = tuple(Completion(prompt.id, f"{word} {question}", f"policy {word}") for word in ("yes", "no", "eh"))
    ids = [completion.id for completion in completions]
    ranks = tuple(tuple(ids[place] for place in tied) for tied in order)
    rankings = tuple(
        Ranking(prompt.id, name, tuple(ids), ranks, submission=f"{question} {name}", submitted=10**15, **fields)
        for name in annotators
    )
    return Group(prompt, completions, rankings)


def some_groups():
    """Ranked by two people who agree, with strengths, a tie, a reason, a demonstration, and one without an order."""
    first = asked("why", strength=(2,), reason="n\u0303 \U0001f600", seconds=2.25)
    written = Demonstration(first.prompt.id, "Because.", "ana", first.completions[0].id, first.rankings[0].submission)
    return [
        Group(first.prompt, first.completions, first.rankings, (written,)),
        *(asked(f"question number {number}", ((number % 3,), ((number + 1) % 3,))) for number in range(15)),
        asked("bad", (), outcome="all_bad"),
    ]


def held(store, name, **recipe):
    return make_version(store, name, Recipe("default", **recipe))


def everything(store, version):
    return [
        (version_group.group, version_group.side, version_group.family, version_group.comparisons, version_group.ties)
        for version_group in version_groups(store, version)
    ]


RECIPE = {"ties": "half", "aggregate": "reliability", "margins": (0.25, 0.5, 1.0), "held_out": 0.3}
SHA256 = "3f0807dbaac44be6fd21706328754074276d3c2c77bbcc136d36b4bc8fe0f1c3"


def test_one_sha256_on_both_back_ends_and_whatever_was_added_first(store, tmp_path):
    """The bytes are pinned, too: every later release must find the same in versions made by this one."""
    other = open_store(tmp_path / "other.db")
    add_groups(store, some_groups())
    for group in some_groups()[::-1]:
        turned = Group(group.prompt, group.completions[::-1], group.rankings[::-1], group.demonstrations)
        add_groups(other, [turned])
    version, same = held(store, "v1", **RECIPE), held(other, "another", **RECIPE)
    assert version.sha256 == same.sha256 == SHA256
    assert everything(store, version) == everything(other, same)
    names = {"name", "command"}
    assert {k: v for k, v in version.manifest.items() if k not in names} == {
        k: v for k, v in same.manifest.items() if k not in names
    }


def test_what_comes_while_a_version_is_made_is_not_in_it(store):
    """At every eighth step on the way somebody adds a prompt and ranks three others; the next version has it all."""
    add_groups(store, some_groups())
    alone = held(store, "alone", **RECIPE)
    steps = []

    def meanwhile(prompts):
        steps.append(prompts)
        if len(steps) % 8 == 1:
            some = [asked(f"question number {number}", annotators=[f"late {len(steps)}"]) for number in (0, 7, 14)]
            add_groups(store, [asked(f"came at step {len(steps)}", annotators=["cem"]), *some])

    beside = make_version(store, "beside", Recipe("default", **RECIPE), on_progress=meanwhile)
    assert len(steps) == 2 * len(some_groups()) == 34
    assert (beside.sha256, everything(store, beside)) == (alone.sha256, everything(store, alone))
    after = held(store, "after", **RECIPE)
    assert after.manifest["counts"]["rankings"] == alone.manifest["counts"]["rankings"] + 5 * 4


def test_a_version_holds_what_the_store_holds_and_its_numbers_are_those_counted_by_hand(store):
    """17 prompts, 2 rankings each: "why" gives 2 comparisons each, 15 others 1 each, "bad" none: 4 + 30 = 34.

    Of the tie in "why" two people say the same: 2 tied pairs are left out.
    """
    add_groups(store, some_groups())
    version = held(store, "v1")
    counts = version.manifest["counts"]
    assert (counts["prompts"], counts["rankings"], counts["comparisons"], counts["annotators"]) == (17, 34, 34, 2)
    assert version.manifest["left_out"] == {"tied pairs": 2, "rankings with outcome all_bad": 2}
    result = list(version_groups(store, version))
    for one in result:
        assert sorted(map(repr, one.comparisons)) == sorted(map(repr, group_comparisons(one.group)))
        assert (one.side == "held_out") == is_held_out(one.group)
    assert {one.group.prompt.id for one in result} == {group.prompt.id for group in groups(store)}
    (why,) = (one.group for one in result if one.group.prompt.first_turn == "why")
    assert [demonstration.text for demonstration in why.demonstrations] == ["Because."]


@on_sqlite
def test_no_two_near_duplicates_are_ever_on_different_sides(store):
    add_groups(store, [asked(question) for question in QUESTIONS])
    near = [pair for pair in combinations(QUESTIONS, 2) if overlap(*map(word_pairs, pair)) >= 0.7 or pair[0] == pair[1]]
    assert len(near) >= 4
    apart = 0
    for seed in range(8):
        version = held(store, f"v{seed}", seed=seed, held_out=0.4)
        side = {one.group.prompt.messages[0].content: one.side for one in version_groups(store, version)}
        assert all(side[one] == side[other] for one, other in near)
        assert len(side) == len(QUESTIONS)
        apart += side["why is the sky blue"] != side["why is the sea blue"]
    assert apart  # what is no near-duplicate is not tied together


@on_sqlite
def test_a_prompt_stays_on_its_side_though_new_ones_join_its_family(store):
    """Each prompt gets a near-duplicate whose hash alone would have put the family on the other side half the time."""
    names = [
        f"how do {animal} find their way home tonight" for animal in ("bees", "ants", "cats", "dogs", "eels", "hens")
    ]
    add_groups(store, [asked(name) for name in names])
    first = held(store, "first", held_out=0.5)
    before = {version_group.group.prompt.id: version_group.side for version_group in version_groups(store, first)}
    assert set(before.values()) == {"train", "held_out"}
    add_groups(store, [asked(f"{name} {word}") for name in names for word in ("please", "dear", "now")])
    second = held(store, "second", held_out=0.5)
    after = {version_group.group.prompt.id: version_group.side for version_group in version_groups(store, second)}
    assert {prompt: after[prompt] for prompt in before} == before
    assert second.manifest["follows"] == ["first"] and second.manifest["moved"] == []
    again = held(store, "alone", held_out=0.5, seed=9)
    assert again.manifest["follows"] == []


@on_sqlite
def test_a_held_out_prompt_that_new_ones_tie_to_trained_ones_moves_and_is_named(store):
    """A bridge between two families is at 0.7 or more to both of them. The hash alone would hold all of them out."""
    ends = {"how do bees find their way home in", "how do bees find their way home in the deep"}
    bridge = "how do bees find their way home in the"
    add_groups(store, [asked(end) for end in sorted(ends)])
    stands_for_all = min({*ends, bridge}, key=lambda text: hashlib.sha256(text.encode()).digest())
    seed = next(
        seed
        for seed in range(100)
        if len({is_held_out(asked(end), 0.5, seed) for end in ends}) == 2
        and is_held_out(asked(stands_for_all), 0.5, seed)
    )
    first = held(store, "first", held_out=0.5, seed=seed)
    (out,) = (version_group.group.prompt.id for version_group in version_groups(store, first, "held_out"))
    add_groups(store, [asked(bridge)])
    second = held(store, "second", held_out=0.5, seed=seed)
    assert second.manifest["moved"] == [out]
    assert {version_group.side for version_group in version_groups(store, second)} == {"train"}
    assert "1 prompts that were held out there came to the training side" in second.card


def test_a_version_stays_as_it_was_whatever_the_store_says_by_then(store):
    ann = find_or_add_annotator(store, "Ann").id
    add_ready_prompt(store, "Which?")
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "first", "ranked", [[0], [1], [2]]), ann)
    version = held(store, "v1")
    before = everything(store, version)
    submit(store, Answer(task.token, "second", "ranked", [[2], [1], [0]], revises="first"), ann)
    mark_gold(store, "second")
    add_groups(store, some_groups())
    (prompt, *_) = [group.prompt for group in groups(store)]
    add_groups(store, [Group(prompt, (Completion(prompt.id, "new"),))])
    assert everything(store, version_named(store, "v1")) == before
    later = held(store, "v2")
    assert later.sha256 != version.sha256
    (key,) = (
        ranking.purpose for group in version_groups(store, later) for ranking in group.group.rankings if ranking.purpose
    )
    assert key == "key"
    assert list(problems(store)) == []


@pytest.mark.parametrize("table", ["versions", "version_rows", "version_models"])
def test_versions_can_neither_be_changed_nor_deleted(store, table):
    add_groups(store, some_groups())
    record_model(store, held(store, "v1"), "runs/one", "a" * 64, {})
    column = {"versions": "card", "version_rows": "content", "version_models": "folder"}[table]
    for change in (f"UPDATE {table} SET {column} = 'x'", f"DELETE FROM {table}"):
        with pytest.raises(DBAPIError, match=r"append-only|permission denied"), writing(store) as connection:
            connection.execute(text(change))


def test_once_a_ranking_is_withdrawn_the_version_is_not_given_out_again(store):
    ann = find_or_add_annotator(store, "Ann").id
    add_ready_prompt(store, "Which?")
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "first", "ranked", [[0], [1], [2]]), ann)
    version, again = held(store, "v1"), None
    assert withdrawn_rankings(store, version) == 0
    assert retract(store, "first", ann)
    with pytest.raises(
        InputError, match=r"'v1' can't be read or exported any more: annotators withdrew 1 of its rankings"
    ):
        again = next(version_groups(store, version))
    assert again is None and withdrawn_rankings(store, version) == 1
    assert list(problems(store)) == []
    with pytest.raises(InputError, match="No comparisons are left to train on"):
        held(store, "v2")


def test_a_version_goes_with_its_store_to_the_other_back_end_and_through_a_backup(store, tmp_path, empty_database):
    add_groups(store, some_groups())
    version = held(store, "v1")
    record_model(store, version, "runs/one", "a" * 64, {"method": "head"})
    back_up(store, tmp_path / "kept.db")
    copied, restored = open_store(empty_database), open_store(tmp_path / "restored.db")
    copy_store(store, copied)
    restore(tmp_path / "kept.db", restored)
    for other in (copied, restored):
        same = version_named(other, "v1")
        assert (same, everything(other, same)) == (version, everything(store, version))
        assert list(problems(other)) == []
        assert [model.folder for model in models_of(other, same)] == ["runs/one"]
        other.dispose()


def test_check_and_every_reader_find_a_version_that_is_not_what_was_made(tmp_path):
    store = open_store(tmp_path / "store.db")
    add_groups(store, some_groups())
    version = held(store, "v1")
    with writing(store) as connection:
        connection.execute(text("DROP TRIGGER version_rows_no_update"))
        content = connection.execute(text("SELECT content FROM version_rows WHERE place = 0")).scalar()
        changed = canonical(json.loads(content) | {"side": "train", "family": "x"})
        connection.execute(text("UPDATE version_rows SET content = :changed WHERE place = 0"), {"changed": changed})
    assert list(problems(store)) == [
        "versions: 'v1' is not what was made: what it holds has another hash.",
    ]
    with pytest.raises(InputError, match="'v1' no longer matches its hash: the store is damaged"):
        list(version_groups(store, version))


@on_sqlite
def test_a_time_that_no_calendar_has_is_told_as_it_was_given(store):
    add_groups(store, some_groups())
    late = asked("when", annotators=["cem"])
    add_groups(store, [replace(late, rankings=(replace(late.rankings[0], submitted=2**62, submission="late"),))])
    assert f"to {2**62} µs." in held(store, "v1").card


def test_a_name_is_given_once_and_must_be_one(store):
    add_groups(store, some_groups())
    held(store, "v1")
    with pytest.raises(InputError, match="A version named 'v1' already exists, and versions can't be changed"):
        held(store, "v1")
    for name in ("", "../x", "-v", "a b", "x" * 101):
        with pytest.raises(InputError, match="can't be the name of a version"):
            held(store, name)
    with pytest.raises(InputError, match=r"No version 'v2' in this store; it has v1\."):
        version_named(store, "v2")
    assert [version.name for version in versions(store)] == ["v1"]


def test_a_version_is_of_one_project_and_of_what_conditions_let_through(store):
    ann = find_or_add_annotator(store, "Ann").id
    add_groups(store, planted({"ana": careful(), "ben": careful()}, prompts=20, completions=3))
    (group, *_) = groups(store)
    order = tuple((one.id,) for one in group.completions)
    shown = tuple(one.id for one in group.completions)
    add_groups(store, [Group(group.prompt, group.completions, (Ranking(group.prompt.id, ann, shown, order),))])
    version = held(store, "v1", where=("annotator!=ben", "annotator!=  aNN", "category=category 0"))
    result = list(version_groups(store, version))
    assert {ranking.annotator for one in result for ranking in one.group.rankings} == {"ana"}
    assert {one.group.prompt.category for one in result} == {"category 0"} and len(result) == 10
    assert f"annotator!={ann}" in version.recipe.where and "aNN" not in canonical(version.manifest)
    with pytest.raises(
        InputError, match=r"category=categry 0: no ranking has this value\. Existing values: 'category 0'"
    ):
        held(store, "v2", where=("category=categry 0",))
