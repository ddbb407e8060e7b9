"""A file to take away, as pages offer it: the format, what it can't carry, and the download."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from label_data.errors import InputError
from label_data.exchange.exporting import Exported
from label_data.exchange.known_formats import FILE_ENDINGS, LACKS, WITH_MARGIN
from label_data.formats import groups
from workbench.rendering import literal
from workbench.web.session import show_problem, words
from workbench.wording import filled

OFTEN = (groups.NAME, "trl", "spreadsheet")
"""Formats that are offered first; the others follow in their own order."""


def offer_export(write: Callable[[Path, str, bool], Exported], key: str, disabled: bool = False) -> None:
    """Let who is here choose a format, prepare the file, and download it.

    Args:
        write: given the file, its format and whether margins are asked for, writes it.
        key: of these elements on the page.
        disabled: is there nothing to prepare?
    """
    says = words("export")
    kinds = sorted(FILE_ENDINGS, key=lambda kind: OFTEN.index(kind) if kind in OFTEN else len(OFTEN))
    kind = st.selectbox(says["format"], kinds, format_func=lambda one: says["formats"][one], key=f"{key}-format")
    st.caption(filled(says["lacks"], what=says["lacking"][kind]) if kind in LACKS else says["lacks_nothing"])
    endings = FILE_ENDINGS[kind]
    suffix = st.segmented_control(says["file"], endings, default=endings[0], required=True, key=f"{key}-{kind}-ending")
    margin = kind in WITH_MARGIN and st.checkbox(says["margin"], help=says["margin_help"], key=f"{key}-margin")
    if not st.button(says["prepare"], type="primary", disabled=disabled, key=f"{key}-prepare"):
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{kind}{suffix}")
        try:
            with st.spinner(says["preparing"]):
                written = write(path, kind, margin)
        except InputError as error:
            show_problem(str(error).replace(f"{folder}/", ""))
            return
        st.success(filled(says["rows"], count=f"{written.rows:,}"))
        show_left_out(written.left_out)
        st.download_button(
            filled(says["download"], name=path.name), path.read_bytes(), path.name, on_click="ignore", key=f"{key}-file"
        )


def show_left_out(left_out: dict[str, int]) -> None:
    """Say what is not there and how often, most often first."""
    says = words("export")
    for reason, times in sorted(left_out.items(), key=lambda one: -one[1]):
        st.caption(filled(says["left_out"], count=f"{times:,}", reason=literal(reason)))
