"""Take the data away."""

import tempfile
from pathlib import Path

import streamlit as st

from label_data.formats.rows_out import ENDINGS
from label_data.progress import store_counts
from label_data.records import InputError
from label_data.transfer import export_file
from workbench.session import store

WHAT = {
    "groups": "groups: one line a prompt, with its completions and rankings; nothing is lost",
    "trl": "trl: one line a comparison, as TRL's RewardTrainer and DPOTrainer take them",
}

st.title("Data")
counts = store_counts(store())
for column, name in zip(st.columns(3), ("prompts", "completions", "rankings"), strict=True):
    column.metric(name.capitalize(), f"{getattr(counts, name):,}", border=True)

st.subheader("Export")
kind = st.radio("Format", WHAT, format_func=WHAT.get)
suffix = st.segmented_control("File", ENDINGS, default=ENDINGS[0], required=True)
if not counts.rankings:
    st.info("There is no ranking yet. Rank some prompts first; groups can be exported without.")
if st.button("Prepare the file", type="primary", disabled=not counts.prompts):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{kind}{suffix}")
        try:
            written = export_file(store(), path, kind)
        except InputError as error:
            st.error(str(error).replace(f"{folder}/", ""))
        else:
            st.success(f"{written.rows:,} rows.")
            for reason, times in written.left_out.most_common():
                st.caption(f"Not in the file: {times:,} × {reason}.")
            st.download_button(f"Download {path.name}", path.read_bytes(), path.name)

st.subheader("Import")
st.write("Preference data from elsewhere comes in on the command line, all of a file or none of it:")
st.code("python -m label_data import FILE --format hh-rlhf", language="bash")
