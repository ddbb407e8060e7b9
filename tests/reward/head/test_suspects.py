"""Suspect rankings of a store: found by cross-validated heads, listed and sent for relabelling by the command."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from label_data.assignment.relabelling import relabelling_progress
from label_data.assignment.tasks import next_tasks
from label_data.database.engine import open_store
from label_data.errors import InputError
from label_data.quality.suspects import recall
from label_data.store.adding import add_groups
from label_data.store.annotators import find_or_add_annotator
from reward.__main__ import app
from reward.head.suspects import find_suspects
from reward_fixtures import planted_groups

PLANTED = 6


@pytest.fixture(scope="module", autouse=True)
def _own_data_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_DATA", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    """A store of 120 rankings, of which every twentieth is reversed, and the submissions of the reversed rankings."""
    groups, reversed_rankings = [], set()
    for number, group in enumerate(planted_groups(120)):
        (ranking,) = group.rankings
        if number % 20 == 0:
            ranking = replace(ranking, order=ranking.order[::-1], submission="")
            reversed_rankings.add(ranking.submission)
        groups.append(replace(group, rankings=(ranking,)))
    store = open_store(tmp_path_factory.mktemp("spoilt") / "store.db")
    add_groups(store, groups)
    return store, reversed_rankings


@pytest.fixture(scope="module")
def report(spoilt, tiny_backbone_folder):
    return find_suspects(spoilt[0], backbone=str(tiny_backbone_folder))


def test_most_suspect_rankings_are_reversed_rankings(spoilt, report):
    """By chance it would be one in twenty."""
    assert (report.rankings, report.comparisons, len(report.suspects)) == (120, 360, PLANTED)
    assert report.accuracy > 0.8
    assert recall(list(report.suspects), spoilt[1], share=1) >= 4 / PLANTED


def test_too_few_prompts_are_an_input_error(tmp_path):
    store = open_store(tmp_path / "store.db")
    add_groups(store, planted_groups(29))
    with pytest.raises(InputError, match="29; 30 needed"):
        find_suspects(store)


def test_the_command_lists_the_suspects_and_sends_their_prompts_for_relabelling(spoilt, report, tiny_backbone_folder):
    store, _ = spoilt
    command = ["suspects", store.url.database, "--backbone", str(tiny_backbone_folder), "--ask-again"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    for suspect in report.suspects:
        assert f"{suspect.submission}  prompt {suspect.prompt_id}, ann: contradicts" in done.stdout
    assert f"Prompts sent for blind relabelling: {PLANTED}." in done.stdout
    assert relabelling_progress(store) == (PLANTED, 0)
    tasks = next_tasks(store, find_or_add_annotator(store, "Bob").id, count=2 * PLANTED)
    assert {task.prompt.id for task in tasks} == {suspect.prompt_id for suspect in report.suspects}
    again = CliRunner().invoke(app, command)
    assert "Prompts sent for blind relabelling: 0. Not sent: 6 sent before" in again.stdout
