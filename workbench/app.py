"""The frame around every page: navigation in the order of the work, and the language."""

import streamlit as st

from workbench.web.session import offer_languages, words

st.set_page_config("Workbench", page_icon="⚖️", layout="wide")
st.html("""<style>
  .stMainBlockContainer { padding: 2.5rem 2rem 2rem } /* room for completions */
  [data-testid=stHeader] { height: 2.5rem; min-height: 0 } /* as the padding above: taller hides the first line */
  [data-testid^=stBaseButton-primary] { color: light-dark(#fff, #10141c) } /* white is unreadable on dark blue */
  [data-testid=stCaptionContainer] { opacity: .8 } /* Streamlit's .6 gives a contrast below 4.5 */
</style>""")

ICONS = {
    "prompts": ":material/chat:",
    "rank": ":material/format_list_numbered:",
    "my_work": ":material/history:",
    "train": ":material/model_training:",
    "score": ":material/speed:",
    "data": ":material/database:",
    "versions": ":material/inventory_2:",
    "quality": ":material/query_stats:",
    "overview": ":material/monitoring:",
    "project": ":material/tune:",
}
offer_languages()
titles = words("pages")
pages = [
    st.Page(f"app_pages/{name}.py", title=titles[name], icon=icon, default=name == "rank")
    for name, icon in ICONS.items()
]
st.navigation(pages).run()
