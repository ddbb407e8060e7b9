"""Take the data away."""

import tempfile
from pathlib import Path

import streamlit as st

from label_data.formats.rows_out import ENDINGS
from label_data.progress import store_counts
from label_data.records import InputError
from label_data.transfer import export_file
from workbench.languages import filled
from workbench.rendering import literal
from workbench.session import project, show_problem, store, words

says = words("data")

st.title(words("pages")["data"])
chosen = project().id
counts = store_counts(store(), chosen)
for column, name in zip(st.columns(3), ("prompts", "completions", "rankings"), strict=True):
    column.metric(says[name], f"{getattr(counts, name):,}", border=True)

st.subheader(says["export"])
kind = st.radio(says["format"], says["formats"], format_func=says["formats"].get)
suffix = st.segmented_control(says["file"], ENDINGS, default=ENDINGS[0], required=True)
if not counts.rankings:
    st.info(says["no_ranking"])
if st.button(says["prepare"], type="primary", disabled=not counts.prompts):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{kind}{suffix}")
        try:
            written = export_file(store(), path, kind, project=chosen)
        except InputError as error:
            show_problem(str(error).replace(f"{folder}/", ""))
        else:
            st.success(filled(says["rows"], count=f"{written.rows:,}"))
            for reason, times in written.left_out.most_common():
                st.caption(filled(says["left_out"], count=f"{times:,}", reason=literal(reason)))
            st.download_button(filled(says["download"], name=path.name), path.read_bytes(), path.name)

st.subheader(says["import"])
st.write(says["how_to_import"])
st.code("python -m label_data import FILE --format hh-rlhf", language=None)
