"""Ask the reward model: rewards for completions of yours, or the best of several fresh ones."""

import streamlit as st

from label_data.errors import InputError
from label_data.records import MOST_COMPLETIONS, user_prompt
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
chosen = project().id
made = runs(chosen)
if not made:
    st.info(says["no_model"])
    st.page_link("app_pages/train.py", label=says["train_one"])
    st.stop()

current = current_run(chosen, made)
by_name = {run.folder.name: run for run in made}
name = st.selectbox(
    says["model"],
    by_name,
    list(by_name).index(current.folder.name),
    lambda name: run_label(by_name[name]),
    help=says["current_help"],
)
run = by_name[name]
mine, fresh = st.tabs([says["mine"], says["best_of_n"]])

with mine:
    number = st.number_input(says["count"], 1, MOST_COMPLETIONS, 2)
    with st.form("score"):
        prompt = st.text_area(says["prompt"], height=80)
        texts = [
            st.text_area(filled(says["completion"], number=place + 1), height=80, key=f"text-{place}")
            for place in range(number)
        ]
        asked = st.form_submit_button(says["score"], type="primary")
    if asked:
        try:
            messages = user_prompt(prompt).as_dicts
        except InputError as error:
            show_problem(error)
        else:
            completions = [text for text in texts if text.strip()]
            request_job(store(), "score", folder=str(run.folder), messages=messages, completions=completions)
    job = job_panel("score")

with fresh, st.form("best-of-n"):
    fresh_prompt = st.text_area(says["prompt"], height=80, key="fresh-prompt")
    settings, _ = project_settings(store(), chosen)
    policy = st.selectbox(says["policy"], [policy.name for policy in settings.policies])
    n = st.slider(says["to_sample"], 2, 32, 8)
    if st.form_submit_button(says["sample_and_score"], type="primary"):
        try:
            messages = user_prompt(fresh_prompt).as_dicts
        except InputError as error:
            show_problem(error)
        else:
            request_job(store(), "best_of_n", chosen, folder=str(run.folder), messages=messages, n=n, policy=policy)
with fresh:
    best = job_panel("best_of_n")


def show(rewards: list[tuple[str, float]]) -> None:
    """Show completions with their rewards, highest first, as bars with the texts beneath."""
    ordered = sorted(rewards, key=lambda pair: -pair[1])
    st.bar_chart(
        [{"place": f"{place}.", "reward": reward} for place, (_, reward) in enumerate(ordered, start=1)],
        x="place",
        y="reward",
        x_label=says["place"],
        y_label=says["reward"],
        horizontal=True,
        height=60 + 32 * len(ordered),
    )
    for place, (text, reward) in enumerate(ordered, start=1):
        with st.container(border=True):
            st.markdown(filled(says["reward_of"], place=place, reward=f"{reward:+.3f}"))
            st.code(visible(text), language=None, wrap_lines=True)
    st.caption(says["comparable"])


for tab, done in ((mine, job), (fresh, best)):
    if done is not None and done.state == "done":
        with tab:
            show(list(zip(done.result["completions"], done.result["rewards"], strict=True)))
