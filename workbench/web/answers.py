"""What the browser sends from a ranking screen, stored; what became of it goes back with the page's next run."""

import streamlit as st

from label_data.assignment.answers import submit, submit_then_next
from label_data.assignment.own_rankings import policies_shown
from label_data.errors import InputError
from label_data.store.annotators import Annotator
from label_data.store.projects import project_settings
from workbench.jobs.asking import keep_up, retrain
from workbench.ranker.component import Problem, Revealed, answer_from
from workbench.web.session import Upcoming, language, sent, sitting, store, words
from workbench.wording import rendered_message


def take_answer(component: str, me: Annotator, project: str, then_next: bool = False) -> None:
    """Store what the page's ranking screen of this key sent, or remember why it was refused.

    `then_next`: the page shows the next tasks, so they are leased with it; see `workbench.web.session.upcoming`.
    """
    value, here = sent(component), sitting()
    try:
        answer = answer_from(value)
        if then_next:
            stored, tasks = submit_then_next(store(), answer, me.id, project)
            here.upcoming = Upcoming(answer.submission, project, tasks)
        else:
            stored = submit(store(), answer, me.id)
        if stored == "ranked already":
            st.toast(words("rank")["ranked_already"], icon=":material/warning:", duration="long")
        here.saved, here.problem = answer.submission, None
        if project_settings(store(), project)[0].reveal_policies:
            here.revealed = Revealed(answer.submission, policies_shown(store(), answer.token, me.id))
    except InputError as error:
        here.problem = Problem(str(value.get("submission")), rendered_message(error, language()))
    keep_up(store(), project=project)
    retrain(store(), project)
