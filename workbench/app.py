"""The frame: pages in the order of the work."""

import streamlit as st

st.set_page_config("Workbench", page_icon="⚖️", layout="wide")
st.html("<style>.stMainBlockContainer { padding: 2.5rem 2rem 2rem; }</style>")  # room for completions

PAGES = [
    st.Page("app_pages/prompts.py", title="Prompts", icon=":material/chat:"),
    st.Page("app_pages/rank.py", title="Rank", icon=":material/format_list_numbered:", default=True),
    st.Page("app_pages/my_work.py", title="My work", icon=":material/history:"),
    st.Page("app_pages/train.py", title="Reward model", icon=":material/model_training:"),
    st.Page("app_pages/score.py", title="Score", icon=":material/speed:"),
    st.Page("app_pages/data.py", title="Data", icon=":material/database:"),
    st.Page("app_pages/project.py", title="Project", icon=":material/tune:"),
]
st.navigation(PAGES).run()
