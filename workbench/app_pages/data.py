"""Data: browse prompts with their history, import files, and export the project."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

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
from workbench.views.record import ranking_rows, show_group, show_history
from workbench.web.session import filter_choices, localised, project, show_problem, store, words
from workbench.wording import filled

says = words("data")
PAGE_SIZE = 20
"""Prompts on a page of the list."""
EXCERPT = 200
"""Characters of a prompt in the list."""
PROGRESS_STEP = 200
"""Rows between two updates of a progress bar."""
COUNTED = ("prompts", "completions", "rankings")
"""Records that are counted at the top of the page and after an import."""


# Browse


def show_browse() -> None:
    """List the prompts that match the filters, a page at a time, and show the history of the selected prompt."""
    prompt_filter = select_filter()
    if not counts.prompts:
        st.info(says["empty"])
        return
    pages = st.session_state.setdefault("data-pages", {})
    if pages.get("filter") != (project_id, prompt_filter):
        pages.clear()
        pages |= {"filter": (project_id, prompt_filter), "below": [None]}
    matches = search_prompts(store(), project_id, prompt_filter, PAGE_SIZE + 1, pages["below"][-1])
    listed, is_last = matches[:PAGE_SIZE], len(matches) <= PAGE_SIZE
    summary, newer, older = st.columns([6, 1, 1], vertical_alignment="bottom")
    summary.caption(count_text(prompt_filter, PAGE_SIZE * (len(pages["below"]) - 1), len(listed)))
    if newer.button(says["newer"], disabled=len(pages["below"]) == 1, width="stretch"):
        pages["below"].pop()
        st.rerun()
    if older.button(says["older"], disabled=is_last, width="stretch"):
        pages["below"].append(listed[-1].number)
        st.rerun()
    if not listed:
        st.info(says["none_found"])
        return
    columns = says["columns"]
    rows = [
        {
            columns["prompt"]: " ".join(match.text.split())[:EXCERPT],
            columns["category"]: match.category,
            columns["source"]: match.source,
            columns["state"]: words("prompts")["states"][match.state],
            columns["turns"]: match.turns,
            columns["completions"]: match.completions,
            columns["rankings"]: match.rankings,
        }
        for match in listed
    ]
    selected_rows = st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        height="content",
        column_config={columns["prompt"]: st.column_config.TextColumn(width="large")},
        on_select="rerun",
        selection_mode="single-row",
        key=f"data-{project_id}-{listed[0].number}-{len(listed)}",
    ).selection.rows
    if selected_rows and selected_rows[0] < len(listed):
        st.query_params["prompt"] = listed[selected_rows[0]].prompt_id
    prompt_id = st.query_params.get("prompt")
    if not prompt_id:
        st.caption(says["pick"])
        return
    try:
        prompt_history = history(store(), project_id, prompt_id)
    except InputError as error:
        show_problem(error)
        return
    st.subheader(says["record"])
    show_history(prompt_history)


def select_filter() -> PromptFilter:
    """Offer the filters, and return the chosen one."""
    values = filter_choices(str(default_store()), project_id)
    search, search_in = st.columns([3, 1])
    text = search.text_input(says["search"], key="data-text")
    text_in = search_in.selectbox(
        says["search_in"], list(says["places"]), format_func=lambda place: says["places"][place]
    )
    first_row, second_row = st.columns(5), st.columns(5)
    no_names: dict[str, str] = {}

    def value_of(column: DeltaGenerator, name: str, options: Iterable[str], names: Mapping[str, str] = no_names) -> str:
        def shown(value: str) -> str:
            return names.get(value, value) if value else says["any"]

        return column.selectbox(says["filters"][name], ["", *options], format_func=shown) or ""

    def time_of(column: DeltaGenerator, name: str, days_later: int) -> int | None:
        day = column.date_input(says["filters"][name], None)
        return midnight(day, days_later) if isinstance(day, date) else None

    flags = (*project_settings(store(), project_id)[0].flags, UNACCEPTABLE)
    states, outcomes = words("prompts")["states"], words("my_work")["outcomes"]
    return PromptFilter(
        text,
        text_in if text.strip() else "prompt",
        category=value_of(first_row[0], "category", values.categories),
        source=value_of(first_row[1], "source", values.sources),
        licence=value_of(first_row[2], "licence", values.licences),
        policy=value_of(first_row[3], "policy", values.policies),
        state=value_of(first_row[4], "state", states, states),
        annotator=value_of(second_row[0], "annotator", values.annotators, values.annotators),
        outcome=value_of(second_row[1], "outcome", outcomes, outcomes),
        flag=value_of(second_row[2], "flag", dict.fromkeys(flags)),
        since=time_of(second_row[3], "since", 0),
        before=time_of(second_row[4], "until", 1),
    )


def count_text(prompt_filter: PromptFilter, before: int, listed: int) -> str:
    """Return a sentence with the number of matching prompts, and which of them are listed."""
    is_everything = prompt_filter == PromptFilter()
    total = counts.prompts if is_everything else count_prompts(store(), project_id, prompt_filter)
    wording = says["listed" if is_everything or total < MOST_COUNTED else "listed_of_more"]
    first = min(before + 1, total)
    return filled(wording, first=f"{first:,}", last=f"{before + listed:,}", count=f"{total:,}")


# Import


def show_import() -> None:
    """Take a file, show what it holds, and import it on request."""
    st.markdown(says["import_intro"])
    imported = st.session_state.pop("data-imported", None)
    if imported is not None:
        show_imported(imported)
    number = st.session_state.setdefault("data-upload", 0)
    extensions = sorted({ending.rpartition(".")[2] for ending in ENDINGS})
    upload = st.file_uploader(says["upload"], extensions, key=f"data-upload-{number}")
    options = select_import_options(number)
    if upload is None:
        st.caption(says["how_to_import"])
        st.code("python -m label_data import FILE …", language=None)
        return
    name = upload.name.replace("\0", "")[:200]
    key = (upload.file_id, *options.items())
    with copy_of(upload.name, upload.getvalue()) as path:
        try:
            options["names"] = field_mapping(options["names"])
            cached = st.session_state.get("data-preview")
            if cached is None or cached[0] != key:
                progress = st.empty()
                contents = preview(
                    [path], called=name, on_progress=lambda rows: show_rows_read(progress, rows), **options
                )
                progress.empty()
                cached = st.session_state["data-preview"] = (key, contents)
            if show_preview(cached[1], name):
                bar = st.progress(0.0)
                total = cached[1].found.prompts
                st.session_state["data-imported"] = import_files(
                    store(),
                    [path],
                    project=project_id,
                    called=name,
                    on_progress=lambda rows: show_rows_stored(bar, rows, total),
                    **options,
                )
                sample_if_needed(store(), project=project_id)
                st.session_state["data-upload"] = number + 1
                filter_choices.clear()
                st.rerun()
        except InputError as error:
            show_problem(error, {str(path): name, "--format": says["as_format"]})


def select_import_options(upload: int) -> dict[str, Any]:
    """Offer options that the file itself may not state, and return them as keyword arguments for `import_files`.

    The keys contain the number of the upload, so that the fields are empty again for the next file.
    """

    def key(name: str) -> str:
        return f"data-{name}-{upload}"

    with st.expander(says["import_options"]):
        left, right = st.columns(2)
        format_ = left.selectbox(
            says["as_format"],
            ["", *sorted(READERS)],
            format_func=lambda name: name or says["detect"],
            key=key("format"),
        )
        source = right.text_input(says["source"], help=says["source_help"], key=key("source"))
        licence = right.text_input(says["licence"], help=says["licence_help"], key=key("licence"))
        column = left.text_input(says["column"], prompts.COLUMN, help=says["column_help"], key=key("column"))
        category = left.text_input(says["category"], help=says["category_help"], key=key("category"))
        names = right.text_input(says["mapping"], help=says["mapping_help"], key=key("names"))
    return {
        "format_": format_,
        "source": source,
        "licence": licence,
        "column": column,
        "category": category,
        "names": names,
    }


def field_mapping(text: str) -> dict[str, str]:
    """Return {field: its name in the file} for a text such as "chosen=better, rejected=worse"."""
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if not all(sign and field.strip() and name.strip() for field, sign, name in pairs):
        raise InputError("workbench.data.mapping_invalid", text=text)
    return {field.strip(): name.strip() for field, _, name in pairs}


@contextmanager
def copy_of(name: str, content: bytes) -> Iterator[Path]:
    """Yield a copy of the upload as a file, which is deleted afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield saved_upload(Path(folder), name, content)


def show_rows_read(progress: DeltaGenerator, rows: int) -> None:
    """Show how many rows of a file have been read; its length is not known yet."""
    if rows % PROGRESS_STEP == 0:
        progress.caption(filled(says["read_so_far"], count=f"{rows:,}"))


def show_rows_stored(bar: DeltaGenerator, rows: int, total: int) -> None:
    """Advance the progress bar."""
    if rows % PROGRESS_STEP == 0 or rows == total:
        bar.progress(min(1.0, rows / total), text=filled(says["storing"], done=f"{rows:,}", total=f"{total:,}"))


def show_preview(contents: Preview, name: str) -> bool:
    """Show what a file holds, and return whether to import it."""
    kinds = dict.fromkeys(localised(kind) for _, kind, _ in contents.files)
    st.success(filled(says["reading_as"], name=literal(name), kind=", ".join(kinds)))
    for column, field in zip(st.columns(3), COUNTED, strict=True):
        column.metric(says[field], f"{getattr(contents.found, field):,}", border=True)
    st.caption(says["repeats_counted"])
    show_left_out(contents.left_out)
    label = filled(says["store"], count=f"{contents.found.prompts:,}")
    is_wanted = st.button(label, type="primary", disabled=not contents.found.prompts)
    for number, group in enumerate(contents.first, start=1):
        with st.expander(filled(says["sample"], number=number), expanded=number == 1):
            show_group(group)
            if group.rankings:
                st.dataframe(ranking_rows(group), hide_index=True, width="stretch")
    return is_wanted


def show_imported(imported: Imported) -> None:
    """Show what was added, what was already stored, and what was left out."""
    added = {name: f"{getattr(imported.added, name):,}" for name in COUNTED}
    st.success(filled(says["imported"], **added))
    if imported.added.joined:
        st.caption(filled(says["joined"], count=f"{imported.added.joined:,}"))
    repeated = {name: f"{getattr(imported.repeated, name):,}" for name in COUNTED}
    if set(repeated.values()) != {"0"}:
        st.caption(filled(says["duplicates"], **repeated))
    show_left_out(imported.left_out)


# Export


def show_export() -> None:
    """Offer the project as a file."""
    if not counts.rankings:
        st.info(says["no_ranking"])

    def write(path: Path, format_: str, margin: bool) -> Exported:
        return export_file(store(), path, format_, margin, project_id)

    offer_export(write, "data", disabled=not counts.prompts)


st.title(words("pages")["data"])
project_id = project().id
counts = store_counts(store(), project_id)
for column, field in zip(st.columns(3), COUNTED, strict=True):
    column.metric(says[field], f"{getattr(counts, field):,}", border=True)
browse_tab, import_tab, export_tab = st.tabs([says["browse"], says["import"], says["export"]])
with import_tab:
    show_import()
with export_tab:
    show_export()
with browse_tab:
    show_browse()
