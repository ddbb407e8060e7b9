"""What came, went and changed between two versions, on an example worked out by hand."""

from dataclasses import replace

from label_data.recipes import Recipe
from label_data.snapshots import frozen_rows
from label_data.store import add_groups
from label_data.version_changes import Change, changes, lines
from label_data.version_making import make_version
from planted_people import judged


def between(store, first, second):
    return changes(first.manifest, frozen_rows(store, first), second.manifest, frozen_rows(store, second))


def test_what_came_went_and_changed_is_counted(store):
    """First p and q by Ana and Ben, a pair each: two prompts, four rankings and comparisons.

    Then p by Ben is gone, as he is left out with r to come, ranked by Ana: two prompts in both, one came; Ana's two
    rankings in both, Ben's two went, one came. Ana's comparisons have margins now: none the same, two changed.
    """
    groups = [judged(name, {"ana": "a>b", "ben": "b>a"}) for name in "pq"]
    strong = [
        replace(one, rankings=tuple(replace(ranking, strength=(2,)) for ranking in one.rankings)) for one in groups
    ]
    add_groups(store, strong)
    first = make_version(store, "first", Recipe("default"))
    add_groups(store, [judged("r", {"ana": "a>b"})])
    second = make_version(store, "second", Recipe("default", ("annotator=ana",), margins=(0.1, 0.2, 0.3)))
    found = between(store, first, second)
    assert found.prompts == Change(same=2, came=1, went=0)
    assert found.rankings == Change(same=2, came=1, went=2)
    assert found.comparisons == Change(same=0, came=1, went=2, changed=2)
    assert found.settings == {"where": ([], ["annotator=ana"]), "margins": ([], [0.1, 0.2, 0.3])}
    assert found.agreement["decided"] == ("0.000 [too few prompts]", "no data")
    said = lines(("first", "second"), found)
    assert said[1].split() == ["prompts", "2", "1", "0", "0"]
    assert "agreement, decided: 0.000 [too few prompts] -> no data" in said
    assert "setting where: [] -> ['annotator=ana']" in said


def test_a_prompt_on_the_other_side_is_a_change_and_a_version_has_none_to_itself(store):
    add_groups(store, [judged(f"question {number}", {"ana": "a>b"}) for number in range(30)])
    one, other = (make_version(store, f"v{seed}", Recipe("default", seed=seed)) for seed in (0, 1))
    sides = [{prompt: row["side"] for prompt, row in frozen_rows(store, version).items()} for version in (one, other)]
    moved = sum(sides[0][prompt] != sides[1][prompt] for prompt in sides[0])
    found = between(store, one, other)
    assert moved and found.prompts == Change(30 - moved, 0, 0, moved)
    same = between(store, one, one)
    assert (same.prompts, same.comparisons, same.settings) == (Change(30, 0, 0), Change(30, 0, 0), {})
    assert lines(("v0", "v0"), same)[-1] == "The settings are the same."
