"""The starter prompts included with the workbench, so that a new store has something to rank."""

from pathlib import Path

import streamlit as st

from label_data.formats.prompts import read_prompts
from label_data.store.adding import add_prompts
from workbench.jobs.scheduling import start_sampling
from workbench.web.session import project, store, words

STARTER_PROMPTS = Path(__file__).with_name("starter_prompts.jsonl")


def offer_starter_prompts() -> None:
    """Offer to add the starter prompts to an empty project."""
    says = words("rank")
    st.subheader(says["no_prompts"])
    st.write(says["starter"])
    if st.button(says["add_starter"], type="primary"):
        add_prompts(store(), read_prompts(STARTER_PROMPTS), project().id)
        start_sampling(store(), project().id)
        st.rerun()
    st.page_link("app_pages/prompts.py", label=says["add_own"])
