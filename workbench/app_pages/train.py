"""Train a reward model, see how good it is, and say which one the project uses."""

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
from workbench.views.training_watch import offer_to_go_on, offer_to_remove, show_training_curves, watch_curves
from workbench.web.session import project, show_problem, store, words
from workbench.wording import filled

says = words("train")

st.title(words("pages")["train"])
chosen = project().id
settings, _ = project_settings(store(), chosen)
ranked = item_counts(store(), chosen)["ranked"]
st.write(filled(says["intro"], count=f"{ranked:,}"))
methods = get_args(Method)
costs = [says["costs"][method] for method in methods]
method = st.radio(says["method"], methods, format_func=says["methods"].get, captions=costs, key="method")
names = [one.name for one in versions(store()) if one.project == chosen]
version = ""
if names:
    offered = ["", *reversed(names)]
    version = st.selectbox(says["learn_from"], offered, format_func=lambda one: one or says["all_now"], key="version")
start = st.empty()
by_itself = filled(says["by_itself"], count=f"{settings.retrain_every:,}")
st.caption(by_itself if settings.retrain_every else says["not_by_itself"])
job = job_panel("train", chosen)
under_way = job is not None and not job.ended
if start.button(says["train"], type="primary", disabled=under_way or not ranked):
    request_job(store(), "train", chosen, method=method, **({"version": version} if version else {}))
    st.rerun()
if under_way:
    watch_curves(job.arguments.get("continues", job.id))
else:
    if job is not None:
        offer_to_go_on(job)
    offer_to_remove(chosen)

made = runs(chosen)
if not made:
    st.info(says["no_model"] if ranked else says["nothing_ranked"])
    if not ranked:
        st.page_link("app_pages/rank.py", label=says["rank_some"])
    st.stop()

current = current_run(chosen, made)
by_name = {run.folder.name: run for run in made}


def label(name: str) -> str:
    """Return how the list names a run, and that it is the current one."""
    text = run_label(by_name[name])
    return filled(says["is_current"], run=text) if name == current.folder.name else text


choice, action = st.columns([5, 2], vertical_alignment="bottom")
looked_at = f"looked-at-{chosen}"
before, was_current = st.session_state.get(looked_at, (None, None))
key = f"run-{chosen}-{current.folder.name}"  # another current run, another list: an open one keeps its old labels
if key not in st.session_state:
    st.session_state[key] = before if before in by_name and before != was_current else current.folder.name
run = by_name[choice.selectbox(says["trained"], by_name, format_func=label, key=key)]
st.session_state[looked_at] = run.folder.name, current.folder.name
is_current, is_chosen = run.folder == current.folder, run.folder.name == chosen_run(chosen)
if not is_current and action.button(says["make_current"], icon=":material/check_circle:", width="stretch"):
    try:
        choose_run(chosen, run)
    except InputError as error:
        show_problem(error)
    else:
        st.rerun()
if is_chosen and action.button(says["newest_again"], help=says["newest_help"], type="tertiary", width="stretch"):
    choose_run(chosen, None)
    st.rerun()

report, contradicted, compared = st.tabs([says["report"], says["disagreements"], says["compare"]])
with report:
    show_report(run.report)
    show_training_curves(run)
    st.caption(filled(says["folder"], folder=literal(str(run.folder))))
with contradicted:
    show_disagreements(run)
with compared:
    show_comparison(made, current)
