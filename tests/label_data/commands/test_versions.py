"""python -m label_data versions and export --version: what a terminal shows."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from label_data.__main__ import app
from label_data.assignment.answers import Answer, submit
from label_data.assignment.own_rankings import retract
from label_data.assignment.tasks import next_tasks
from label_data.database.engine import open_store
from label_data.store.adding import add_groups
from label_data.store.annotators import find_or_add_annotator
from label_data.versions.version import record_model, version_named
from planted_people import judged
from store_fixtures import add_ready_prompt


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    opened = open_store(tmp_path / "data" / "workbench.db")
    add_groups(opened, [judged(f"question {number}", {"ana": "a>b=c"}) for number in range(10)])
    yield opened
    opened.dispose()


def run(*arguments):
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_a_version_is_made_listed_shown_and_written(store):
    assert run("versions") == (0, "No versions yet. Create one: python -m label_data versions create NAME\n", "")
    status, shown, _ = run(
        "versions", "create", "v1", "--where", "annotator=ana", "--held-out", "0.5", "--margin", "1=1,2=2,3=3"
    )
    version = version_named(store, "v1")
    held_out = version.manifest["counts"]["held-out prompts"]
    assert status == 0 and shown.splitlines() == [
        f"Version v1: 10 prompts, {held_out} of them held out; 10 rankings, 20 comparisons.",
        f"sha256 {version.sha256}",
        "Left out, 10 x: tied pairs.",
        "To show the data card: python -m label_data versions show v1",
    ]
    record_model(store, version, "runs/one", "f" * 64, {"method": "head", "accuracy": None})
    assert f"10 prompts, 20 comparisons, 1 models, sha256 {version.sha256[:12]}…\n" in run("versions")[1]
    shown = run("versions", "show", "v1")[1]
    assert shown.startswith("# Data card: v1") and "Models trained on it: 1.\n- runs/one (" in shown
    assert (
        "method head; report.json sha256 ffffffffffff…" in shown and "accuracy" not in shown.split("Models trained")[1]
    )
    assert run("versions", "show", "v1", "--out", "card.md")[0] == 0 and Path("card.md").read_text() == version.card
    status, shown, _ = run("export", "--version", "v1", "--format", "trl", "--out", "a.jsonl", "--side", "train")
    assert shown.startswith(f"Wrote {20 - 2 * held_out} rows to a.jsonl.\n")
    assert len(Path("a.jsonl").read_text().splitlines()) == 20 - 2 * held_out
    warning = "The file has both sides"
    assert warning not in shown
    shown = run("export", "--version", "v1", "--format", "trl", "--out", "b.jsonl")[1].splitlines()
    assert shown[:2] == [
        "Wrote 20 rows to b.jsonl.",
        f"{warning}, also {held_out} held-out prompts. For training, leave them out: --side train.",
    ]


def test_the_command_in_the_card_makes_the_same_again(store):
    run("versions", "create", "v1", "--where", "annotator=ana", "--seed", "3", "--ties", "half", "--weights", "prompt")
    version = version_named(store, "v1")
    words = version.manifest["command"].replace(" v1 ", " v2 ").split()
    assert run(*words[3:])[0] == 0
    assert version_named(store, "v2").sha256 == version.sha256
    _, shown, _ = run("versions", "compare", "v1", "v2")
    assert shown.startswith(f"v1 and v2 are identical: sha256 {version.sha256}.\n")
    assert json.loads(json.dumps(version.manifest))["command"] == version.manifest["command"]


def test_the_earlier_name_of_create_still_works_and_says_so(store):
    status, shown, output = run("snapshot", "v1", "--held-out", "0.5")
    assert status == 0 and shown.startswith("Version v1: 10 prompts")
    assert output == "`snapshot` is now `versions create`. The old name works in this release only.\n"
    assert "snapshot" not in run("--help")[1]


def test_what_cannot_be_is_one_sentence_and_status_one(store):
    run("versions", "create", "v1")
    for arguments, output in (
        (("versions", "create", "v1"), "A version named 'v1' already exists"),
        (("versions", "create", "v2", "--where", "language=de"), "--where language=de: write FIELD=VALUE"),
        (("versions", "create", "v2", "--margin", "1=1"), "--margin 1=1: name a margin"),
        (("versions", "show", "v9"), "No version 'v9' in this store; it has v1."),
        (("export", "--format", "trl", "--out", "a.jsonl", "--side", "train"), "--side train needs a version."),
    ):
        status, _, error = run(*arguments)
        assert (status, error.count("\n")) == (1, 1) and error.startswith(output), error


def test_a_version_with_a_withdrawn_ranking_is_shown_but_not_given_out(store):
    ann = find_or_add_annotator(store, "Ann").id
    add_ready_prompt(store, "Which?")
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "first", "ranked", [[0], [1], [2]]), ann)
    run("versions", "create", "v1")
    retract(store, "first", ann)
    assert "; 1 rankings withdrawn, so it can't be exported" in run("versions")[1]
    refusal = "Version 'v1' can't be read or exported any more: annotators withdrew 1 of its rankings"
    assert refusal in run("versions", "show", "v1")[1]
    status, _, error = run("export", "--version", "v1", "--format", "trl", "--out", "a.jsonl")
    assert status == 1 and error.startswith(refusal) and not Path("a.jsonl").exists()
