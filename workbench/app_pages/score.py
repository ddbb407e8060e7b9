"""Score: rewards for your own completions, or the best of several sampled completions."""

import streamlit as st

from label_data.errors import InputError
from label_data.records import MOST_COMPLETIONS, user_prompt
from label_data.store.jobs import DONE
from label_data.store.projects import project_settings
from workbench.jobs.runs import current_run, runs
from workbench.jobs.scheduling import request_job
from workbench.rendering import visible
from workbench.views.job_panel import job_panel
from workbench.views.report import run_label
from workbench.web.session import project, show_problem, store, words
from workbench.wording import filled

says = words("score")

st.title(words("pages")["score"])
project_id = project().id
all_runs = runs(project_id)
current = current_run(project_id, all_runs)
if current is None:
    st.info(says["no_model"])
    st.page_link("app_pages/train.py", label=says["train"])
    st.stop()

by_name = {run.folder.name: run for run in all_runs}
name = st.selectbox(
    says["model"],
    by_name,
    list(by_name).index(current.folder.name),
    lambda name: run_label(by_name[name]),
    help=says["current_help"],
)
run = by_name[name]
own_tab, best_of_n_tab = st.tabs([says["own"], says["best_of_n"]])

with own_tab:
    number = st.number_input(says["count"], 1, MOST_COMPLETIONS, 2)
    with st.form("score"):
        prompt = st.text_area(says["prompt"], height=80)
        texts = [
            st.text_area(filled(says["completion"], number=index + 1), height=80, key=f"text-{index}")
            for index in range(number)
        ]
        submitted = st.form_submit_button(says["score"], type="primary")
    if submitted:
        try:
            messages = user_prompt(prompt).as_dicts
        except InputError as error:
            show_problem(error)
        else:
            completions = [text for text in texts if text.strip()]
            request_job(store(), "score", folder=str(run.folder), messages=messages, completions=completions)
    score_job = job_panel("score")

with best_of_n_tab, st.form("best-of-n"):
    prompt = st.text_area(says["prompt"], height=80, key="fresh-prompt")
    settings, _ = project_settings(store(), project_id)
    policy = st.selectbox(says["policy"], [policy.name for policy in settings.policies])
    n = st.slider(says["to_sample"], 2, 32, 8)
    if st.form_submit_button(says["sample_and_score"], type="primary"):
        try:
            messages = user_prompt(prompt).as_dicts
        except InputError as error:
            show_problem(error)
        else:
            request_job(store(), "best_of_n", project_id, folder=str(run.folder), messages=messages, n=n, policy=policy)
with best_of_n_tab:
    best_of_n_job = job_panel("best_of_n")


def show_rewards(rewards: list[tuple[str, float]]) -> None:
    """Show completions with their rewards, highest first: a bar chart, and the texts below it."""
    ordered = sorted(rewards, key=lambda pair: -pair[1])
    st.bar_chart(
        [{"rank": f"{rank}.", "reward": reward} for rank, (_, reward) in enumerate(ordered, start=1)],
        x="rank",
        y="reward",
        x_label=says["place"],
        y_label=says["reward"],
        horizontal=True,
        height=60 + 32 * len(ordered),
    )
    for rank, (text, reward) in enumerate(ordered, start=1):
        with st.container(border=True):
            st.markdown(filled(says["reward_of"], rank=rank, reward=f"{reward:+.3f}"))
            st.code(visible(text), language=None, wrap_lines=True)
    st.caption(says["comparable"])


for tab, job in ((own_tab, score_job), (best_of_n_tab, best_of_n_job)):
    if job is not None and job.state == DONE:
        with tab:
            show_rewards(list(zip(job.result["completions"], job.result["rewards"], strict=True)))
