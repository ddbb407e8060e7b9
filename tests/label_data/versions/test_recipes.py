"""What of a project a version takes, and how a recipe refuses what it can't mean."""

from collections import Counter
from dataclasses import replace

import pytest

from label_data.errors import InputError
from label_data.versions.recipes import Recipe, Selection, agreed, margins_from, recipe_from
from planted_people import judged

DAY = 86_400_000_000  # microseconds; the days below count from 1970-01-01


def kept(group, *where):
    selection = Selection(Recipe("default", where))
    result = selection.select(group)
    names = [] if result is None else [ranking.annotator for ranking in result.rankings]
    return sorted(names), +selection.left_out


def changed(group, **of):
    """The group with fields of its first ranking changed."""
    first, *others = group.rankings
    return replace(group, rankings=(replace(first, **of), *others))


GROUP = judged("q", {"ana": "a>b", "ben": "b>a", "cem": "skip"}, category="facts")


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ((), ["ana", "ben", "cem"]),
        (("annotator=ana", "annotator=cem"), ["ana", "cem"]),
        (("annotator!=ana",), ["ben", "cem"]),
        (("annotator!=ana", "outcome=ranked"), ["ben"]),
        (("category=facts",), ["ana", "ben", "cem"]),
        (("category!=facts",), []),
        (("policy=policy a",), []),
        (("policy=policy a", "policy=policy b"), ["ana", "ben", "cem"]),
        (("policy!=policy b",), []),
        (("source=import",), []),
        (("assisted=no", "file="), ["ana", "ben", "cem"]),
        (("voices=3",), ["ana", "ben", "cem"]),
        (("voices=4",), []),
        (("agreement=0",), ["ana", "ben", "cem"]),
        (("agreement=0.5",), []),
    ],
)
def test_values_of_a_field_are_alternatives_and_all_other_conditions_must_hold(where, names):
    """Ana and Ben contradict each other on the one pair: they agree in 0 of 1."""
    result, left_out = kept(GROUP, *where)
    assert result == names and left_out.total() == 3 - len(names)


def test_days_are_whole_and_include_the_last():
    dated = replace(
        GROUP,
        rankings=tuple(
            replace(one, submitted=when) for one, when in zip(GROUP.rankings, (DAY, 2 * DAY - 1, 2 * DAY), strict=True)
        ),
    )
    assert kept(dated, "since=1970-01-02", "until=1970-01-02")[0] == ["ana", "ben"]
    assert kept(dated, "since=1970-01-03")[0] == ["cem"]
    assert kept(GROUP, "until=1970-01-03") == ([], Counter({"rankings: made nobody knows when": 3}))


def test_a_repeat_is_no_voice_and_agreement_counts_decided_meetings_alone():
    twice = judged("q", {"ana": "a>b", "ana/2": "b>a", "ben": "a>b", "cem": "a=b"})
    assert agreed(twice.rankings) == (1, 1)
    assert kept(changed(GROUP, purpose="repeat"), "voices=3")[0] == []


def test_what_a_kept_ranking_did_not_show_is_left_out_and_the_order_is_that_of_ids():
    group = judged("q", {"ana": "c>a>b", "ben": "b>c>a"})
    first, second = sorted(group.rankings, key=lambda ranking: ranking.submission)
    result = Selection(Recipe("default")).select(replace(group, rankings=(second, first)))
    assert result.rankings == (first, second)
    assert [completion.id for completion in result.completions] == sorted(
        completion.id for completion in group.completions
    )
    narrow = replace(group, rankings=(replace(first, shown=first.order[0] + first.order[1], order=first.order[:2]),))
    assert len(Selection(Recipe("default")).select(narrow).completions) == 2


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("language=german", r"write FIELD=VALUE or FIELD!=VALUE. Fields: annotator, .*keeps no language"),
        ("annotator", "write FIELD=VALUE"),
        ("outcome=good", "outcome is one of ranked, all_bad, indistinguishable, skipped"),
        ("since=yesterday", "since is a day, for example 2026-01-31"),
        ("voices=0", "voices is a whole number from 1"),
        ("agreement=60", "agreement is a share from 0 to 1"),
        ("agreement!=0.5", "agreement is a bound. Write agreement=0.5"),
    ],
)
def test_a_condition_that_is_none_is_refused_in_a_sentence(condition, message):
    with pytest.raises(InputError, match=message):
        Recipe("default", (condition,))


def test_a_bound_stands_once_and_a_value_that_nothing_has_is_probably_misspelt():
    with pytest.raises(InputError, match="voices is given twice"):
        Selection(Recipe("default", ("voices=1", "voices=2")))
    selection = Selection(Recipe("default", ("annotator!=anna",)))
    selection.select(GROUP)
    with pytest.raises(InputError, match=r"annotator=anna: no ranking has this value\. Existing values: 'ana', 'ben'"):
        selection.check_seen()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"held_out": 20}, "between 0 and 1"),
        ({"near": 0}, "above 0 and up to 1"),
        ({"ties": "both"}, "use one of drop, half, keep"),
        ({"margins": (1.0, -1.0, 2.0)}, "at least 0 for each of the three strengths"),
        ({"aggregate": "majority", "weights": "reliability"}, "can't be weighted by"),
    ],
)
def test_a_recipe_that_means_nothing_is_refused(fields, message):
    with pytest.raises(InputError, match=message):
        Recipe("default", **fields)


def test_a_recipe_is_read_back_as_it_was_whatever_the_order_of_its_conditions():
    recipe = Recipe("p", ("category=b", "annotator=a", "category=b"), margins=(0.1, 0.2, 0.3), ties="keep")
    assert recipe_from(recipe.as_dict()) == recipe
    assert recipe.where == ("annotator=a", "category=b")


def test_margins_are_named_for_each_strength():
    assert margins_from("2=0.5, 1=0.25,3=1") == (0.25, 0.5, 1.0) and margins_from("") == ()
    for text in ("1=0.5", "1=a,2=b,3=c,", "0.5", "1=1,2=2,3=3,4=4"):
        with pytest.raises(InputError, match="name a margin for each"):
            margins_from(text)
    with pytest.raises(InputError, match="A margin is a number"):
        Recipe("default", margins=margins_from("1=-1,2=1,3=1"))
