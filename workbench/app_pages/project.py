"""Project settings: guidelines, policies, and how annotators work. Also creates projects."""

from dataclasses import asdict, fields
from typing import get_args

import streamlit as st

from label_data.errors import InputError
from label_data.records import FEWEST_COMPLETIONS, MOST_COMPLETIONS
from label_data.settings import MOST_TESTS, Kind, Order, PolicySettings, ProjectSettings
from label_data.store.projects import add_project, project_settings, save_settings
from workbench.jobs.scheduling import sample_if_needed
from workbench.web.session import choose_project, project, show_problem, store, words
from workbench.wording import filled

says = words("project")

st.title(words("pages")["project"])
project_id = project().id
current, revision = project_settings(store(), project_id)
st.caption(filled(says["revision"], number=revision))

with st.form(f"project-{project_id}"):
    name = st.text_input(says["name"], current.name)
    guidelines = st.text_area(says["guidelines"], current.guidelines, height=140)
    left, middle, right = st.columns(3)
    per_prompt = left.number_input(
        says["per_prompt"], FEWEST_COMPLETIONS, MOST_COMPLETIONS, current.completions_per_prompt
    )
    annotators = middle.number_input(says["annotators"], 1, 100, current.annotators_per_prompt)
    ready_ahead = right.number_input(says["ready_ahead"], 1, 10_000, current.ready_ahead)
    flags = left.text_input(says["flags"], ", ".join(current.flags), help=says["flags_help"])
    lease_minutes = middle.number_input(says["lease"], 1, 1_440, current.lease_minutes)
    seed = right.number_input(says["seed"], 0, 2**31 - 1, current.seed)
    orders = get_args(Order)
    order = left.selectbox(
        says["order"], orders, orders.index(current.order_of_work), lambda name: says["orders"][name]
    )
    repeats = middle.number_input(
        says["repeats"], 0.0, 100 * MOST_TESTS, 100.0 * current.repeat_share, 1.0, help=says["repeats_help"]
    )
    gold = right.number_input(
        says["gold"], 0.0, 100 * MOST_TESTS, 100.0 * current.gold_share, 1.0, help=says["gold_help"]
    )
    criteria = st.text_area(says["criteria"], "\n".join(current.criteria), help=says["criteria_help"], height=80)
    repeat_gap = st.number_input(says["gap"], 1, 100_000, current.repeat_gap)
    retrain_every = st.number_input(
        says["retrain_every"], 0, 1_000_000, current.retrain_every, help=says["retrain_help"]
    )
    allow_partial = st.checkbox(says["allow_partial"], current.allow_partial)
    ask_strength = st.checkbox(says["ask_strength"], current.ask_strength)
    ask_ratings = st.checkbox(says["ask_ratings"], current.ask_ratings)
    mark_spans = st.checkbox(says["mark_spans"], current.mark_spans)
    demonstrations_join = st.checkbox(says["demonstrations_join"], current.demonstrations_join)
    reveal_policies = st.checkbox(says["reveal_policies"], current.reveal_policies, help=says["reveal_help"])
    st.markdown(says["policies"])
    titles = says["columns"]
    table = st.data_editor(
        [asdict(policy) for policy in current.policies],
        num_rows="dynamic",
        column_config=titles
        | {
            "kind": st.column_config.SelectboxColumn(titles["kind"], options=get_args(Kind), required=True),
            "model": st.column_config.TextColumn(titles["model"], help=says["model_help"]),
            "base_url": st.column_config.TextColumn(
                titles["base_url"], help=filled(says["base_url_help"], example="http://127.0.0.1:8000/v1")
            ),
            "key_name": st.column_config.TextColumn(titles["key_name"], help=says["key_name_help"]),
        },
    )
    submitted = st.form_submit_button(says["save"], type="primary")

if submitted:
    field_names = {field.name for field in fields(PolicySettings)}
    try:
        policies = tuple(
            PolicySettings(**{key: value for key, value in row.items() if key in field_names and value is not None})
            for row in table
            if row.get("name")
        )
        settings = ProjectSettings(
            name=name,
            guidelines=guidelines,
            completions_per_prompt=per_prompt,
            policies=policies,
            seed=seed,
            ready_ahead=ready_ahead,
            annotators_per_prompt=annotators,
            lease_minutes=lease_minutes,
            order_of_work=order,
            repeat_share=round(repeats / 100, 6),
            repeat_gap=repeat_gap,
            gold_share=round(gold / 100, 6),
            criteria=tuple(line.strip() for line in criteria.splitlines() if line.strip()),
            flags=tuple(flag.strip() for flag in flags.split(",") if flag.strip()),
            allow_partial=allow_partial,
            ask_strength=ask_strength,
            ask_ratings=ask_ratings,
            mark_spans=mark_spans,
            demonstrations_join=demonstrations_join,
            reveal_policies=reveal_policies,
            retrain_every=retrain_every,
        )
        new_revision = save_settings(store(), settings, project_id)
    except InputError as error:
        show_problem(error)
    else:
        sample_if_needed(store(), project=project_id)
        st.toast(filled(says["saved"], number=new_revision))
        st.rerun()

with st.form("new-project", clear_on_submit=True):
    st.markdown(words("projects")["new_project"])
    new_name = st.text_input(words("projects")["new_name"])
    if st.form_submit_button(words("projects")["create"]):
        try:
            choose_project(add_project(store(), new_name).id)
        except InputError as error:
            show_problem(error)
        else:
            st.rerun()
