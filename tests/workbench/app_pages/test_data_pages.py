"""The pages Data, Versions and Quality, used as a person uses them."""

import json
from math import nan

import pytest
from streamlit.testing.v1 import AppTest

from app_pages import APP, button, open_page, shown
from label_data.assignment.answers import Answer, submit
from label_data.assignment.own_rankings import retract
from label_data.assignment.relabelling import relabelling_progress
from label_data.assignment.tasks import next_tasks
from label_data.data_folder import default_store
from label_data.database.engine import open_store
from label_data.exchange.known_formats import LACKS, WRITERS
from label_data.oversight.progress import store_counts
from label_data.quality.agreement import Ceiling
from label_data.quality.page import tables
from label_data.quality.report import quality
from label_data.quality.suspects import Suspect
from label_data.records import Completion, Group, Ranking, user_prompt
from label_data.store.adding import add_groups, add_prompts
from label_data.store.annotators import find_or_add_annotator
from label_data.store.jobs import DONE, add_job, end_job, start_job
from label_data.store.stored_groups import groups
from label_data.versions.making import make_version
from label_data.versions.recipes import Recipe
from label_data.versions.version import record_model, version_groups, versions
from page_fixtures import HELD_OUT, add_run
from planted_people import careful, order_untold, planted, upwards
from reward.head.suspects import SuspectReport
from store_fixtures import add_ready_prompt
from workbench.views.quality import model_plot, win_matrix
from workbench.web.session import store as shared_store
from workbench.wording import page_texts

PAIRS = b'{"prompt": "Can pigs fly?", "chosen": "No.", "rejected": "Yes."}\n' * 2


@pytest.fixture
def app(tmp_path, monkeypatch):
    """Return the app at its first page, over an empty store of its own."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    shared_store.clear()
    yield AppTest.from_file(str(APP), default_timeout=120)
    shared_store.clear()


def captions_and_text(app):
    """Return every text that the page shows in a message, a caption or a block of text as it is."""
    parts = [*app.success, *app.info, *app.error, *app.caption, *app.code, *app.markdown]
    return [shown(part) for part in parts]


# Import


def test_an_uploaded_file_is_previewed_before_anything_is_stored(app):
    open_page(app, "data")
    app.file_uploader[0].upload("mine.jsonl", PAIRS, "application/jsonl").run()
    assert not app.exception
    store = open_store(default_store())
    assert (
        "Reading mine.jsonl as TRL or OpenRLHF preference, standard, prompt explicit. Nothing is stored yet."
        in captions_and_text(app)
    )
    assert [metric.value for metric in app.metric][-3:] == ["2", "4", "2"]
    assert {"Can pigs fly?", "No.", "Yes."} <= set(captions_and_text(app))
    assert store_counts(store).prompts == 0
    button(app, "Import all (2)").click().run()
    assert not app.exception
    assert "Imported: 1 prompts, 2 completions, 1 rankings." in captions_and_text(app)
    assert (
        "Duplicates, already in the store or earlier in the file: 1 prompts, 2 completions, 1 rankings."
        in captions_and_text(app)
    )
    (group,) = groups(store)
    assert group.prompt.source == "mine.jsonl"
    assert app.metric[0].value == "1"


def test_the_preview_counts_what_the_import_leaves_out(app):
    open_page(app, "data")
    row = {"prompt": "Can pigs fly?", "chosen": "No.", "rejected": "Yes.", "mood": "good"}
    app.file_uploader[0].upload("mine.jsonl", json.dumps(row).encode(), "application/jsonl").run()
    assert [text for text in captions_and_text(app) if text.startswith("Left out: 1 ×") and "mood" in text]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("mine.jsonl", PAIRS + b'{"prompt": 3}\n', "mine.jsonl, line 3"),
        ("mine.json", b"[", "mine.json"),
        ("mine.jsonl", b'{"question": 1}', "no known format has the fields"),
        ("mine.parquet", b"PAR1", "mine.parquet"),
    ],
)
def test_an_invalid_file_gives_one_message_with_its_own_name_and_stores_nothing(app, name, content, why):
    open_page(app, "data")
    app.file_uploader[0].upload(name, content, "application/octet-stream").run()
    assert not app.exception
    (error,) = app.error
    assert why in shown(error)
    assert "/tmp" not in shown(error) and "--format" not in shown(error)
    assert store_counts(open_store(default_store())).prompts == 0


def test_a_table_with_other_column_names_is_imported_with_a_field_mapping(app):
    open_page(app, "data")
    next(field for field in app.text_input if field.label == "Field mapping").input("chosen=better, rejected=worse")
    app.file_uploader[0].upload("mine.csv", b"prompt,better,worse\nCan pigs fly?,No.,Yes.\n", "text/csv").run()
    button(app, "Import all (1)").click().run()
    assert not app.exception
    (group,) = groups(open_store(default_store()))
    assert [completion.text for completion in group.completions] == ["No.", "Yes."]


def test_the_licence_and_mapping_of_one_file_are_not_applied_to_the_next(app):
    def field(label):
        return next(field for field in app.text_input if field.label == label)

    open_page(app, "data")
    field("Field mapping").input("chosen=better, rejected=worse")
    field("Licence").input("cc-by-4.0")
    app.file_uploader[0].upload("mine.csv", b"prompt,better,worse\nCan pigs fly?,No.,Yes.\n", "text/csv").run()
    button(app, "Import all (1)").click().run()
    assert (field("Field mapping").value, field("Licence").value) == ("", "")
    app.file_uploader[0].upload("next.csv", b"prompt,chosen,rejected\nCan hens fly?,Some.,No.\n", "text/csv").run()
    button(app, "Import all (1)").click().run()
    assert not app.exception
    licences = {group.prompt.source: group.prompt.licence for group in groups(open_store(default_store()))}
    assert licences == {"mine.csv": "cc-by-4.0", "next.csv": ""}


# Browse


def test_a_search_lists_the_matches_and_without_one_all_prompts_are_paged(app):
    store = open_store(default_store())
    add_prompts(store, [user_prompt(f"prompt {number}") for number in range(25)])
    open_page(app, "data")
    assert "1 to 20 of 25 prompts, newest first." in captions_and_text(app)
    button(app, "Older").click().run()
    assert "21 to 25 of 25 prompts, newest first." in captions_and_text(app)
    assert app.dataframe[0].value["Prompt"].tolist() == [f"prompt {number}" for number in (4, 3, 2, 1, 0)]
    next(field for field in app.text_input if field.key == "data-text").input("PROMPT 7").run()
    assert app.dataframe[0].value["Prompt"].tolist() == ["prompt 7"]
    next(box for box in app.selectbox if box.label == "State").set_value("ranked").run()
    assert "No prompts match these filters. Remove one and try again." in captions_and_text(app)


def test_a_prompts_history_shows_every_ranking_with_its_annotator_time_and_status(app):
    store = open_store(default_store())
    prompt = add_ready_prompt(store, "Which?", "one", "two")
    ann = find_or_add_annotator(store, "Ann").id
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "s-1", "ranked", [[0], [1]], reason="Shorter.", demonstration="mine"), ann)
    (only,) = version_groups(store, make_version(store, "v1", Recipe("default")))
    submit(store, Answer(task.token, "s-2", "all_bad", revises="s-1"), ann)
    retract(store, "s-2", ann)
    open_page(app, "data")
    app.query_params["prompt"] = prompt.id
    app.run()
    assert not app.exception
    assert {"Which?", "one", "two", "mine"} <= {code.value for code in app.code}
    rankings = app.dataframe[1].value
    numbers = {code.value: place for place, code in enumerate((c for c in app.code if c.value in ("one", "two")), 1)}
    first = [numbers[completion.text] for completion in task.completions]
    assert rankings["Submission"].tolist() == ["s-1", "s-2"]
    assert rankings["Annotator"].tolist() == ["Ann", "Ann"]
    assert rankings["Ranking"].tolist() == [f"{first[0]} > {first[1]}", "all bad"]
    assert rankings["Reason"].tolist() == ["Shorter.", ""]
    assert all(standing.startswith("withdrawn 20") for standing in rankings["Status"])
    assert [expander.label for expander in app.expander if "Settings of" in expander.label]
    on_side = {"train": "training", "held_out": "held out"}[only.side]
    assert any(shown(caption).startswith(f"In versions: v1 ({on_side}, created 20") for caption in app.caption)


def test_an_unknown_prompt_gives_a_message(app):
    add_ready_prompt(open_store(default_store()), "Which?", "one", "two")
    open_page(app, "data")
    app.query_params["prompt"] = "nothing"
    app.run()
    assert not app.exception
    assert shown(app.error[0]).startswith("Project default has no prompt nothing.")


# Export


def test_every_format_is_offered_with_a_description():
    for language in ("en", "zh", "ja"):
        assert page_texts(language)["export"]["formats"].keys() == WRITERS.keys()


@pytest.mark.parametrize("kind", ["trl", "spreadsheet", "nemo-rl"])
def test_an_export_is_prepared_in_the_selected_format(app, kind):
    store = open_store(default_store())
    add_ready_prompt(store, "Which?", "one", "two")
    ann = find_or_add_annotator(store, "Ann").id
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "s-1", "ranked", [[0], [1]]), ann)
    open_page(app, "data")
    next(box for box in app.selectbox if box.key == "data-format").set_value(kind).run()
    assert f"Not included in this format: {LACKS[kind]}." in captions_and_text(app)
    button(app, "Prepare export").click().run()
    assert not app.exception
    assert app.success


# Versions and quality


@pytest.fixture
def judged(app):
    """The app over a store of sixty prompts, ranked by two careful annotators and one who prefers later completions."""
    people = {"ana": careful(), "ben": careful(), "cem *x*": upwards(2.0)}
    add_groups(open_store(default_store()), planted(people, prompts=60, completions=3, ties=0.5))
    return app


def test_a_version_is_created_with_the_chosen_settings_and_shown_with_its_card(judged):
    open_page(judged, "versions")
    fields = {field.label: field for field in [*judged.selectbox, *judged.checkbox, *judged.multiselect]}
    fields["Ties"].set_value("half")
    fields["Aggregation"].set_value("majority")
    fields["Margin per strength"].check()
    fields["Annotator"].set_value(["ana", "ben"])
    button(judged, "Create version").click().run()
    assert not judged.exception
    assert "Version v1 created." in captions_and_text(judged)
    (created,) = versions(open_store(default_store()))
    assert (created.recipe.ties, created.recipe.aggregate, created.recipe.margins) == (
        "half",
        "majority",
        (0.3, 0.6, 1.0),
    )
    assert created.recipe.where == ("annotator=ana", "annotator=ben")
    assert judged.dataframe[0].value.iloc[0][["Name", "Prompts", "sha256"]].tolist() == ["v1", 60, created.sha256]
    assert any("Data card: v1" in html.value for html in judged.html)


def test_an_invalid_recipe_gives_a_message_and_no_version(judged):
    open_page(judged, "versions")
    next(field for field in judged.text_area).input("language=de")
    button(judged, "Create version").click().run()
    assert not judged.exception
    assert "write FIELD=VALUE" in shown(judged.error[0])
    assert versions(open_store(default_store())) == []


def test_two_versions_are_compared_and_a_version_is_exported(judged):
    """The versions differ only in their ties, which are comparisons in the second: some are added, none removed."""
    store = open_store(default_store())
    for name, ties in (("one", "drop"), ("two", "half")):
        make_version(store, name, Recipe("default", ties=ties))
    open_page(judged, "versions")
    button(judged, "Compare").click().run()
    assert not judged.exception
    tables = [table.value for table in judged.dataframe]
    (result,) = [table for table in tables if "Added" in table]
    assert result["Removed"].tolist() == [0, 0, 0]
    assert result["Added"].tolist()[:2] == [0, 0] and result["Added"].iloc[2] > 0
    (settings,) = [table for table in tables if "Setting" in table]
    assert settings.to_numpy().tolist() == [["ties", "drop", "half"]]
    button(judged, "Prepare export").click().run()
    assert not judged.exception
    assert judged.success


def test_a_version_lists_the_models_trained_on_it(judged):
    store = open_store(default_store())
    record_model(store, make_version(store, "one", Recipe("default")), "runs/a", "0" * 64, {"accuracy": 0.7})
    open_page(judged, "versions")
    assert "**Reward models trained on this version: 1**" in [text.value for text in judged.markdown]
    assert judged.dataframe[1].value.iloc[0][["Folder", "Method and accuracy"]].tolist() == ["runs/a", "accuracy 0.7"]


def test_the_quality_report_is_computed_on_request_with_recommendations_and_tables(judged):
    open_page(judged, "quality")
    assert not judged.metric
    button(judged, "Compute report").click().run()
    assert not judged.exception
    result = quality(groups(open_store(default_store()), ranked_only=True, project="default"))
    values = {metric.label: metric.value for metric in judged.metric}
    assert values["Rankings"] == f"{result.counts['rankings']:,}"
    assert values["Krippendorff’s alpha"] == f"{result.agreement.alpha.value:.2f}"
    assert len(result.findings) > 0
    assert sum(text.value.startswith("- **") for text in judged.markdown) == len(result.findings)
    assert [expander.label for expander in judged.expander] == [str(table.title) for table in tables(result)]
    assert all(expander.dataframe for expander in judged.expander)


def test_the_report_counts_the_rankings_of_unknown_display_order(judged):
    """Of 183 rankings, three were imported from a file without display orders."""
    untold = "Display order is unknown for"
    open_page(judged, "quality")
    button(judged, "Compute report").click().run()
    assert not [item for item in captions_and_text(judged) if item.startswith(untold)]
    groups = planted({"dan": careful()}, prompts=3, seed=1)
    add_groups(open_store(default_store()), map(order_untold, groups))
    judged.run()
    button(judged, "Compute report").click().run()
    assert not judged.exception
    (sentence,) = [item for item in captions_and_text(judged) if item.startswith(untold)]
    assert sentence.startswith(f"{untold} 3 of 183 rankings, which were imported.")


def test_the_current_reward_model_is_shown_beside_the_human_ceiling(judged, tmp_path):
    title = "**Current reward model and human ceiling (line: chance)**"
    open_page(judged, "quality")
    button(judged, "Compute report").click().run()
    assert title not in [text.value for text in judged.markdown]
    add_run(tmp_path)
    judged.run()
    assert not judged.exception
    assert title in [text.value for text in judged.markdown]
    ceiling, model = Ceiling(0.7, 0.8), HELD_OUT.accuracy
    (drawn,) = [item for item in model_plot(ceiling, model).to_dict()["datasets"].values() if "name" in item[0]]
    assert [(row["low"], row["high"]) for row in drawn] == [(model.low, model.high), (0.7, 0.8)]
    assert model_plot(Ceiling(nan, nan), model) is None


def test_suspect_rankings_are_listed_and_sent_for_relabelling_once(judged):
    """Three suspect rankings, of two prompts: each prompt has three rankings, and a fourth is requested."""
    store = open_store(default_store())
    first, second = list(groups(store))[:2]
    doubted = [first.rankings[2], second.rankings[2], first.rankings[1]]
    suspects = tuple(
        Suspect(suspect.submission, suspect.prompt_id, suspect.annotator, 1.2, 2, 3) for suspect in doubted
    )
    job = add_job(store, "doubts", project="default")
    start_job(store, job)
    end_job(store, job, DONE, "180 rankings looked at.", SuspectReport(180, 500, 0.71, suspects).as_dict())
    open_page(judged, "quality")
    assert not judged.exception
    table = judged.dataframe[0].value
    rows = [[f"question 0 {number}", "cem *x*", "2 / 3", "30%"] for number in (0, 1)]
    assert table.to_numpy().tolist()[:2] == rows and len(table) == 3
    button(judged, "Send 2 prompts for blind relabelling").click().run()
    assert not judged.exception
    assert "Prompts sent for relabelling: 2; relabelled: 0." in captions_and_text(judged)
    assert relabelling_progress(store) == (2, 0)
    tasks = next_tasks(store, find_or_add_annotator(store, "Dan").id, count=5)
    assert [task.prompt.id for task in tasks] == [first.prompt.id, second.prompt.id]
    button(judged, "Send 2 prompts for blind relabelling").click().run()
    assert relabelling_progress(store) == (2, 0)


def test_a_new_ranking_makes_the_report_out_of_date(judged):
    open_page(judged, "quality")
    button(judged, "Compute report").click().run()
    assert button(judged, "Compute report").disabled
    store = open_store(default_store())
    add_groups(store, planted({"dan": careful()}, prompts=3, completions=3))
    judged.run()
    assert (
        "Out of date. New rankings since this report: 3; others may have been withdrawn or made gold. Compute it again."
        in captions_and_text(judged)
    )
    assert not button(judged, "Compute report").disabled


def test_every_heading_of_the_reports_tables_is_in_the_catalogues():
    people = {"ana": careful(), "ben": careful(), "cem": upwards(2.0)}
    result = list(tables(quality(planted(people, prompts=60, completions=3, ties=0.5))))
    policies = {name for table in result for name in table.head if table.title.key.endswith("table_wins")}
    headings = {name for table in result for name in table.head} - policies - {"", "alpha", "tau-b", "p"}
    sentences = {table.title for table in result} | headings
    english = {str(sentence) for sentence in sentences}
    for language in ("zh", "ja"):
        assert english.isdisjoint(sentence.render(language) for sentence in sentences)


def test_without_rankings_neither_a_report_nor_a_version_can_be_created(app):
    open_page(app, "quality")
    assert "No rankings yet, so there is nothing to report." in captions_and_text(app)
    app.switch_page("app_pages/versions.py").run()
    assert not app.exception
    assert "No versions yet. Create one once there are rankings." in captions_and_text(app)
    assert button(app, "Create version").disabled


def policy_rows(**wins):
    """Return twelve prompts with a completion of each of two policies; the first policy wins `wins` of them."""
    rows = []
    for number in range(12):
        prompt = user_prompt(f"prompt {number}")
        item, two = (Completion(prompt.id, f"{name} {number}", name) for name in ("one", "two"))
        best, worst = (item, two) if number < wins["one"] else (two, item)
        order = ((item.id, two.id),) if number == 11 else ((best.id,), (worst.id,))
        message = {"annotator": "ana", "shown": (item.id, two.id), "order": order, "source": "import"}
        rows.append(Group(prompt, (item, two), (Ranking(prompt.id, submission=f"s{number}", **message),)))
    return rows


def test_policies_are_listed_with_their_strength_wins_and_ties(app):
    """Of twelve pairs the first policy wins eight, the second three, and one is tied: 8.5 of 12 are 71%."""
    add_groups(open_store(default_store()), policy_rows(one=8))
    open_page(app, "quality")
    button(app, "Compute report").click().run()
    assert not app.exception
    (board,) = [table.value for table in app.dataframe if "Strength" in table.value]
    assert board["Policy"].tolist() == ["one", "two"]
    assert [share.split(" ")[0] for share in board["Share won"]] == ["71%", "29%"]
    assert [share.split(" ")[0] for share in board["Share tied"]] == ["8%", "8%"]
    result = quality(policy_rows(one=8)).leaderboard
    chart = win_matrix(result).to_dict()
    (cells,) = chart["datasets"].values()
    assert [(cell["row"], cell["column"], cell["shown"]) for cell in cells] == [
        ("one", "two", "71%"),
        ("two", "one", "29%"),
    ]
