"""A version into files: its own pairs, the same bytes each time, whole or not at all."""

import json

import pytest

from label_data.assignment.answers import Answer, submit
from label_data.assignment.own_rankings import retract
from label_data.assignment.tasks import next_tasks
from label_data.errors import InputError
from label_data.exchange.known_formats import PAIR_WRITERS, WRITERS
from label_data.formats.trainers import nemo_rl
from label_data.records import Demonstration, Group
from label_data.sentences import say
from label_data.store.adding import add_groups
from label_data.store.annotators import find_or_add_annotator
from label_data.versions.export import AGGREGATED, TIED_DROPPED, export_version
from label_data.versions.making import make_version
from label_data.versions.recipes import Recipe
from planted_people import judged
from store_fixtures import add_ready_prompt, on_sqlite


@pytest.fixture
def filled(store):
    groups = [judged(f"question {number}", {"ana": "a>b=c", "ben": "a>b>c"}) for number in range(12)]
    first = groups[0]
    written = Demonstration(first.prompt.id, "Better.", "ana")
    add_groups(store, [Group(first.prompt, first.completions, first.rankings, (written,)), *groups[1:]])
    return store


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_pairs_are_those_of_the_version_ties_both_ways_included(filled, tmp_path):
    """Of 12 prompts Ana gives two comparisons and a tie, Ben three: 5 + 2 each with the tie both ways."""
    version = make_version(filled, "v1", Recipe("default", ties="half"))
    done = export_version(filled, version, tmp_path / "a.jsonl", "trl")
    message = [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in lines(tmp_path / "a.jsonl")]
    assert done.rows == len(message) == 12 * 7
    assert message.count(("c", "b")) == 12 and message.count(("b", "c")) == 24
    assert done.left_out[say("label_data.formats.weight_lost")] == 12 * 7


@on_sqlite
def test_margins_are_those_of_the_versions_map(filled, tmp_path):
    version = make_version(filled, "v1", Recipe("default", margins=(0.1, 0.2, 0.3), aggregate="majority"))
    done = export_version(filled, version, tmp_path / "a.jsonl", "trl", with_margin=True)
    assert {row["margin"] for row in lines(tmp_path / "a.jsonl")} == {0.0}
    assert done.left_out[say("label_data.formats.no_strength")] == done.rows
    with pytest.raises(InputError, match="has no margin"):
        export_version(filled, version, tmp_path / "b.jsonl", "groups", with_margin=True)


@on_sqlite
@pytest.mark.parametrize("format_", sorted(WRITERS))
def test_every_format_writes_a_version_with_the_same_bytes_whatever_came_since(filled, tmp_path, format_):
    version = make_version(filled, "v1", Recipe("default"))
    folders = tmp_path / "before", tmp_path / "after"
    for folder in folders:
        folder.mkdir()
        name = "a.csv" if format_ == "spreadsheet" else "a.jsonl"
        assert export_version(filled, version, folder / name, format_).rows
        add_groups(filled, [judged("new", {"ana": "a>b"})])
    contents = [{file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders]
    assert contents[0] == contents[1] and contents[0]


@on_sqlite
def test_the_sides_together_are_the_whole(filled, tmp_path):
    version = make_version(filled, "v1", Recipe("default", held_out=0.5))
    rows = [
        export_version(filled, version, tmp_path / f"{side}.jsonl", "trl", side=side).rows
        for side in ("train", "held_out", None)
    ]
    assert rows[0] + rows[1] == rows[2] == 12 * 5
    assert rows[1] == version.manifest["counts"]["held-out comparisons"] > 0


@on_sqlite
def test_orders_with_ties_are_left_out_if_the_version_drops_them_and_kept_if_it_does_not(filled, tmp_path):
    dropped = make_version(filled, "drop", Recipe("default"))
    kept = make_version(filled, "keep", Recipe("default", ties="keep"))
    done = export_version(filled, dropped, tmp_path / "a.jsonl", nemo_rl.NAME)
    assert (done.rows, done.left_out[TIED_DROPPED]) == (12, 12)
    assert export_version(filled, kept, tmp_path / "b.jsonl", nemo_rl.NAME).rows == 24


@on_sqlite
@pytest.mark.parametrize("format_", ["nemo-rl", "trl-unpaired", "spreadsheet", "groups"])
def test_a_file_of_whole_orders_says_that_what_the_version_aggregates_is_not_in_it(filled, tmp_path, format_):
    for aggregate, reported in (("raw", 0), ("majority", 1)):
        version = make_version(filled, aggregate, Recipe("default", ties="keep", aggregate=aggregate))
        file = tmp_path / f"{aggregate}.{'csv' if format_ == 'spreadsheet' else 'jsonl'}"
        assert export_version(filled, version, file, format_).left_out[AGGREGATED] == reported


def test_a_withdrawn_ranking_stops_an_export_and_no_file_is_left(store, tmp_path):
    ann = find_or_add_annotator(store, "Ann").id
    add_ready_prompt(store, "Which?")
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "first", "ranked", [[0], [1], [2]]), ann)
    version = make_version(store, "v1", Recipe("default"))
    export_version(store, version, tmp_path / "a.jsonl", "trl")
    before = (tmp_path / "a.jsonl").read_bytes()
    assert retract(store, "first", ann)
    for format_ in ("trl", "groups"):
        for name in ("a.jsonl", "b.jsonl"):
            with pytest.raises(InputError, match="'v1' can't be read or exported any more"):
                export_version(store, version, tmp_path / name, format_)
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["a.jsonl"]
    assert (tmp_path / "a.jsonl").read_bytes() == before and "trl" in PAIR_WRITERS
