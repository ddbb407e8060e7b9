"""Reward models: train one, read its report, compare runs, and choose the current run."""

from typing import get_args

import streamlit as st

from label_data.errors import InputError
from label_data.oversight.progress import item_counts
from label_data.store.projects import project_settings
from label_data.versions.version import versions
from reward.settings import Method
from workbench.jobs.runs import choose_run, chosen_run, current_run, runs
from workbench.jobs.scheduling import request_job
from workbench.rendering import literal
from workbench.views.disagreements import show_disagreements
from workbench.views.job_panel import job_panel
from workbench.views.report import run_label, show_report
from workbench.views.run_comparison import show_comparison
from workbench.views.training_watch import offer_to_delete, offer_to_resume, show_training_curves, watch_curves
from workbench.web.session import project, show_problem, store, words
from workbench.wording import filled

says = words("train")

st.title(words("pages")["train"])
project_id = project().id
settings, _ = project_settings(store(), project_id)
ranked = item_counts(store(), project_id)["ranked"]
st.write(filled(says["intro"], count=f"{ranked:,}"))
methods = get_args(Method)
costs = [says["costs"][method] for method in methods]
method = st.radio(says["method"], methods, format_func=lambda name: says["methods"][name], captions=costs, key="method")
names = [version.name for version in versions(store()) if version.project == project_id]
version = ""
if names:
    options = ["", *reversed(names)]
    version = st.selectbox(says["data"], options, format_func=lambda name: name or says["latest"], key="version")
train_button = st.empty()
automatic = filled(says["automatic"], count=f"{settings.retrain_every:,}")
st.caption(automatic if settings.retrain_every else says["not_automatic"])
job = job_panel("train", project_id)
is_training = job is not None and not job.ended
if train_button.button(says["train"], type="primary", disabled=is_training or not ranked):
    request_job(store(), "train", project_id, method=method, **({"version": version} if version else {}))
    st.rerun()
if job is not None and not job.ended:
    watch_curves(job.arguments.get("continues", job.id))
else:
    if job is not None:
        offer_to_resume(job)
    offer_to_delete(project_id)

all_runs = runs(project_id)
current = current_run(project_id, all_runs)
if current is None:
    st.info(says["no_model"] if ranked else says["nothing_ranked"])
    if not ranked:
        st.page_link("app_pages/rank.py", label=says["rank_some"])
    st.stop()

current_name = current.folder.name
by_name = {run.folder.name: run for run in all_runs}


def label(name: str) -> str:
    """Return a run's label in the list, which says whether it is the current run."""
    text = run_label(by_name[name])
    return filled(says["is_current"], run=text) if name == current_name else text


choice, action = st.columns([5, 2], vertical_alignment="bottom")
last_shown = f"last-shown-{project_id}"
shown_before, current_before = st.session_state.get(last_shown, (None, None))
# The key holds the current run: with the same key, an open list would keep its old labels.
key = f"run-{project_id}-{current_name}"
if key not in st.session_state:
    stays = shown_before in by_name and shown_before != current_before
    st.session_state[key] = shown_before if stays else current_name
run = by_name[choice.selectbox(says["runs"], by_name, format_func=label, key=key)]
st.session_state[last_shown] = run.folder.name, current_name
is_current, is_chosen = run.folder == current.folder, run.folder.name == chosen_run(project_id)
if not is_current and action.button(says["make_current"], icon=":material/check_circle:", width="stretch"):
    try:
        choose_run(project_id, run)
    except InputError as error:
        show_problem(error)
    else:
        st.rerun()
if is_chosen and action.button(says["reset"], help=says["reset_help"], type="tertiary", width="stretch"):
    choose_run(project_id, None)
    st.rerun()

report_tab, disagreements_tab, comparison_tab = st.tabs([says["report"], says["disagreements"], says["compare"]])
with report_tab:
    show_report(run.report)
    show_training_curves(run)
    st.caption(filled(says["folder"], folder=literal(str(run.folder))))
with disagreements_tab:
    show_disagreements(run)
with comparison_tab:
    show_comparison(all_runs, current)
