"""Store the answer that the ranking screen sent; the outcome goes back to the browser with the page's next run."""

import streamlit as st

from label_data.assignment.answers import submit, submit_then_next
from label_data.assignment.own_rankings import policies_shown
from label_data.errors import InputError
from label_data.store.annotators import Annotator
from label_data.store.projects import project_settings
from workbench.jobs.scheduling import retrain_if_due, sample_if_needed
from workbench.ranker.component import Problem, Revealed, answer_from
from workbench.web.session import Upcoming, language, sent, sitting, store, words
from workbench.wording import rendered_message


def take_answer(component: str, me: Annotator, project: str, then_next: bool = False) -> None:
    """Store the answer that the ranking screen with this key sent, or remember why it was refused.

    `then_next`: also lease the next tasks, which the page will show; see `workbench.web.session.upcoming`.
    """
    value, here = sent(component), sitting()
    try:
        answer = answer_from(value)
        if then_next:
            outcome, tasks = submit_then_next(store(), answer, me.id, project)
            here.upcoming = Upcoming(answer.submission, project, tasks)
        else:
            outcome = submit(store(), answer, me.id)
        if outcome == "ranked already":
            st.toast(words("rank")["ranked_already"], icon=":material/warning:", duration="long")
        here.saved, here.problem = answer.submission, None
        if project_settings(store(), project)[0].reveal_policies:
            here.revealed = Revealed(answer.submission, policies_shown(store(), answer.token, me.id))
    except InputError as error:
        here.problem = Problem(str(value.get("submission")), rendered_message(error, language()))
    sample_if_needed(store(), project=project)
    retrain_if_due(store(), project)
