"""What came, went and changed between two versions, on an example worked out by hand."""

from dataclasses import replace

import pytest

from label_data.store.adding import add_groups
from label_data.versions.changes import Change, changes, lines
from label_data.versions.making import make_version
from label_data.versions.recipes import Recipe
from label_data.versions.version import rows_by_prompt
from planted_people import judged


@pytest.fixture
def address(sqlite_store):
    """Return the address of a store on SQLite alone: these tests are about files and wording, not about SQL."""
    return sqlite_store


def between(store, first, second):
    return changes(first.manifest, rows_by_prompt(store, first), second.manifest, rows_by_prompt(store, second))


def test_what_came_went_and_changed_is_counted(store):
    """First p and q by Ana and Ben, a pair each: two prompts, four rankings and comparisons.

    Then p by Ben is gone, as he is left out with r to come, ranked by Ana: two prompts in both, one came; Ana's two
    rankings in both, Ben's two went, one came. Ana's comparisons have margins now: none the same, two changed.
    """
    groups = [judged(name, {"ana": "a>b", "ben": "b>a"}) for name in "pq"]
    strong = [
        replace(group, rankings=tuple(replace(ranking, strength=(2,)) for ranking in group.rankings))
        for group in groups
    ]
    add_groups(store, strong)
    first = make_version(store, "first", Recipe("default"))
    add_groups(store, [judged("r", {"ana": "a>b"})])
    second = make_version(store, "second", Recipe("default", ("annotator=ana",), margins=(0.1, 0.2, 0.3)))
    result = between(store, first, second)
    assert result.prompts == Change(same=2, added=1, removed=0)
    assert result.rankings == Change(same=2, added=1, removed=2)
    assert result.comparisons == Change(same=0, added=1, removed=2, changed=2)
    assert result.settings == {"where": ([], ["annotator=ana"]), "margins": ([], [0.1, 0.2, 0.3])}
    assert result.agreement["decided"] == ("0.000 [too few prompts]", "no data")
    message = lines(("first", "second"), result)
    assert message[1].split() == ["prompts", "2", "1", "0", "0"]
    assert "agreement, decided: 0.000 [too few prompts] -> no data" in message
    assert "setting where: [] -> ['annotator=ana']" in message


def test_a_raw_and_an_aggregated_version_are_told_by_what_their_comparisons_say_not_by_who_said_it(store):
    """Of p two say a > b and one b > a; q all three rank alike; of r Ana says a > b and Ben b > a.

    Raw that is five comparisons told apart: a > b and b > a of p and of r, a > b of q. The majority has a > b of p and
    q, and is divided on r.
    """
    message = [
        judged("p", {"ana": "a>b", "ben": "a>b", "cem": "b>a"}),
        judged("q", {"ana": "a>b", "ben": "a>b", "cem": "a>b"}),
        judged("r", {"ana": "a>b", "ben": "b>a"}),
    ]
    add_groups(store, message)
    raw = make_version(store, "raw", Recipe("default"))
    majority = make_version(store, "majority", Recipe("default", aggregate="majority"))
    result = between(store, raw, majority)
    assert result.comparisons == Change(same=2, added=0, removed=3) and result.rankings == Change(8, 0, 0)
    assert between(store, majority, raw).comparisons == Change(same=2, added=3, removed=0)
    reported = "A version is aggregated, so comparisons are matched without their annotator."
    assert reported in lines(("raw", "majority"), result)
    assert reported not in lines(("raw", "raw"), between(store, raw, raw))
    assert between(store, raw, raw).comparisons == Change(same=8, added=0, removed=0)


def test_a_version_aggregated_otherwise_or_of_other_margins_says_the_same_and_weighs_otherwise(store):
    """Forty prompts that two rank alike, with a strength: every pair is in all three, with a margin in the last."""
    groups = [judged(f"question {number}", {"ana": "a>b", "ben": "a>b"}) for number in range(40)]
    strong = [
        replace(group, rankings=tuple(replace(ranking, strength=(2,)) for ranking in group.rankings))
        for group in groups
    ]
    add_groups(store, strong)
    recipes = {
        "majority": Recipe("default", aggregate="majority"),
        "reliability": Recipe("default", aggregate="reliability"),
        "margins": Recipe("default", aggregate="majority", margins=(0.1, 0.2, 0.3)),
    }
    version = {name: make_version(store, name, recipe) for name, recipe in recipes.items()}
    voted = between(store, version["majority"], version["reliability"]).comparisons
    assert (voted.added, voted.removed, voted.same + voted.changed) == (0, 0, 40)
    assert between(store, version["majority"], version["margins"]).comparisons == Change(0, 0, 0, changed=40)


def test_a_prompt_on_the_other_side_is_a_change_and_a_version_has_none_to_itself(store):
    add_groups(store, [judged(f"question {number}", {"ana": "a>b"}) for number in range(30)])
    one, other = (make_version(store, f"v{seed}", Recipe("default", seed=seed)) for seed in (0, 1))
    sides = [
        {prompt: row["side"] for prompt, row in rows_by_prompt(store, version).items()} for version in (one, other)
    ]
    moved = sum(sides[0][prompt] != sides[1][prompt] for prompt in sides[0])
    result = between(store, one, other)
    assert moved and result.prompts == Change(30 - moved, 0, 0, moved)
    same = between(store, one, one)
    assert (same.prompts, same.comparisons, same.settings) == (Change(30, 0, 0), Change(30, 0, 0), {})
    assert lines(("v0", "v0"), same)[-1] == "The settings are the same."
