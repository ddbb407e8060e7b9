"""python -m label_data: what a terminal shows, and with which status it ends."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from label_data.__main__ import app
from label_data.assignment.answers import Answer, submit
from label_data.assignment.tasks import next_tasks
from label_data.database.engine import open_store, writing
from label_data.exchange.known_formats import READERS
from label_data.oversight.progress import store_counts
from label_data.store.adding import Added
from label_data.store.annotators import find_or_add_annotator
from label_data.store.stored_groups import groups
from store_fixtures import NEWEST, add_ready_prompt
from tests.support.paths import ROOT

LINE = {
    "prompt": "Can pigs fly?",
    "completions": [{"text": "No."}, {"text": "Yes."}, {"text": "Pigs have no wings."}],
    "rankings": [{"annotator": "ana", "order": [[3], [1, 2]]}],
}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Return the data folder, with a file of one group beside it."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    Path("hand.jsonl").write_text(json.dumps(LINE) + "\n")
    return tmp_path / "data"


def run(*arguments):
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_import_says_what_was_added_and_what_was_there(data):
    assert run("import", "hand.jsonl", "--format", "groups") == (
        0,
        "Added 1 prompt, 3 completions and 1 ranking.\n",
        "",
    )
    assert run("import", "hand.jsonl", "hand.jsonl", "--format", "groups")[1] == (
        "Added 0 prompts, 0 completions and 0 rankings.\n"
        "Already in the store, or earlier in the files: 2 prompts, 6 completions and 2 rankings.\n"
    )
    assert store_counts(open_store(data / "workbench.db")) == Added(1, 3, 1)


def test_import_without_a_format_recognises_each_file_and_says_it(data):
    turn = "\n\nHuman: Hi\n\nAssistant: "
    Path("pairs.jsonl").write_text(json.dumps({"chosen": turn + "a", "rejected": turn + "b"}))
    assert run("import", "hand.jsonl", "pairs.jsonl")[1].splitlines() == [
        "hand.jsonl: groups, this project's own format; 1 group.",
        "pairs.jsonl: hh-rlhf, whole transcripts; 1 group.",
        "Added 2 prompts, 5 completions and 2 rankings.",
    ]
    Path("other.jsonl").write_text('{"a": 1}')
    status, _, output = run("import", "other.jsonl")
    assert (status, output.count("\n")) == (1, 1)
    assert output.startswith(
        "other.jsonl, line 1: no known format has the fields a. If the file is in one of these formats, name it"
    )


def test_a_dry_run_shows_the_first_groups_and_makes_no_store(data):
    assert run("import", "hand.jsonl", "--dry-run") == (
        0,
        "hand.jsonl: groups, this project's own format; 1 group.\n"
        "Found 1 prompt, 3 completions and 1 ranking, repeats included; stored nothing.\n"
        "\n"
        "Can pigs fly?\n"
        "  2. No.\n"
        "  2. Yes.\n"
        "  1. Pigs have no wings.\n"
        "\n",
        "",
    )
    assert not data.exists()
    Path("odd.jsonl").write_text(json.dumps({"prompt": "\x1b[31m" + "x" * 200}))
    shown = run("import", "odd.jsonl", "--dry-run")[1]
    assert "\n\\x1b[31m" + "x" * 94 + "…\n" in shown


def test_import_keeps_source_and_licence(data):
    run("import", "hand.jsonl", "--source", "a farm", "--licence", "CC0")
    (group,) = groups(open_store(data / "workbench.db"))
    assert (group.prompt.source, group.prompt.licence) == ("a farm", "CC0")


def test_import_maps_the_columns_of_a_table(data):
    Path("a.csv").write_text("question,better,worse\nHi?,a,b\n")
    names = ("--name=prompt=question", "--name=chosen=better", "--name=rejected=worse")
    assert run("import", "a.csv", *names)[1].splitlines() == [
        "a.csv: table of pairs; 1 group.",
        "Added 1 prompt, 2 completions and 1 ranking.",
    ]
    assert run("import", "a.csv", "--name=better")[2] == (
        "--name better: the equals sign is missing. Write our field name, then the file's: chosen=better.\n"
    )


def test_import_says_what_was_left_out_and_why(data):
    turn = "\n\nHuman: Hi\n\nAssistant: "
    Path("pairs.jsonl").write_text(json.dumps({"chosen": turn, "rejected": turn}))
    assert run("import", "pairs.jsonl", "--format", "hh-rlhf", "--store", "other.db")[1].splitlines() == [
        "Added 0 prompts, 0 completions and 0 rankings.",
        "Left out, 1 x: pair or row with equal completions, so none is preferred.",
    ]


def test_a_file_of_plain_texts_without_prompts_gives_nothing_and_says_what_to_do(data):
    Path("sky.jsonl").write_text(json.dumps({"chosen": "The sky is blue.", "rejected": "The sky is green."}))
    assert run("import", "sky.jsonl")[1].splitlines() == [
        "sky.jsonl: TRL or OpenRLHF preference, standard, prompt implicit; 0 groups.",
        "Added 0 prompts, 0 completions and 0 rankings.",
        "Left out, 1 x: row of plain texts whose prompt is unknown (add a field 'prompt', name the field with "
        "--format table --name prompt=FIELD, or write whole conversations as lists of messages).",
    ]


def test_a_bad_row_is_one_sentence_and_status_one(data):
    Path("bad.jsonl").write_text(json.dumps(LINE) + "\n" + json.dumps(LINE | {"prompt": 5}))
    status, shown, output = run("import", "bad.jsonl", "--format", "groups")
    assert (status, shown, output) == (1, "", "bad.jsonl, line 2, field prompt: found the number 5. Write a text.\n")
    assert store_counts(open_store(data / "workbench.db")) == Added()


def test_prompts_come_in_with_a_column_and_a_category(data):
    Path("a.csv").write_text("question\nWhy?\n")
    assert run("import", "a.csv", "--format", "prompts", "--column", "question", "--category", "sky")[0] == 0
    (group,) = groups(open_store(data / "workbench.db"))
    assert (group.prompt.messages[0].content, group.prompt.category) == ("Why?", "sky")


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".parquet"])
def test_what_is_exported_is_imported_into_another_store_as_it_was(data, ending):
    run("import", "hand.jsonl", "--format", "groups")
    status, shown, _ = run("export", "--format", "groups", "--out", f"all{ending}")
    assert (status, shown) == (0, f"Wrote 1 rows to all{ending}.\n")
    run("import", f"all{ending}", "--format", "groups", "--store", "other.db")
    assert list(groups(open_store("other.db"))) == list(groups(open_store(data / "workbench.db")))


def test_export_for_trl_says_what_trl_has_no_place_for(data):
    run("import", "hand.jsonl", "--format", "groups")
    assert run("export", "--format", "trl", "--out", "a.jsonl", "--margin")[1].splitlines() == [
        "Wrote 2 rows to a.jsonl.",
        "Not in the file, 2 x: comparison without a strength; its margin is 0.",
        "Not in the file, 1 x: tie.",
        "Format trl has no place for: who ranked, when and why, ties, flags, ratings, marked parts, categories and "
        "policies.",
    ]


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (("import", "no.jsonl", "--format", "groups"), "no.jsonl: the file can't be read (No such file or directory)."),
        (("export", "--format", "trl", "--out", "a.jsonl", "--store", "no.db"), "no.db: there is no store."),
        (("stats", "--store", "hand.jsonl"), "hand.jsonl: cannot be opened as a store"),
        (("check", "--store", "no.db"), "no.db: there is no store."),
    ],
)
def test_what_cannot_be_done_is_one_sentence(data, arguments, output):
    status, shown, error = run(*arguments)
    assert (status, shown) == (1, "")
    assert error.startswith(output)
    assert error.count("\n") == 1


def test_export_refuses_a_place_it_cannot_write(data):
    run("import", "hand.jsonl", "--format", "groups")
    status, _, output = run("export", "--format", "groups", "--out", "no/such/folder/a.jsonl")
    assert (status, output.count("\n")) == (1, 1)
    assert output.startswith("no/such/folder/a.jsonl: the file can't be written")
    assert "Use one of .jsonl" in run("export", "--format", "groups", "--out", "a.csv")[2]


def test_an_unknown_format_is_a_usage_error(data):
    status, _, output = run("import", "hand.jsonl", "--format", "csv")
    assert status == 2
    assert all(name in output for name in READERS)


def test_stats_counts_what_the_store_holds(data):
    run("import", "hand.jsonl", "--format", "groups")
    shown = [tuple(line.split(maxsplit=1)) for line in run("stats")[1].splitlines()]
    counted = {name.strip(): int(number) for number, name in shown}
    assert counted == {
        "prompts": 1,
        "completions": 3,
        "rankings": 1,
        "comparisons": 2,
        "annotators": 1,
        "rankings with outcome ranked": 1,
        "rankings from source import": 1,
        "prompts waiting": 0,
        "prompts ready": 0,
        "prompts ranked": 1,
        "prompts failed": 0,
    }


def test_check_ends_well_when_the_store_is_sound_and_with_status_one_when_not(data):
    run("import", "hand.jsonl", "--format", "groups")
    status, shown, _ = run("check")
    assert status == 0
    assert shown.splitlines()[-1] == "No problems found."
    assert shown.splitlines()[0].startswith(f"{data / 'workbench.db'} on SQLite 3.")
    assert shown.splitlines()[0].endswith(f", tables at {NEWEST}")
    with writing(open_store(data / "workbench.db")) as connection:
        connection.exec_driver_sql("UPDATE items SET done = 9")
    status, shown, _ = run("check")
    assert status == 1
    assert shown.splitlines()[-1] == "1 problems."
    status, shown, _ = run("check", "--mend")
    assert (status, shown.splitlines()[-2:]) == (
        0,
        ["Corrected the counters of 1 prompts.", "No problems found."],
    )


def test_copy_backup_and_restore_say_what_they_copied_and_that_it_is_the_same(data, postgres_store):
    """The one line exported is the file's, so its sha256 is that of the export."""
    run("import", "hand.jsonl", "--format", "groups")
    run("export", "--format", "groups", "--out", "all.jsonl")
    digest = hashlib.sha256(Path("all.jsonl").read_bytes()).hexdigest()
    there = f"{data / 'workbench.db'}"
    status, shown, output = run("copy", there, postgres_store)
    assert (status, output) == (0, "")
    lines = [line.split() for line in shown.splitlines()]
    assert {(number, name) for number, name in lines[:-1]} >= {("1", "prompts"), ("3", "completions"), ("0", "drafts")}
    assert shown.splitlines()[-1] == f"Both export the same bytes, sha256 {digest}."
    assert run("backup", "kept.db", "--store", postgres_store)[1].splitlines()[-1] == (
        f"The store and kept.db export the same bytes, sha256 {digest}."
    )
    assert run("restore", "kept.db", "--store", "again.db")[1].splitlines()[-1] == (
        f"kept.db and again.db export the same bytes, sha256 {digest}."
    )
    status, shown, output = run("restore", "kept.db")
    assert (status, shown) == (1, "")
    assert output.startswith(f"{there}: this store is in use (it has prompts) and was left unchanged.")
    assert "restore" in run("--help")[1]


def test_the_commands_run_from_a_terminal_and_import_neither_torch_nor_streamlit(data):
    """Python's own list of what it imports, -X importtime, goes to stderr."""
    command = [sys.executable, "-X", "importtime", "-m", "label_data", "import", "hand.jsonl", "--format", "groups"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "Added 1 prompt, 3 completions and 1 ranking.\n")
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "pyarrow" in imported
    assert not imported & {"torch", "transformers", "streamlit", "datasets", "reward", "workbench"}


def test_projects_are_added_and_listed_and_commands_take_one_by_name(data):
    run("import", "hand.jsonl", "--format", "groups")
    assert run("projects")[1] == "default: 'default', revision 0, 0 waiting, 0 ready, 1 ranked, 0 failed\n"
    assert "safety: 'Safety', revision 1, 0 waiting" in run("projects", "--add", "Safety")[1]
    status, _, output = run("export", "--format", "groups", "--out", "a.jsonl")
    assert (status, output) == (1, "The store has 2 projects: 'default', 'Safety'. Name one with --project.\n")
    assert run("import", "hand.jsonl", "--format", "groups", "--project", "Safety")[0] == 0
    assert run("export", "--format", "groups", "--out", "a.jsonl", "--project", "default")[0] == 0
    assert "it has 'default', 'Safety'" in run("stats", "--project", "typo")[2]


def test_what_a_researcher_ranked_becomes_gold_by_name(data):
    store = open_store(data / "workbench.db")
    add_ready_prompt(store, "Known?")
    rae = find_or_add_annotator(store, "Rae").id
    (task,) = next_tasks(store, rae)
    submit(store, Answer(task.token, "key", "all_bad"), rae)
    assert run("gold", "rae")[1] == "1 new gold prompts, 1 in all.\n"
    assert run("gold", "Nobody")[2].startswith("No annotator named 'Nobody' in this store.")
    assert "1 gold prompts" in " ".join(run("stats")[1].split())
    store.dispose()


def test_a_command_that_makes_no_version_loads_no_pandas():
    """It would take 55 MB, which an import has a better use for, and a second."""
    program = "import sys, label_data.__main__; print({'pandas', 'scipy', 'matplotlib', 'datasets'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"
