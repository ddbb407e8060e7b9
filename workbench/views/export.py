"""Offer a file for download: its format, what the format leaves out, and the file."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import streamlit as st

from label_data.errors import InputError
from label_data.exchange.exporting import Exported
from label_data.exchange.known_formats import FILE_ENDINGS, LACKS, WITH_MARGIN
from label_data.formats import groups
from label_data.sentences import Sentence
from workbench.web.session import localised, show_problem, words
from workbench.wording import filled

Reason = TypeVar("Reason", Sentence, str)
FIRST_FORMATS = (groups.NAME, "trl", "spreadsheet")
"""The formats that are offered first; the others follow in their own order."""


def offer_export(write: Callable[[Path, str, bool], Exported], key: str, disabled: bool = False) -> None:
    """Offer the formats, prepare the file, and offer it for download.

    Args:
        write: writes the file, given its path, its format and whether to include margins.
        key: prefix of the keys of these elements.
        disabled: whether there is nothing to export.
    """
    says = words("export")
    others = [name for name in FILE_ENDINGS if name not in FIRST_FORMATS]
    formats = [name for name in FIRST_FORMATS if name in FILE_ENDINGS] + others
    format_: str = st.selectbox(
        says["format"], formats, format_func=lambda name: says["formats"][name], key=f"{key}-format"
    )
    st.caption(filled(says["lacks"], what=localised(LACKS[format_])) if format_ in LACKS else says["lacks_nothing"])
    endings = FILE_ENDINGS[format_]
    ending_key = f"{key}-{format_}-ending"
    suffix = st.segmented_control(says["file"], endings, default=endings[0], required=True, key=ending_key)
    margin = format_ in WITH_MARGIN and st.checkbox(says["margin"], help=says["margin_help"], key=f"{key}-margin")
    if not st.button(says["prepare"], type="primary", disabled=disabled, key=f"{key}-prepare"):
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{format_}{suffix}")
        try:
            with st.spinner(says["preparing"]):
                written = write(path, format_, margin)
        except InputError as error:
            show_problem(error, {f"{folder}/": ""})
            return
        st.success(filled(says["rows"], count=f"{written.rows:,}"))
        show_left_out(written.left_out)
        st.download_button(
            filled(says["download"], name=path.name), path.read_bytes(), path.name, on_click="ignore", key=f"{key}-file"
        )


def show_left_out(left_out: Mapping[Reason, int]) -> None:
    """Say what was left out and how often, most often first."""
    says = words("export")
    for reason, count in sorted(left_out.items(), key=lambda item: -item[1]):
        st.caption(filled(says["left_out"], count=f"{count:,}", reason=localised(reason)))
