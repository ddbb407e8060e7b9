"""Versions of the data: make one, see what it holds, compare two, take one away."""

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, get_args

import streamlit as st

from label_data.data_folder import default_store
from label_data.errors import InputError
from label_data.exchange.exporting import Exported
from label_data.oversight.progress import store_counts
from label_data.versions.changes import Change, changes
from label_data.versions.export import export_version
from label_data.versions.making import make_version
from label_data.versions.near_duplicates import THRESHOLD
from label_data.versions.recipes import Aggregate, Recipe, Ties, Weights
from label_data.versions.version import HELD_OUT, TRAIN, Version, frozen_rows, models_of, versions, withdrawn_rankings
from workbench.rendering import literal, rendered
from workbench.views.export import offer_export
from workbench.web.session import filter_choices, project, show_problem, store, when, words
from workbench.wording import filled

says = words("versions")
MARGINS = (0.3, 0.6, 1.0)
"""What the fields of margins begin with."""
CARD = """<style>
  .card { max-width: 60rem; line-height: 1.5; overflow-x: auto; overflow-wrap: anywhere }
  .card table { border-collapse: collapse; font-size: .875rem; margin: .5rem 0 1rem }
  .card th, .card td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8884 }
  .card .right { text-align: right } .card pre { white-space: pre-wrap } .card code { font-size: .875rem }
  .card h1 { font-size: 1.4rem } .card h2 { font-size: 1.15rem; margin-top: 1.2rem }
</style>"""


def show_list(every: Sequence[Version]) -> None:
    """List the project's versions, and show the one that is chosen."""
    if not every:
        st.info(says["none"])
        return
    columns, gone = says["columns"], {one.name: withdrawn_rankings(store(), one) for one in every}
    rows = [
        {
            columns["name"]: one.name,
            columns["made"]: when(one.made),
            **{columns[name]: one.manifest["counts"][name.replace("_", " ")] for name in ("prompts", "rankings")},
            columns["held_out"]: one.manifest["counts"]["held-out prompts"],
            columns["comparisons"]: one.manifest["counts"]["comparisons"],
            columns["models"]: len(models_of(store(), one)),
            columns["withdrawn"]: gone[one.name],
            columns["sha256"]: one.sha256,
        }
        for one in reversed(every)
    ]
    st.dataframe(rows, hide_index=True, width="stretch")
    by_name = {one.name: one for one in reversed(every)}
    name = st.selectbox(says["show"], by_name)
    version = by_name[name]
    if gone[name]:
        st.warning(filled(says["is_withdrawn"], count=f"{gone[name]:,}"))
    show_models(version)
    with st.expander(says["export"]):
        side = st.segmented_control(
            says["side"], ["", TRAIN, HELD_OUT], format_func=lambda one: says["sides"][one], default="", required=True
        )

        def write(path: Path, kind: str, margin: bool) -> Exported:
            return export_version(store(), version, path, kind, margin, side or None)

        offer_export(write, f"version-{version.number}", disabled=bool(gone[name]))
    with st.expander(says["card"], expanded=True):
        file_name = f"{name}.md"
        st.download_button(says["download_card"], version.card, file_name, on_click="ignore")
        st.html(f'{CARD}<div class="card">{rendered(version.card)}</div>')


def show_models(version: Version) -> None:
    """Show which reward models were trained on the version."""
    models = models_of(store(), version)
    if not models:
        st.caption(filled(says["no_model"], command=f"`python -m reward train --version {version.name}`"))
        return
    st.markdown(filled(says["models"], count=len(models)))
    columns = says["model_columns"]
    st.dataframe(
        [
            {
                columns["folder"]: one.folder,
                columns["trained"]: when(one.trained),
                columns["summary"]: ", ".join(f"{what} {value}" for what, value in one.summary.items() if value),
                columns["report"]: one.report_sha256,
            }
            for one in models
        ],
        hide_index=True,
        width="stretch",
    )


# Make


def show_make(every: Sequence[Version]) -> None:
    """Ask for everything that decides what a version holds, and make it."""
    st.markdown(says["make_intro"])
    prompts = store_counts(store(), chosen).prompts
    left, right = st.columns(2)
    name = left.text_input(says["name"], f"v{len(every) + 1}", help=says["name_help"])
    with right:
        held_out = st.slider(says["held_out"], 0.05, 0.5, 0.2, 0.05, help=says["held_out_help"])
    fields = {
        "ties": _one_of(left, "ties", get_args(Ties)),
        "aggregate": _one_of(right, "aggregate", get_args(Aggregate)),
        "weights": _one_of(left, "weights", get_args(Weights)),
    }
    with right:
        margins = asked_margins()
    with st.expander(says["which"]):
        where = asked_conditions()
    with st.expander(says["split"]):
        near = st.slider(says["near"], 0.1, 1.0, THRESHOLD, 0.05, help=says["near_help"])
        seed = st.number_input(says["seed"], 0, 2**31 - 1, 0, help=says["seed_help"])
    if not st.button(says["make"], type="primary", disabled=not prompts):
        return
    bar, done = st.progress(0.0), 0

    def step(more: int) -> None:
        nonlocal done
        done += more
        if done % 100 == 0:
            bar.progress(min(1.0, done / (2 * prompts)), text=says["making"])

    try:
        recipe = Recipe(chosen, where, held_out=held_out, near=near, seed=seed, margins=margins, **fields)
        with st.spinner(says["making"]):
            made = make_version(store(), name.strip(), recipe, step)
    except InputError as error:
        bar.empty()
        show_problem(error)
        return
    st.session_state["version-made"] = made.name
    st.rerun()


def _one_of(place: Any, setting: str, values: Sequence[str]) -> Any:
    return place.selectbox(says[setting], values, format_func=lambda one: says["choices"][setting][one])


def asked_margins() -> tuple[float, ...]:
    """Return the margins of the three strengths, none if none are asked for."""
    if not st.checkbox(says["margins"], help=says["margins_help"]):
        return ()
    steps = says["steps"]
    columns = st.columns(len(steps))
    return tuple(
        column.number_input(step, 0.0, 100.0, margin, 0.1)
        for column, step, margin in zip(columns, steps, MARGINS, strict=True)
    )


def asked_conditions() -> tuple[str, ...]:
    """Return the conditions on rankings that are asked for."""
    there, labels = filter_choices(str(default_store()), chosen), words("data")["filters"]
    left, right = st.columns(2)
    where = []
    for place, label, field, options, shown in (
        (left, labels["category"], "category", there.categories, str),
        (right, labels["source"], "file", there.sources, str),
        (left, labels["policy"], "policy", there.policies, str),
        (right, labels["annotator"], "annotator", list(there.annotators), there.annotators.get),
        (left, labels["outcome"], "outcome", list(words("my_work")["outcomes"]), words("my_work")["outcomes"].get),
    ):
        picked = place.multiselect(label, options, format_func=shown, placeholder=words("data")["any"])
        where += [f"{field}={value}" for value in picked]
    voices = right.number_input(says["voices"], 1, 100, 1, help=says["voices_help"])
    left, right = st.columns(2)
    days = (("since", left.date_input(says["since"], None)), ("until", right.date_input(says["until"], None)))
    where += [f"{field}={day.isoformat()}" for field, day in days if isinstance(day, date)]
    agreement = left.slider(says["agreement"], 0.0, 1.0, 0.0, 0.05, help=says["agreement_help"])
    where += [f"voices={voices}"] * (voices > 1) + [f"agreement={agreement:g}"] * (agreement > 0)
    more = st.text_area(says["more"], help=says["more_help"])
    return (*where, *(line.strip() for line in more.splitlines() if line.strip()))


# Compare


def show_compare(every: Sequence[Version]) -> None:
    """Say what came, what went and what changed from one version to another."""
    if len(every) < 2:
        st.info(says["too_few"])
        return
    by_name = {one.name: one for one in every}
    left, right, go = st.columns([4, 4, 1], vertical_alignment="bottom")
    first = by_name[left.selectbox(says["first"], by_name, len(every) - 2)]
    second = by_name[right.selectbox(says["second"], by_name, len(every) - 1)]
    if not go.button(says["compare"], type="primary", width="stretch"):
        return
    if first.sha256 == second.sha256:
        st.success(filled(says["same"], sha256=first.sha256))
    rows, other_rows = frozen_rows(store(), first), frozen_rows(store(), second)
    found, names = changes(first.manifest, rows, second.manifest, other_rows), says["changes"]
    table = [_changed(says["columns"][name], getattr(found, name)) for name in ("prompts", "rankings", "comparisons")]
    st.dataframe(table, hide_index=True, width="stretch")
    st.caption(says["changes_help"])
    st.markdown(says["agreement_of"])
    st.dataframe(
        [
            {"": says["measures"][name], first.name: was, second.name: now}
            for name, (was, now) in found.agreement.items()
        ],
        hide_index=True,
        width="stretch",
    )
    st.markdown(says["settings"] if found.settings else says["same_settings"])
    if found.settings:
        st.dataframe(
            [
                {names["setting"]: says["setting_names"][name], first.name: _told(was), second.name: _told(now)}
                for name, (was, now) in found.settings.items()
            ],
            hide_index=True,
            width="stretch",
        )


def _changed(what: str, change: Change) -> dict[str, Any]:
    names = says["changes"]
    told = {"same": change.same, "came": change.came, "went": change.went, "changed": change.changed}
    return {"": what} | {names[name]: count for name, count in told.items()}


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


st.title(words("pages")["versions"])
chosen = project().id
there_are = [one for one in versions(store()) if one.project == chosen]
st.caption(says["intro"])
message = st.container()  # always there: what comes and goes above tabs would bring the first one to the front
made_now = st.session_state.pop("version-made", None)
if made_now:
    message.success(filled(says["made"], name=literal(made_now)))
listed, new, compared = st.tabs([says["list"], says["new"], says["compare"]])
with listed:
    show_list(there_are)
with new:
    show_make(there_are)
with compared:
    show_compare(there_are)
