"""Prompts: add prompts, and see how far their sampling is."""

import tempfile
from pathlib import Path

import streamlit as st

from label_data.errors import InputError
from label_data.exchange.importing import saved_upload
from label_data.formats.prompts import prompts_from_text, read_prompts
from label_data.oversight.progress import item_counts, newest_prompts
from label_data.store.adding import add_prompts
from label_data.store.samples import retry_failed
from workbench.jobs.scheduling import sample_if_needed, sampling_is_stopped, start_sampling
from workbench.views.job_panel import job_panel
from workbench.views.starter import offer_starter_prompts
from workbench.web.session import project, show_problem, store, words
from workbench.wording import filled

MOST_ROWS = 200
"""Prompts in the table of the newest."""

says = words("prompts")
states = says["states"]

st.title(words("pages")["prompts"])
project_id = project().id
counts = item_counts(store(), project_id)
for column, (state, label) in zip(st.columns(len(states)), states.items(), strict=True):
    column.metric(label, f"{counts[state]:,}", border=True)

job_panel("sample", project_id)
if sampling_is_stopped(store(), project_id) and counts["waiting"] and st.button(says["start"]):
    start_sampling(store(), project_id)
    st.rerun()
if counts["failed"] and st.button(filled(says["resample"], count=f"{counts['failed']:,}")):
    retry_failed(store(), project_id)
    sample_if_needed(store(), project=project_id)
    st.rerun()

if not sum(counts.values()):
    offer_starter_prompts()

paste_tab, file_tab = st.tabs([says["paste"], says["from_file"]])
added: int | None = None
try:
    with paste_tab, st.form("paste", clear_on_submit=True):
        text = st.text_area(says["one_per_line"], height=160)
        category = st.text_input(says["category"], help=says["category_help"])
        if st.form_submit_button(says["add"]):
            added = add_prompts(store(), prompts_from_text(text, category), project_id)
    with file_tab, st.form("file", clear_on_submit=True):
        upload = st.file_uploader(says["file"], ["txt", "jsonl", "csv"])
        column_name = st.text_input(says["column"], "prompt")
        file_category = st.text_input(says["category"], help=says["file_category_help"], key="file-category")
        if st.form_submit_button(says["add"]) and upload is not None:
            with tempfile.TemporaryDirectory() as folder:
                copy = saved_upload(Path(folder), upload.name, upload.getvalue())
                prompts = read_prompts(copy, column=column_name, category=file_category, name=upload.name)
                added = add_prompts(store(), prompts, project_id)
except InputError as error:
    show_problem(error)
if added is not None:
    sample_if_needed(store(), project=project_id)
    st.toast(filled(says["added"], count=f"{added:,}") if added else says["none_added"])
    st.rerun()

newest = newest_prompts(store(), MOST_ROWS, project_id)
if newest:
    st.subheader(says["newest"])
    st.dataframe(
        [
            {
                "prompt": prompt.messages[-1].content,
                "category": prompt.category,
                "state": states[state],
                "turns": len(prompt.messages),
            }
            for prompt, state in newest
        ],
        hide_index=True,
        column_config={
            "prompt": st.column_config.TextColumn(says["prompt"], width="large"),
            "category": says["category"],
            "state": says["state"],
            "turns": says["turns"],
        },
    )
    if sum(counts.values()) > len(newest):
        st.caption(filled(says["newest_of"], shown=len(newest), count=f"{sum(counts.values()):,}"))
