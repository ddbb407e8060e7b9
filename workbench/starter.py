"""The prompts that come with the workbench, so that the first run has something to rank."""

from pathlib import Path

import streamlit as st

from label_data.formats.prompts import read_prompts
from label_data.store import add_prompts
from workbench.jobs import start_sampling
from workbench.session import store

STARTER_PROMPTS = Path(__file__).with_name("starter_prompts.jsonl")


def offer_starter_prompts() -> None:
    """Show what to do in an empty store, and add the starter prompts when asked."""
    st.subheader("Nothing to rank yet")
    st.write(
        "Start with sixty prompts that come along: everyday help, writing, reasoning, code, facts, requests to "
        "decline, Chinese, Japanese. A small language model on this machine answers them while you rank."
    )
    if st.button("Add the starter prompts", type="primary"):
        add_prompts(store(), read_prompts(STARTER_PROMPTS))
        start_sampling(store())
        st.rerun()
    st.page_link("app_pages/prompts.py", label="Or add prompts of your own")
