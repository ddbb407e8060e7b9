"""The pages, used as a person uses them; tests read the store afterwards."""

import json

from app_pages import button, open_page, shown
from label_data.assignment.answers import Answer, submit
from label_data.assignment.tasks import next_tasks
from label_data.data_folder import default_store
from label_data.database.engine import open_store
from label_data.oversight.overview import open_tasks
from label_data.oversight.progress import item_counts, store_counts
from label_data.settings import ProjectSettings
from label_data.store.annotators import find_or_add_annotator
from label_data.store.jobs import DONE, FAILED, add_job, end_job, job_with_id, latest_job, start_job
from label_data.store.projects import project_settings
from label_data.store.samples import waiting_prompts
from page_fixtures import add_run
from store_fixtures import add_ready_prompt, let_leases_run_out


def test_an_empty_store_offers_sixty_starter_prompts(app):
    app.run()
    app.text_input[0].input("Ann")
    button(app, "Start ranking").click().run()
    button(app, "Add the starter prompts").click().run()
    assert not app.exception
    store = open_store(default_store())
    assert item_counts(store)["waiting"] == 60
    assert latest_job(store, "sample").state == "queued"


def test_an_empty_name_is_refused(app):
    app.run()
    button(app, "Start ranking").click().run()
    assert shown(app.error[0]) == "Enter your name."


def test_pasted_prompts_are_added_once_and_wait_for_sampling(app):
    open_page(app, "prompts")
    app.text_area[0].input("Why is the sky blue?\n\nWrite a haiku.\nWhy is the sky blue?")
    app.text_input[0].input("nature")
    button(app, "Add prompts").click().run()
    assert not app.exception
    store = open_store(default_store())
    waiting = waiting_prompts(store, 9)
    assert [(prompt.messages[0].content, prompt.category) for prompt in waiting] == [
        ("Why is the sky blue?", "nature"),
        ("Write a haiku.", "nature"),
    ]
    assert app.metric[0].value == "2"


def test_prompts_are_added_from_a_column_of_a_file(app):
    open_page(app, "prompts")
    app.file_uploader[0].upload("mine.csv", b"id,question\n1,How far is the moon?\n", "text/csv")
    next(field for field in app.text_input if "column" in field.label).input("question")
    [result for result in app.button if result.label == "Add prompts"][1].click().run()
    assert not app.exception
    (prompt,) = waiting_prompts(open_store(default_store()), 9)
    assert (prompt.messages[0].content, prompt.source) == ("How far is the moon?", "mine.csv")


def test_an_invalid_file_is_refused_by_name_and_line_and_adds_nothing(app):
    open_page(app, "prompts")
    app.file_uploader[0].upload("mine.jsonl", b'{"prompt": "fine"}\n{"question": "not"}\n', "application/jsonl")
    [result for result in app.button if result.label == "Add prompts"][1].click().run()
    assert "mine.jsonl, line 2" in shown(app.error[0])
    assert store_counts(open_store(default_store())).prompts == 0


def test_saved_settings_are_a_new_revision(app):
    open_page(app, "project")
    app.text_area[0].input("Prefer kindness.")
    app.number_input[0].set_value(3)
    button(app, "Save").click().run()
    assert not app.exception
    settings, revision = project_settings(open_store(default_store()))
    assert (settings.guidelines, settings.completions_per_prompt, revision) == ("Prefer kindness.", 3, 1)
    assert settings.policies == ProjectSettings().policies


def test_what_annotators_may_and_must_give_is_set_in_the_project_settings(app):
    open_page(app, "project")
    for box in app.checkbox:
        assert not box.value
        box.check()
    button(app, "Save").click().run()
    assert not app.exception
    settings, _ = project_settings(open_store(default_store()))
    assert settings.allow_partial and settings.ask_strength and settings.ask_ratings
    assert settings.mark_spans and settings.demonstrations_join and settings.reveal_policies


def test_invalid_settings_are_refused_and_not_saved(app):
    open_page(app, "project")
    app.text_input[0].input(" ")
    button(app, "Save").click().run()
    assert shown(app.error[0]) == "The project has no name. Enter one."
    assert project_settings(open_store(default_store()))[1] == 0


def test_the_rank_page_shows_no_policy(app):
    add_ready_prompt(open_store(default_store()), "Which?", "one", "two")
    app.run()
    app.text_input[0].input("Ann")
    button(app, "Start ranking").click().run()
    assert not app.exception
    assert not any("tiny" in str(block) for block in app.main)


def test_without_a_reward_model_the_score_page_links_to_training(app):
    open_page(app, "score")
    assert "train one" in app.info[0].value


def test_best_of_n_is_requested_and_shown_best_first(app, tmp_path):
    """What the worker does in between is tested in test_execution.py."""
    folder = add_run(tmp_path)
    open_page(app, "score")
    next(area for area in app.text_area if area.key == "fresh-prompt").input("Why is the sky blue?")
    app.slider[0].set_value(3)
    button(app, "Sample and score").click().run()
    assert not app.exception
    store = open_store(default_store())
    job = latest_job(store, "best_of_n")
    assert job.arguments == {
        "folder": str(folder),
        "messages": [{"role": "user", "content": "Why is the sky blue?"}],
        "n": 3,
        "policy": ProjectSettings().policies[0].name,
    }
    start_job(store, job.id)
    result = {"completions": ["worst", "best", "middle"], "rewards": [-1.0, 2.0, 0.5]}
    end_job(store, job.id, DONE, "Done.", result)
    app.run()
    assert [code.value for code in app.code] == ["best", "middle", "worst"]
    assert next(text.value for text in app.markdown if "reward" in text.value) == "**1.** reward +2.000"


def test_an_empty_prompt_is_refused(app, tmp_path):
    add_run(tmp_path)
    open_page(app, "score")
    button(app, "Sample and score").click().run()
    assert shown(app.error[0]).startswith("A prompt's last message is empty.")
    assert latest_job(open_store(default_store()), "best_of_n") is None


def test_the_data_page_prepares_an_export(app):
    add_ready_prompt(open_store(default_store()), "Which?", "one", "two")
    open_page(app, "data")
    button(app, "Prepare export").click().run()
    assert not app.exception
    assert app.success


def test_a_second_project_is_created_and_selected_with_its_own_settings_and_prompts(app):
    open_page(app, "project")
    next(field for field in app.text_input if field.label == "Project name").input("Safety")
    button(app, "Create project").click().run()
    assert not app.exception
    (choice,) = [box for box in app.sidebar.selectbox if box.label == "Project"]
    assert (choice.options, choice.value) == (["default", "Safety"], "safety")
    app.number_input[1].set_value(3)
    button(app, "Save").click().run()
    store = open_store(default_store())
    assert project_settings(store, "safety")[0].annotators_per_prompt == 3
    assert project_settings(store)[1] == 0
    app.switch_page("app_pages/prompts.py").run()
    app.text_area[0].input("Is it safe?")
    button(app, "Add prompts").click().run()
    assert [prompt.messages[0].content for prompt in waiting_prompts(store, 9, "safety")] == ["Is it safe?"]
    assert waiting_prompts(store, 9) == []


def test_the_order_of_tasks_is_set_in_the_project_settings(app):
    open_page(app, "project")
    fields = {field.label: field for field in [*app.number_input, *app.text_area, *app.selectbox]}
    fields["Task order"].set_value("fewest")
    fields["Hidden repeats, % of tasks"].set_value(10)
    fields["Gold prompts, % of tasks"].set_value(5)
    fields["Minimum tasks before a repeat"].set_value(30)
    fields["Criteria, one per line, most important first"].input("true\n\n helpful ")
    button(app, "Save").click().run()
    assert not app.exception
    settings, _ = project_settings(open_store(default_store()))
    assert (settings.order_of_work, settings.repeat_share, settings.repeat_gap) == ("fewest", 0.1, 30)
    assert (settings.gold_share, settings.criteria) == (0.05, ("true", "helpful"))


def test_the_overview_shows_open_tasks_and_releases_expired_ones(app):
    store = open_store(default_store())
    add_ready_prompt(store, "Which?", "one", "two")
    ann, bob = (find_or_add_annotator(store, name).id for name in ("Ann", "Bob"))
    next_tasks(store, ann)
    let_leases_run_out(store)
    open_page(app, "overview")
    tables = [table.value for table in app.dataframe]
    assert [table.iloc[0]["Name"] for table in tables if "Name" in table] == ["Ann"]
    assert tables[-1].iloc[0][["Annotator", "Prompt", "Expired"]].tolist() == ["Ann", "Which?", True]
    button(app, "Release expired: 1").click().run()
    assert not app.exception
    assert open_tasks(store, "default") == []
    assert [task.prompt.messages[0].content for task in next_tasks(store, bob)] == ["Which?"]


def test_the_overview_plots_the_rankings_of_each_day(app):
    store = open_store(default_store())
    add_ready_prompt(store, "Which?", "one", "two")
    ann = find_or_add_annotator(store, "Ann").id
    (task,) = next_tasks(store, ann)
    submit(store, Answer(task.token, "one", "all_bad"), ann)
    open_page(app, "overview")
    assert "1 in the last 30 days" in shown(app.caption[0])
    assert app.dataframe[0].value.iloc[0][["Progress", "Rankings", "Target"]].tolist() == [1, 1, 1]


def test_the_overview_retries_a_failed_job_and_stops_a_running_one(app):
    store = open_store(default_store())
    failed = add_job(store, "train", {}, "default")
    start_job(store, failed)
    end_job(store, failed, FAILED, "No ranking.")
    open_page(app, "overview")
    assert "No ranking." in [shown(text) for text in app.markdown]
    button(app, "Retry").click().run()
    again = latest_job(store, "train")
    assert (again.id != failed, again.state, again.project) == (True, "queued", "default")
    app.run()
    button(app, "Stop").click().run()
    assert job_with_id(store, again.id).stop_asked


def test_the_overview_shows_the_log_lines_of_a_job(app, tmp_path):
    store = open_store(default_store())
    job = add_job(store, "features")
    line = {"time": "2026-01-02T03:04:05Z", "level": "ERROR", "event": "job failed", "job": job, "error": "KeyError"}
    (tmp_path / "worker.log").write_text(json.dumps(line | {"frames": ["in _score"]}) + "\n")
    open_page(app, "overview")
    assert [code.value for code in app.code] == ["2026-01-02T03:04:05Z ERROR job failed KeyError\n    in _score"]


def test_the_overview_resamples_prompts_whose_sampling_failed(app):
    store = open_store(default_store())
    add_ready_prompt(store, "Which?", "same", "same")
    open_page(app, "overview")
    button(app, "Resample").click().run()
    assert not app.exception
    assert item_counts(store)["waiting"] == 1
    assert latest_job(store, "sample").state == "queued"
