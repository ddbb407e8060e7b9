"""The runs of a data folder, and which of them a project uses."""

import json
from dataclasses import replace

import pytest

from full_disks import refusal
from label_data.errors import InputError
from label_data.intervals import Estimate
from page_fixtures import HELD_OUT, REPORT, add_run
from reward.report.report import Report
from workbench.jobs.runs import choose_run, chosen_run, current_run, log_of, new_run, runs, unfinished_run

NO_BETTER = replace(REPORT, held_out=replace(HELD_OUT, over_baseline=Estimate(0.01, -0.04, 0.06, 345, 345)))
UNKNOWN = replace(REPORT, held_out=None)


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    return tmp_path


def add(data, day: int, report: Report = REPORT, project: str | None = "default"):
    return add_run(data, report, f"202601{day:02}-030405-abcdabcd", project)


def test_runs_are_listed_newest_first_without_those_of_other_projects(data):
    old, new = add(data, 1, project=None), add(data, 3)
    add(data, 2, project="safety")
    assert [run.folder for run in runs("default")] == [new, old]
    assert [(run.when, run.method) for run in runs("default")] == [
        ("2026-01-03 03:04", "head"),
        ("2026-01-01 03:04", "head"),
    ]


def test_a_run_with_a_custom_folder_name_is_listed_by_it(data):
    add_run(data, name="mine-2")
    assert [run.when for run in runs("default")] == ["mine-2"]


def test_the_newest_run_that_beats_its_baselines_is_current_or_else_the_newest(data):
    assert current_run("default", runs("default")) is None
    add(data, 1, UNKNOWN)
    newest = add(data, 2, NO_BETTER)
    assert current_run("default", runs("default")).folder == newest
    good = add(data, 1 + 2, REPORT)
    add(data, 4, NO_BETTER)
    assert current_run("default", runs("default")).folder == good


def test_a_choice_holds_for_its_project_until_it_is_reset_or_its_folder_is_gone(data):
    first, second = add(data, 1, project=None), add(data, 2, project=None)
    created = runs("default")
    choose_run("default", created[1])
    assert chosen_run("default") == first.name
    assert current_run("default", created).folder == first
    assert current_run("safety", created).folder == second
    assert [run.folder for run in runs("default")] == [second, first]  # the file with the choice is no run
    assert current_run("default", created[:1]).folder == second
    choose_run("default", None)
    assert current_run("default", created).folder == second
    assert chosen_run("default") is None


def test_a_choice_that_does_not_fit_on_the_disk_leaves_the_previous_one(disk, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(disk.folder))
    first, second = add(disk.folder, 1), add(disk.folder, 2)
    created = {run.folder: run for run in runs("default")}
    choose_run("default", created[first])
    with disk.full(), pytest.raises(InputError) as error:
        choose_run("default", created[second])
    refusal(error)
    assert chosen_run("default") == first.name
    assert [path.name for path in (first.parent / "current").iterdir()] == ["default"]


def test_an_unfinished_run_and_its_log_are_found_by_the_jobs_id(data):
    job = "0123456789abcdef"
    folder = new_run(job)
    assert unfinished_run(job) is None
    half_done = folder.with_name(folder.name + ".unfinished")
    half_done.mkdir(parents=True)
    assert unfinished_run(job) == folder
    assert unfinished_run("1" * 16) is None
    assert log_of(folder) == []
    (half_done / "log.jsonl").write_text(json.dumps({"step": 1, "loss": 0.7}) + '\n{"step": 2, "lo')
    assert log_of(folder) == [{"step": 1, "loss": 0.7}]
