"""The data: look through it, bring some in, take it away."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import streamlit as st

from label_data.data_folder import default_store
from label_data.dates import midnight
from label_data.errors import InputError
from label_data.exchange.exporting import Exported, export_file
from label_data.exchange.importing import ENDINGS, Imported, Preview, import_files, preview, saved_upload
from label_data.exchange.known_formats import READERS
from label_data.formats import prompts
from label_data.oversight.browsing import MOST_COUNTED, PromptFilter, count_prompts, history, search_prompts
from label_data.oversight.progress import store_counts
from label_data.settings import UNACCEPTABLE
from label_data.store.projects import project_settings
from workbench.jobs.scheduling import sample_if_needed
from workbench.rendering import literal
from workbench.views.export import offer_export, show_left_out
from workbench.views.record import judged, show_group, show_history
from workbench.web.session import filter_choices, project, show_problem, store, words
from workbench.wording import filled

says = words("data")
LISTED = 20
"""Prompts of a page of the list."""
EXCERPT = 200
"""Characters of a prompt in the list."""
NOW_AND_THEN = 200
"""Rows between two steps of a progress bar."""


# Browse


def show_prompts() -> None:
    """List the prompts that fit, a page at a time, and show the whole history of the one that is picked."""
    wanted = asked_for()
    if not counts.prompts:
        st.info(says["empty"])
        return
    pages = st.session_state.setdefault("data-pages", {})
    if pages.get("of") != (chosen, wanted):
        pages.clear()
        pages |= {"of": (chosen, wanted), "below": [None]}
    found = search_prompts(store(), chosen, wanted, LISTED + 1, pages["below"][-1])
    listed, is_last = found[:LISTED], len(found) <= LISTED
    told, before, after = st.columns([6, 1, 1], vertical_alignment="bottom")
    told.caption(how_many(wanted, LISTED * (len(pages["below"]) - 1), len(listed)))
    if before.button(says["newer"], disabled=len(pages["below"]) == 1, width="stretch"):
        pages["below"].pop()
        st.rerun()
    if after.button(says["older"], disabled=is_last, width="stretch"):
        pages["below"].append(listed[-1].number)
        st.rerun()
    if not listed:
        st.info(says["none_found"])
        return
    columns = says["columns"]
    rows = [
        {
            columns["prompt"]: " ".join(one.text.split())[:EXCERPT],
            columns["category"]: one.category,
            columns["source"]: one.source,
            columns["state"]: words("prompts")["states"][one.state],
            columns["turns"]: one.turns,
            columns["completions"]: one.completions,
            columns["rankings"]: one.rankings,
        }
        for one in listed
    ]
    wide = {columns["prompt"]: st.column_config.TextColumn(width="large")}
    picked = st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        height="content",
        column_config=wide,
        on_select="rerun",
        selection_mode="single-row",
        key=f"data-{chosen}-{listed[0].number}-{len(listed)}",
    ).selection.rows
    if picked and picked[0] < len(listed):
        st.query_params["prompt"] = listed[picked[0]].prompt_id
    opened = st.query_params.get("prompt")
    if not opened:
        st.caption(says["pick"])
        return
    try:
        found_one = history(store(), chosen, opened)
    except InputError as error:
        show_problem(error)
        return
    st.subheader(says["record"])
    show_history(found_one)


def asked_for() -> PromptFilter:
    """Let who is here say which prompts they want."""
    there = filter_choices(str(default_store()), chosen)
    searched, place = st.columns([3, 1])
    text = searched.text_input(says["search"], key="data-text")
    text_in = place.selectbox(says["search_in"], list(says["places"]), format_func=says["places"].get)
    of_prompt, of_ranking = st.columns(5), st.columns(5)

    def one_of(column: Any, name: str, options: Iterable[str], shown: Any = str) -> str:
        label = says["filters"][name]
        found = column.selectbox(label, ["", *options], format_func=lambda one: shown(one) if one else says["any"])
        return found or ""

    def day_of(column: Any, name: str, days_later: int) -> int | None:
        day = column.date_input(says["filters"][name], None)
        return midnight(day, days_later) if isinstance(day, date) else None

    flags = (*project_settings(store(), chosen)[0].flags, UNACCEPTABLE)
    states, outcomes = words("prompts")["states"], words("my_work")["outcomes"]
    return PromptFilter(
        text,
        text_in if text.strip() else "prompt",
        category=one_of(of_prompt[0], "category", there.categories),
        source=one_of(of_prompt[1], "source", there.sources),
        licence=one_of(of_prompt[2], "licence", there.licences),
        policy=one_of(of_prompt[3], "policy", there.policies),
        state=one_of(of_prompt[4], "state", states, states.get),
        annotator=one_of(of_ranking[0], "annotator", there.annotators, there.annotators.get),
        outcome=one_of(of_ranking[1], "outcome", outcomes, outcomes.get),
        flag=one_of(of_ranking[2], "flag", dict.fromkeys(flags)),
        since=day_of(of_ranking[3], "since", 0),
        before=day_of(of_ranking[4], "until", 1),
    )


def how_many(wanted: PromptFilter, before: int, listed: int) -> str:
    """Return how many prompts fit, and which of them are listed."""
    total = counts.prompts if wanted == PromptFilter() else count_prompts(store(), chosen, wanted)
    is_more = wanted != PromptFilter() and total >= MOST_COUNTED
    told = {"first": f"{min(before + 1, total):,}", "last": f"{before + listed:,}", "count": f"{total:,}"}
    return filled(says["listed_of_more" if is_more else "listed"], **told)


# Import


def show_import() -> None:
    """Take a file, say what it is and what is in it, and store it when asked."""
    st.markdown(says["import_intro"])
    done = st.session_state.pop("data-imported", None)
    if done is not None:
        show_imported(done)
    number = st.session_state.setdefault("data-upload", 0)
    kinds = sorted({ending.rpartition(".")[2] for ending in ENDINGS})
    upload = st.file_uploader(says["upload"], kinds, key=f"data-upload-{number}")
    how = how_to_read(number)
    if upload is None:
        st.caption(says["how_to_import"])
        st.code("python -m label_data import FILE …", language=None)
        return
    name = upload.name.replace("\0", "")[:200]
    key = (upload.file_id, *how.items())
    with copied(upload.name, upload.getvalue()) as path:
        try:
            kept = st.session_state.get("data-preview")
            how["names"] = mapped(how["names"])
            if kept is None or kept[0] != key:
                told = st.empty()
                found = preview([path], called=name, on_progress=lambda rows: counted(told, rows), **how)
                told.empty()
                kept = st.session_state["data-preview"] = (key, found)
            if show_preview(kept[1], name):
                bar = st.progress(0.0)
                total = kept[1].found.prompts
                made = import_files(
                    store(), [path], project=chosen, called=name, on_progress=lambda rows: step(bar, rows, total), **how
                )
                sample_if_needed(store(), project=chosen)
                st.session_state["data-imported"] = made
                st.session_state["data-upload"] = number + 1
                filter_choices.clear()
                st.rerun()
        except InputError as error:
            show_problem(str(error).replace(str(path), name).replace("--format", says["as_format"]))


def how_to_read(upload: int) -> dict[str, Any]:
    """Let who is here say what the file itself does not; forgotten once it is stored, or the next file would get it."""

    def key(name: str) -> str:
        return f"data-{name}-{upload}"

    with st.expander(says["options"]):
        one, other = st.columns(2)
        kind = one.selectbox(
            says["as_format"],
            ["", *sorted(READERS)],
            format_func=lambda name: name or says["recognised"],
            key=key("format"),
        )
        source = other.text_input(says["source"], help=says["source_help"], key=key("source"))
        licence = other.text_input(says["licence"], help=says["licence_help"], key=key("licence"))
        column = one.text_input(says["column"], prompts.COLUMN, help=says["column_help"], key=key("column"))
        category = one.text_input(says["category"], help=says["category_help"], key=key("category"))
        names = other.text_input(says["names"], help=says["names_help"], key=key("names"))
    return {
        "format_": kind,
        "source": source,
        "licence": licence,
        "column": column,
        "category": category,
        "names": names,
    }


def mapped(text: str) -> dict[str, str]:
    """Return what "chosen=better, rejected=worse" says: our name of a field -> the file's."""
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if not all(sign and ours.strip() and theirs.strip() for ours, sign, theirs in pairs):
        raise InputError(filled(says["names_wrong"], text=text))
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}


@contextmanager
def copied(name: str, content: bytes) -> Iterator[Path]:
    """Yield a copy of the upload, as a file that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield saved_upload(Path(folder), name, content)


def counted(told: Any, rows: int) -> None:
    """Say how far a file is read whose length nobody knows yet."""
    if rows % NOW_AND_THEN == 0:
        told.caption(filled(says["read_so_far"], count=f"{rows:,}"))


def step(bar: Any, rows: int, total: int) -> None:
    """Move the bar on."""
    if rows % NOW_AND_THEN == 0 or rows == total:
        bar.progress(min(1.0, rows / total), text=filled(says["storing"], done=f"{rows:,}", total=f"{total:,}"))


def show_preview(found: Preview, name: str) -> bool:
    """Show what a file holds, and return whether to store it."""
    kind = ", ".join(dict.fromkeys(said for _, said, _ in found.files))
    st.success(filled(says["is_a"], name=literal(name), kind=literal(kind)))
    for column, field in zip(st.columns(3), ("prompts", "completions", "rankings"), strict=True):
        column.metric(says[field], f"{getattr(found.found, field):,}", border=True)
    st.caption(says["repeats_counted"])
    show_left_out(found.left_out)
    wants = st.button(
        filled(says["store"], count=f"{found.found.prompts:,}"), type="primary", disabled=not found.found.prompts
    )
    for place, group in enumerate(found.first, start=1):
        with st.expander(filled(says["sample"], number=place), expanded=place == 1):
            show_group(group)
            if group.rankings:
                st.dataframe(judged(group), hide_index=True, width="stretch")
    return wants


def show_imported(made: Imported) -> None:
    """Say what became of a file."""
    numbers = {name: f"{getattr(made.added, name):,}" for name in ("prompts", "completions", "rankings")}
    st.success(filled(says["imported"], **numbers))
    if made.added.joined:
        st.caption(filled(says["joined"], count=f"{made.added.joined:,}"))
    again = {name: f"{getattr(made.repeated, name):,}" for name in numbers}
    if set(again.values()) != {"0"}:
        st.caption(filled(says["repeated"], **again))
    show_left_out(made.left_out)


# Export


def show_export() -> None:
    """Offer a file of all that there is."""
    if not counts.rankings:
        st.info(says["no_ranking"])

    def write(path: Path, kind: str, margin: bool) -> Exported:
        return export_file(store(), path, kind, margin, chosen)

    offer_export(write, "data", disabled=not counts.prompts)


st.title(words("pages")["data"])
chosen = project().id
counts = store_counts(store(), chosen)
for place, field in zip(st.columns(3), ("prompts", "completions", "rankings"), strict=True):
    place.metric(says[field], f"{getattr(counts, field):,}", border=True)
browse, bring_in, take_away = st.tabs([says["browse"], says["import"], says["export"]])
with bring_in:
    show_import()
with take_away:
    show_export()
with browse:
    show_prompts()
