"""Add prompts, and see how far their sampling is."""

import tempfile
from pathlib import Path

import streamlit as st

from label_data.formats.prompts import prompts_from_text, read_prompts
from label_data.records import InputError
from label_data.store import add_prompts, item_counts, newest_prompts, retry_failed
from label_data.transfer import saved_upload
from workbench.job_panel import job_panel
from workbench.jobs import keep_up, sampling_is_stopped, start_sampling
from workbench.session import store
from workbench.starter import offer_starter_prompts

STATES = {"waiting": "To be sampled", "ready": "Ready to rank", "ranked": "Ranked", "failed": "Nothing to rank"}

st.title("Prompts")
counts = item_counts(store())
for column, (state, label) in zip(st.columns(len(STATES)), STATES.items(), strict=True):
    column.metric(label, f"{counts[state]:,}", border=True)

job_panel("sample")
if sampling_is_stopped(store()) and counts["waiting"] and st.button("Start sampling"):
    start_sampling(store())
    st.rerun()
if counts["failed"] and st.button(f"Sample the {counts['failed']} whose completions were all alike again"):
    retry_failed(store())
    keep_up(store())
    st.rerun()

if not sum(counts.values()):
    offer_starter_prompts()

paste, file = st.tabs(["Paste", "From a file"])
added: int | None = None
try:
    with paste, st.form("paste", clear_on_submit=True):
        text = st.text_area("Prompts, one a line", height=160)
        category = st.text_input("Category", help="Optional; kept with each prompt.")
        if st.form_submit_button("Add"):
            added = add_prompts(store(), prompts_from_text(text, category))
    with file, st.form("file", clear_on_submit=True):
        upload = st.file_uploader("Text (one a line), JSONL (prompt or messages) or CSV", ["txt", "jsonl", "csv"])
        column_name = st.text_input("CSV column that holds the prompt", "prompt")
        file_category = st.text_input("Category", help="Used where the file names none.", key="file-category")
        if st.form_submit_button("Add") and upload is not None:
            with tempfile.TemporaryDirectory() as folder:
                copy = saved_upload(Path(folder), upload.name, upload.getvalue())
                added = add_prompts(
                    store(), read_prompts(copy, column=column_name, category=file_category, name=upload.name)
                )
except InputError as error:
    st.error(str(error))
if added is not None:
    keep_up(store())
    st.toast(f"{added:,} new prompts added." if added else "Those prompts were there already.")
    st.rerun()

newest = newest_prompts(store(), limit=200)
if newest:
    st.subheader("Newest first")
    st.dataframe(
        [
            {
                "prompt": prompt.messages[-1].content,
                "category": prompt.category,
                "state": STATES[state],
                "turns": len(prompt.messages),
            }
            for prompt, state in newest
        ],
        hide_index=True,
        column_config={"prompt": st.column_config.TextColumn("Prompt", width="large")},
    )
    if sum(counts.values()) > len(newest):
        st.caption(f"The newest {len(newest)} of {sum(counts.values()):,}.")
