"""Versions: create one, see what it holds, compare two, and export one."""

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, get_args

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from label_data.data_folder import default_store
from label_data.errors import InputError
from label_data.exchange.exporting import Exported
from label_data.oversight.progress import store_counts
from label_data.versions.changes import Change, changes
from label_data.versions.export import export_version
from label_data.versions.making import make_version
from label_data.versions.near_duplicates import THRESHOLD
from label_data.versions.recipes import Aggregate, Recipe, Ties, Weights
from label_data.versions.version import Side, Version, models_of, rows_by_prompt, versions, withdrawn_rankings
from workbench.rendering import literal, rendered
from workbench.views.export import offer_export
from workbench.web.session import filter_choices, project, show_problem, store, when, words
from workbench.wording import filled

says = words("versions")
Setting = TypeVar("Setting", bound=str)
MARGINS = (0.3, 0.6, 1.0)
"""Initial values of the margin fields."""
CREATED = "created version"
"""Key of the session state: the name of the version that was just created."""
SIDES: dict[str, Side | None] = {"": None, "train": "train", "held_out": "held_out"}
"""Choices of what to export: both sides of the split, or one."""
CARD_STYLE = """<style>
  .card { max-width: 60rem; line-height: 1.5; overflow-x: auto; overflow-wrap: anywhere }
  .card table { border-collapse: collapse; font-size: .875rem; margin: .5rem 0 1rem }
  .card th, .card td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8884 }
  .card .right { text-align: right } .card pre { white-space: pre-wrap } .card code { font-size: .875rem }
  .card h1 { font-size: 1.4rem } .card h2 { font-size: 1.15rem; margin-top: 1.2rem }
</style>"""


def show_list(all_versions: Sequence[Version]) -> None:
    """List the project's versions, and show the selected one."""
    if not all_versions:
        st.info(says["none"])
        return
    columns = says["columns"]
    withdrawn = {version.name: withdrawn_rankings(store(), version) for version in all_versions}
    rows = []
    for version in reversed(all_versions):
        counts = version.manifest["counts"]
        rows.append(
            {
                columns["name"]: version.name,
                columns["created"]: when(version.made),
                columns["prompts"]: counts["prompts"],
                columns["rankings"]: counts["rankings"],
                columns["held_out"]: counts["held-out prompts"],
                columns["comparisons"]: counts["comparisons"],
                columns["models"]: len(models_of(store(), version)),
                columns["withdrawn"]: withdrawn[version.name],
                columns["sha256"]: version.sha256,
            }
        )
    st.dataframe(rows, hide_index=True, width="stretch")
    by_name = {version.name: version for version in reversed(all_versions)}
    name = st.selectbox(says["show"], by_name)
    selected = by_name[name]
    if withdrawn[name]:
        st.warning(filled(says["is_withdrawn"], count=f"{withdrawn[name]:,}"))
    show_models(selected)
    with st.expander(says["export"]):
        side = st.segmented_control(
            says["side"],
            list(SIDES),
            format_func=lambda side: says["sides"][side],
            default="",
            required=True,
        )

        def write(path: Path, format_: str, margin: bool) -> Exported:
            return export_version(store(), selected, path, format_, margin, SIDES[side])

        offer_export(write, f"version-{selected.number}", disabled=bool(withdrawn[name]))
    with st.expander(says["card"], expanded=True):
        file_name = f"{name}.md"
        st.download_button(says["download_card"], selected.card, file_name, on_click="ignore")
        st.html(f'{CARD_STYLE}<div class="card">{rendered(selected.card)}</div>')


def show_models(version: Version) -> None:
    """Show the reward models that were trained on the version."""
    models = models_of(store(), version)
    if not models:
        st.caption(filled(says["no_model"], command=f"`python -m reward train --version {version.name}`"))
        return
    st.markdown(filled(says["models"], count=len(models)))
    columns = says["model_columns"]
    st.dataframe(
        [
            {
                columns["folder"]: model.folder,
                columns["trained"]: when(model.trained),
                columns["summary"]: ", ".join(f"{name} {value}" for name, value in model.summary.items() if value),
                columns["report"]: model.report_sha256,
            }
            for model in models
        ],
        hide_index=True,
        width="stretch",
    )


# Create


def show_create(all_versions: Sequence[Version]) -> None:
    """Ask for everything that decides what a version holds, and create it."""
    st.markdown(says["create_intro"])
    prompts = store_counts(store(), project_id).prompts
    left, right = st.columns(2)
    name = left.text_input(says["name"], f"v{len(all_versions) + 1}", help=says["name_help"])
    with right:
        held_out = st.slider(says["held_out"], 0.05, 0.5, 0.2, 0.05, help=says["held_out_help"])
    ties: Ties = select_setting(left, "ties", get_args(Ties))
    aggregate: Aggregate = select_setting(right, "aggregate", get_args(Aggregate))
    weights: Weights = select_setting(left, "weights", get_args(Weights))
    with right:
        margins = select_margins()
    with st.expander(says["filters"]):
        where = select_conditions()
    with st.expander(says["split"]):
        near = st.slider(says["near"], 0.1, 1.0, THRESHOLD, 0.05, help=says["near_help"])
        seed = st.number_input(says["seed"], 0, 2**31 - 1, 0, help=says["seed_help"])
    if not st.button(says["create"], type="primary", disabled=not prompts):
        return
    bar, done = st.progress(0.0), 0

    def advance(steps: int) -> None:
        nonlocal done
        done += steps
        if done % 100 == 0:
            bar.progress(min(1.0, done / (2 * prompts)), text=says["creating"])

    try:
        recipe = Recipe(
            project_id,
            where,
            held_out=held_out,
            near=near,
            seed=seed,
            margins=margins,
            ties=ties,
            aggregate=aggregate,
            weights=weights,
        )
        with st.spinner(says["creating"]):
            version = make_version(store(), name.strip(), recipe, advance)
    except InputError as error:
        bar.empty()
        show_problem(error)
        return
    st.session_state[CREATED] = version.name
    st.rerun()


def select_setting(column: DeltaGenerator, setting: str, values: Sequence[Setting]) -> Setting:
    """Offer the values of a setting of the recipe, and return the chosen one."""
    return column.selectbox(says[setting], values, format_func=lambda value: says["choices"][setting][value])


def select_margins() -> tuple[float, ...]:
    """Offer margins, and return the margin of each strength; empty if no margins are wanted."""
    if not st.checkbox(says["margins"], help=says["margins_help"]):
        return ()
    steps = says["steps"]
    columns = st.columns(len(steps))
    return tuple(
        column.number_input(step, 0.0, 100.0, margin, 0.1)
        for column, step, margin in zip(columns, steps, MARGINS, strict=True)
    )


def select_conditions() -> tuple[str, ...]:
    """Offer filters, and return them as the conditions on rankings that a recipe holds."""
    values, labels = filter_choices(str(default_store()), project_id), words("data")["filters"]
    outcomes = words("my_work")["outcomes"]
    left, right = st.columns(2)
    conditions = []
    for column, label, field, options, names in (
        (left, labels["category"], "category", values.categories, {}),
        (right, labels["source"], "file", values.sources, {}),
        (left, labels["policy"], "policy", values.policies, {}),
        (right, labels["annotator"], "annotator", list(values.annotators), values.annotators),
        (left, labels["outcome"], "outcome", list(outcomes), outcomes),
    ):
        selected = column.multiselect(
            label, options, format_func=lambda value, names=names: names.get(value, value), placeholder=any_value
        )
        conditions += [f"{field}={value}" for value in selected]
    fewest = right.number_input(says["min_annotators"], 1, 100, 1, help=says["min_annotators_help"])
    left, right = st.columns(2)
    days = (("since", left.date_input(says["since"], None)), ("until", right.date_input(says["until"], None)))
    conditions += [f"{field}={day.isoformat()}" for field, day in days if isinstance(day, date)]
    agreement = left.slider(says["min_agreement"], 0.0, 1.0, 0.0, 0.05, help=says["min_agreement_help"])
    if fewest > 1:
        conditions.append(f"voices={fewest}")
    if agreement > 0:
        conditions.append(f"agreement={agreement:g}")
    more = st.text_area(says["more_filters"], help=says["more_filters_help"])
    return (*conditions, *(line.strip() for line in more.splitlines() if line.strip()))


# Compare


def show_compare(all_versions: Sequence[Version]) -> None:
    """Show what was added, removed and changed from one version to another."""
    if len(all_versions) < 2:
        st.info(says["too_few"])
        return
    by_name = {version.name: version for version in all_versions}
    left, right, action = st.columns([4, 4, 1], vertical_alignment="bottom")
    first = by_name[left.selectbox(says["first"], by_name, len(all_versions) - 2)]
    second = by_name[right.selectbox(says["second"], by_name, len(all_versions) - 1)]
    if not action.button(says["compare"], type="primary", width="stretch"):
        return
    if first.sha256 == second.sha256:
        st.success(filled(says["same"], sha256=first.sha256))
    result = changes(first.manifest, rows_by_prompt(store(), first), second.manifest, rows_by_prompt(store(), second))
    table = [
        _change_row("prompts", result.prompts),
        _change_row("rankings", result.rankings),
        _change_row("comparisons", result.comparisons),
    ]
    st.dataframe(table, hide_index=True, width="stretch")
    st.caption(says["changes_help"])
    st.markdown(says["agreement_of"])
    st.dataframe(
        [
            {"": says["measures"][name], first.name: before, second.name: after}
            for name, (before, after) in result.agreement.items()
        ],
        hide_index=True,
        width="stretch",
    )
    st.markdown(says["settings"] if result.settings else says["same_settings"])
    if result.settings:
        title, names = says["changes"]["setting"], says["setting_names"]
        st.dataframe(
            [
                {title: names[name], first.name: _setting_text(before), second.name: _setting_text(after)}
                for name, (before, after) in result.settings.items()
            ],
            hide_index=True,
            width="stretch",
        )


def _change_row(column: str, change: Change) -> dict[str, Any]:
    names = says["changes"]
    return {
        "": says["columns"][column],
        names["same"]: change.same,
        names["added"]: change.added,
        names["removed"]: change.removed,
        names["changed"]: change.changed,
    }


def _setting_text(value: Any) -> str:  # any JSON value of a manifest
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


st.title(words("pages")["versions"])
project_id = project().id
any_value = words("data")["any"]
all_versions = [version for version in versions(store()) if version.project == project_id]
st.caption(says["intro"])
message = st.container()  # always there: an element that appears above tabs would select the first tab
created = st.session_state.pop(CREATED, None)
if created:
    message.success(filled(says["created"], name=literal(created)))
list_tab, create_tab, compare_tab = st.tabs([says["list"], says["create_tab"], says["compare"]])
with list_tab:
    show_list(all_versions)
with create_tab:
    show_create(all_versions)
with compare_tab:
    show_compare(all_versions)
