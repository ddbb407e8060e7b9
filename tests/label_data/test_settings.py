"""Settings are checked when made and stored as revisions."""

import json

import pytest

from label_data.errors import InputError
from label_data.oversight.progress import item_counts
from label_data.settings import PolicySettings, ProjectSettings, settings_from
from label_data.store.projects import project_settings, save_settings
from store_fixtures import add_ready_prompt


def test_settings_survive_a_round_trip_through_json():
    server = PolicySettings("server", "openai", "some-model", "http://127.0.0.1:8000/v1", "SOME_KEY", "Be brief.", 0.2)
    settings = ProjectSettings(
        "Trial", policies=(PolicySettings("small"), server), flags=("wrong",), criteria=("true",), seed=7
    )
    assert settings_from(json.loads(json.dumps(settings.as_dict()))) == settings


def test_a_new_store_has_the_defaults_as_revision_0(store):
    assert project_settings(store) == (ProjectSettings(), 0)


def test_only_a_change_makes_a_new_revision(store):
    assert save_settings(store, ProjectSettings(guidelines="Be kind.")) == 1
    assert save_settings(store, ProjectSettings(guidelines="Be kind.")) == 1
    assert save_settings(store, ProjectSettings(guidelines="Be exact.")) == 2
    assert project_settings(store) == (ProjectSettings(guidelines="Be exact."), 2)


def test_requesting_more_annotators_makes_ranked_prompts_ready_again(ranked_store):
    add_ready_prompt(ranked_store, "And the sea?")
    assert item_counts(ranked_store) == {"waiting": 0, "ready": 1, "ranked": 1, "failed": 0}
    save_settings(ranked_store, ProjectSettings(annotators_per_prompt=2))
    assert item_counts(ranked_store) == {"waiting": 0, "ready": 2, "ranked": 0, "failed": 0}
    save_settings(ranked_store, ProjectSettings(annotators_per_prompt=1))
    assert item_counts(ranked_store) == {"waiting": 0, "ready": 1, "ranked": 1, "failed": 0}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"completions_per_prompt": 1}, "Completions per prompt is 1. Give a number from 2 to 9"),
        ({"completions_per_prompt": 10}, "from 2 to 9"),
        ({"policies": ()}, "no policy to sample from"),
        ({"policies": (PolicySettings("a"), PolicySettings("a"))}, "Two policies have the same name: a, a"),
        ({"policies": tuple(map(PolicySettings, "abcde"))}, r"more policies \(5\) than completions per prompt \(4\)"),
        ({"name": " "}, "has no name"),
        ({"flags": ("",)}, "A flag is empty"),
        ({"criteria": ("true", " ")}, "A criterion is empty"),
        ({"order_of_work": "last"}, "The task order is 'last'. Use one of: added, random, fewest"),
        ({"repeat_share": 0.6}, "Share of repeats is 0.6. Give a number from 0 to 0.5"),
        ({"gold_share": -0.1}, "Share of gold prompts is -0.1"),
        ({"repeat_share": 0.3, "gold_share": 0.3}, "are 60% of the tasks together"),
        ({"repeat_gap": 0}, "Minimum tasks before a repeat is 0"),
        ({"ready_ahead": float("nan")}, "Prompts to keep ready is nan"),
    ],
)
def test_invalid_settings_are_refused(change, sentence):
    with pytest.raises(InputError, match=sentence):
        ProjectSettings(**change)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": ""}, "A policy has no name"),
        ({"kind": "magic"}, "has kind 'magic'"),
        ({"model": ""}, "names no model"),
        ({"kind": "openai", "base_url": "ftp://somewhere"}, "Write it as http://host:port/v1"),
        ({"temperature": -1}, "temperature is -1"),
        ({"top_p": 0}, "top_p is 0"),
        ({"max_tokens": True}, "max tokens is True"),
    ],
)
def test_invalid_policies_are_refused(change, sentence):
    with pytest.raises(InputError, match=sentence):
        PolicySettings(**{"name": "p"} | change)


def test_an_unknown_field_is_an_error():
    with pytest.raises(InputError, match="unknown fields: colour"):
        settings_from({"colour": "red"})
