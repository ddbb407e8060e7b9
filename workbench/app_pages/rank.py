"""Rank: order the completions of one prompt."""

from functools import partial

import streamlit as st

from label_data.assignment.tasks import next_tasks
from label_data.oversight.progress import item_counts, rankings_today
from label_data.store.projects import project_settings
from workbench.ranker.component import ranker
from workbench.rendering import literal
from workbench.views.job_panel import job_panel
from workbench.views.starter import offer_starter_prompts
from workbench.web.answers import take_answer
from workbench.web.session import annotator, forget_annotator, language, project, sitting, store, upcoming, words
from workbench.wording import filled

me = annotator()
project_id = project().id
settings, _ = project_settings(store(), project_id)
here = sitting()
tasks = upcoming("ranker", project_id) or next_tasks(store(), me.id, project_id)
today = rankings_today(store(), me.id)
ranker(  # without tasks it shows nothing, but still sends an answer that could not be sent before
    tasks,
    settings,
    annotator=me.id,
    project=project_id,
    saved=here.saved,
    problem=here.problem,
    today=today,
    language=language(),
    revealed=here.revealed if settings.reveal_policies else None,
    on_answer=partial(take_answer, "ranker", me, project_id, then_next=True),
)
if not tasks:
    says = words("rank")
    counts = item_counts(store(), project_id)
    if not sum(counts.values()):
        offer_starter_prompts()
    elif counts["waiting"]:
        st.info(filled(says["not_ready"], count=f"{counts['waiting']:,}"))
        job_panel("sample", project_id)
    else:
        st.success(filled(says["all_done"], count=f"{today:,}") if today else says["none_for_you"])
        st.page_link("app_pages/prompts.py", label=says["add_prompts"])
        st.page_link("app_pages/train.py", label=says["train"])

with st.sidebar:
    st.caption(filled(words("frame")["ranking_as"], name=literal(me.name)))
    st.button(words("frame")["switch"], on_click=forget_annotator, type="tertiary")
