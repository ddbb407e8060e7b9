"""The Reward models page: training, the current run, comparisons of runs, and disagreements."""

import json
from dataclasses import replace

import pytest

from app_pages import button, open_page, shown
from label_data.assignment.answers import Answer
from label_data.assignment.own_rankings import own_rankings
from label_data.data_folder import default_store
from label_data.database.engine import open_store
from label_data.intervals import Estimate
from label_data.oversight.progress import item_counts
from label_data.store.annotators import find_or_add_annotator
from label_data.store.jobs import STOPPED, add_job, end_job, latest_job, start_job
from label_data.store.projects import project_settings
from label_data.versions.making import make_version
from label_data.versions.recipes import Recipe
from page_fixtures import HELD_OUT, REPORT, add_run, rank_next
from reward.report.comparison_rows import HeldOutSuspect
from reward.report.report import Tuning
from store_fixtures import add_ready_prompt
from workbench.jobs.runs import chosen_run, new_run
from workbench.views.training_watch import curves_chart
from workbench.wording import page_texts

NO_BETTER = replace(REPORT, held_out=replace(HELD_OUT, over_baseline=Estimate(0.01, -0.04, 0.06, 345, 345)))
TUNED = replace(
    REPORT,
    regularisation=None,
    cross_validated=None,
    curve=(),
    tuning=Tuning("lora", "bradley-terry", 2e-4, 32, 80, 86, 60, 140, 0.61, 4_900_000, 135_000_000, 0.0, "cache", ""),
)
FIRST, SECOND, THIRD = "20260101-000000-aaaaaaaa", "20260102-000000-bbbbbbbb", "20260103-000000-cccccccc"


@pytest.fixture
def ranked(app, tmp_path):
    """The app, over a store with one prompt that Ann ranked; its submission and its project."""
    store = open_store(default_store())
    add_ready_prompt(store, "Which?", "one *bold*", "two")
    rank_next(store, "Ann", Answer("", "of-ann", "ranked", [[0], [1]], reason="It is."))
    yield app
    store.dispose()


def rows(*margins, prefix="p"):
    """Return a comparison for each margin, of a prompt of its own."""
    of_each = {"chosen": "a", "rejected": "b", "annotator": "ann", "weight": 1.0, "reward_rejected": 0.0}
    return [
        of_each | {"prompt_id": f"{prefix}{place}", "cluster": f"{prefix}{place}", "reward_chosen": margin}
        for place, margin in enumerate(margins)
    ]


def labelled(elements, label):
    return next(result for result in elements if result.label == label)


def test_every_training_method_is_offered(ranked):
    open_page(ranked, "train")
    methods = labelled(ranked.radio, "Method")
    assert methods.options == ["linear head", "last layers", "LoRA", "full fine-tuning"]
    methods.set_value("lora")
    button(ranked, "Train").click().run()
    assert not ranked.exception
    job = latest_job(open_store(default_store()), "train", "default")
    assert (job.arguments["method"], job.project, job.state) == ("lora", "default", "queued")


def test_a_model_can_be_trained_on_a_version_instead_of_the_latest_rankings(ranked, tmp_path):
    open_page(ranked, "train")
    assert not any(box.label == "Training data" for box in ranked.selectbox)
    make_version(open_store(default_store()), "frozen", Recipe("default"))
    ranked.run()
    choice = labelled(ranked.selectbox, "Training data")
    assert choice.options == ["Latest rankings", "frozen"]
    choice.set_value("frozen")
    button(ranked, "Train").click().run()
    assert not ranked.exception
    assert latest_job(open_store(default_store()), "train", "default").arguments["version"] == "frozen"
    add_run(tmp_path, replace(REPORT, version="frozen"))
    ranked.run()
    assert ", linear head, version frozen, " in labelled(ranked.selectbox, "Runs").options[0]


def test_automatic_retraining_is_set_in_the_project_settings(ranked):
    open_page(ranked, "project")
    labelled(ranked.number_input, "Retrain after this many new rankings").set_value(1)
    button(ranked, "Save").click().run()
    store = open_store(default_store())
    assert project_settings(store)[0].retrain_every == 1
    ranked.switch_page("app_pages/train.py").run()
    assert "after every 1 new rankings" in " ".join(shown(text) for text in ranked.caption)


def test_the_newest_good_run_is_current_until_a_person_chooses_another(ranked, tmp_path):
    good, newer = add_run(tmp_path, name=FIRST), add_run(tmp_path, NO_BETTER, SECOND)
    open_page(ranked, "train")
    choice = labelled(ranked.selectbox, "Runs")
    assert choice.value == good.name
    assert [option.startswith("current") for option in choice.options] == [False, True]
    choice.set_value(newer.name).run()
    button(ranked, "Set as current").click().run()
    assert chosen_run("default") == newer.name
    assert labelled(ranked.selectbox, "Runs").options[0].startswith("current")
    ranked.switch_page("app_pages/score.py").run()
    assert labelled(ranked.selectbox, "Reward model").value == newer.name
    ranked.switch_page("app_pages/train.py").run()
    button(ranked, "Reset to newest good run").click().run()
    assert not ranked.exception
    assert chosen_run("default") is None


def test_a_page_that_shows_the_current_run_switches_to_a_new_one_but_keeps_any_other_run(ranked, tmp_path):
    first = add_run(tmp_path, name=FIRST)
    open_page(ranked, "train")
    second = add_run(tmp_path, name=SECOND)
    choice = labelled(ranked.run().selectbox, "Runs")
    assert choice.value == second.name
    assert [option.startswith("current") for option in choice.options] == [True, False]
    choice.set_value(first.name).run()
    third = add_run(tmp_path, name=THIRD)
    choice = labelled(ranked.run().selectbox, "Runs")
    assert choice.value == first.name and choice.options[0].startswith("current")
    choice.set_value(third.name).run()
    assert not ranked.exception and labelled(ranked.selectbox, "Runs").value == third.name


def test_two_runs_are_compared_on_their_shared_held_out_comparisons(ranked, tmp_path):
    """Eight prompts in common: the newer is right on all, the older on none. p = 2 / 2^8 = 0.0078, both current first.

    The comparison that only the older one was judged by counts for nothing.
    """
    add_run(tmp_path, name=FIRST, rows=[*rows(*[-1.0] * 8), *rows(5.0, prefix="q")])
    add_run(tmp_path, TUNED, SECOND, rows=rows(*[1.0] * 8))
    open_page(ranked, "train")
    (message,) = [text.value for text in ranked.markdown if "is better than" in text.value]
    assert message.startswith("**A is better than B** by 100.0 points of accuracy")
    assert "p = 0.0078" in message and "on 8 comparisons of 8 prompts" in message
    table = next(table.value for table in ranked.dataframe if "Run" in table.value)
    assert table[["Run", "Method", "Accuracy (95% CI)"]].values.tolist() == [
        ["A", "LoRA", "0.648 (0.598 to 0.698)"],
        ["B", "linear head", "0.648 (0.598 to 0.698)"],
    ]


def test_runs_without_shared_comparisons_are_not_compared(ranked, tmp_path):
    add_run(tmp_path, name=FIRST, rows=rows(1.0))
    add_run(tmp_path, name=SECOND, rows=rows(1.0, prefix="q"))
    open_page(ranked, "train")
    assert "A and B share no held-out comparisons" in " ".join(text.value for text in ranked.markdown)


def test_a_fine_tuned_run_shows_its_settings_and_its_curves(ranked, tmp_path):
    run = add_run(tmp_path, TUNED)
    (run / "log.jsonl").write_text(json.dumps({"step": 60, "validation_log_loss": 0.61, "validation_accuracy": 0.7}))
    with (run / "log.jsonl").open("a") as file:
        file.write("\n")
    open_page(ranked, "train")
    texts = " ".join(shown(text) for text in ranked.markdown)
    assert "4,900,000 of 135,000,000 weights" in texts and "Weights: step 60," in texts
    assert "Step 60: validation log loss 0.610, accuracy 0.700" in " ".join(text.value for text in ranked.caption)


def test_a_running_training_shows_its_curves_and_can_be_resumed_after_a_stop(ranked):
    store = open_store(default_store())
    job = add_job(store, "train", {"method": "last-layers"}, "default")
    start_job(store, job)
    half_done = new_run(job).with_name(new_run(job).name + ".unfinished")
    half_done.mkdir(parents=True)
    open_page(ranked, "train")
    assert not [text for text in ranked.markdown if "Training loss" in text.value]
    lines = [{"step": 1, "loss": 0.7}, {"step": 1, "validation_log_loss": 0.69, "validation_accuracy": 0.55}]
    (half_done / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ranked.run()
    assert [text for text in ranked.markdown if "Training loss" in text.value]
    assert button(ranked, "Train").disabled
    end_job(store, job, STOPPED, "Stopped.")
    ranked.run()
    button(ranked, "Resume training").click().run()
    again = latest_job(store, "train", "default")
    assert (again.arguments["continues"], again.arguments["method"]) == (job, "last-layers")


def test_the_training_plot_names_only_the_curves_that_it_has():
    def named(*lines):
        chart = curves_chart(list(lines), page_texts("en")["tuning"]).to_dict()
        return chart["layer"][0]["encoding"]["color"]["scale"]["domain"]

    step, look = {"step": 1, "loss": 0.7}, {"step": 1, "validation_log_loss": 0.69, "validation_accuracy": 0.55}
    assert named(step) == ["training loss"]
    assert named(step, look) == ["training loss", "validation log loss"]


def contradicted(submission, prompt="Which *one*?"):
    turns = ({"role": "user", "content": prompt},)
    return HeldOutSuspect("p", turns, "one *bold*", "two", -1.0, 1.0, "Ann", submission)


def test_unfinished_runs_can_be_deleted_but_not_during_a_training(ranked):
    folders = {}
    for name, project in (("mine", "default"), ("other", "another")):
        folders[name] = new_run(name).with_name(f"{name}.unfinished")
        folders[name].mkdir(parents=True)
        (folders[name] / "settings.json").write_text(json.dumps({"project": project}), encoding="utf-8")
    (folders["mine"] / "checkpoint").write_bytes(bytes(3_000_000))
    open_page(ranked, "train")
    assert "They use 3 MB. Deleted runs can’t be resumed." in [text.value for text in ranked.markdown]
    button(ranked, "Delete unfinished runs").click().run()
    assert not ranked.exception
    assert [folder.exists() for folder in folders.values()] == [False, True]

    folders["mine"].mkdir()
    (folders["mine"] / "settings.json").write_text(json.dumps({"project": "default"}), encoding="utf-8")
    ranked.run()
    assert "Delete unfinished runs" in [item.label for item in ranked.button]
    start_job(
        open_store(default_store()), add_job(open_store(default_store()), "train", {"method": "last-layers"}, "default")
    )
    ranked.run()
    assert "Delete unfinished runs" not in [item.label for item in ranked.button]


def test_a_disagreement_opens_the_readers_own_ranking_on_my_work(ranked, tmp_path):
    """Margin -2: the model gives 1 / (1 + e^2) = 11.9% to Ann's choice."""
    add_run(tmp_path, contradicted=[contradicted("of-ann")])
    store = open_store(default_store())
    ann = find_or_add_annotator(store, "Ann")
    ranked.session_state["annotator"] = ann.id
    open_page(ranked, "train")
    (result,) = [expander for expander in ranked.expander if "Which" in expander.label]
    assert result.label.replace("\\", "") == "1. The model gives 11.9% to the annotator’s choice: Which *one*?"
    assert [code.value for code in result.code] == ["Which *one*?", "one *bold*", "two"]
    button(ranked, "Open the ranking").click().run()
    assert not ranked.exception
    (work,) = own_rankings(store, ann.id)
    assert ranked.session_state["sitting"].opened == work.task.token
    assert ranked.title[0].value == "My work"


def test_a_disagreement_shows_another_annotators_ranking(ranked, tmp_path):
    add_run(tmp_path, contradicted=[contradicted("of-ann"), contradicted("nowhere")])
    open_page(ranked, "train")
    first, second = [item for item in ranked.button if item.label == "Open the ranking"]
    first.click().run()
    record = next(table.value for table in ranked.dataframe if "Place" in table.value)
    assert sorted(record["Completion"]) == ["one *bold*", "two"]
    assert [text.value for text in ranked.text] == ["It is."]
    second.click().run()
    assert "not in the open store" in " ".join(info.value for info in ranked.info)
    assert item_counts(open_store(default_store()))["ranked"] == 1


def test_a_run_without_disagreements_and_one_that_recorded_none_say_so(ranked, tmp_path):
    run = add_run(tmp_path)
    open_page(ranked, "train")
    assert "No disagreements" in " ".join(info.value for info in ranked.info)
    (run / "disagreements.jsonl").unlink()
    ranked.run()
    assert "not recorded for this run" in " ".join(info.value for info in ranked.info)
