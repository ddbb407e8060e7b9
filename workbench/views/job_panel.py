"""Show a job: its progress, a button to stop it, and how it ended."""

import streamlit as st

from label_data.store.jobs import FAILED, STOPPED, Job, ask_to_stop, job_with_id, latest_job
from workbench.jobs.scheduling import worker_is_alive
from workbench.web.session import localised, show_problem, store, words
from workbench.wording import filled

EVERY_SECOND = 1.0


def job_panel(kind: str, project: str | None = None) -> Job | None:
    """Show the newest job of the kind, of the project if given, and return it. Refreshes itself while the job runs."""
    job = latest_job(store(), kind, project)
    if job is None:
        return None
    if not job.ended:
        _watch(job.id)
    elif job.state == FAILED:
        show_problem(job.message)
    elif job.state == STOPPED:
        st.info(localised(job.message))
    return job


@st.fragment(run_every=EVERY_SECOND)
def _watch(job_id: str) -> None:
    job = job_with_id(store(), job_id)
    if job is None or job.ended:
        st.rerun()
    says = words("jobs")
    bar, stop = st.columns([6, 1], vertical_alignment="center")
    bar.progress(min(1.0, job.done / job.total) if job.total else 0.0, text=localised(job.message))
    if stop.button(says["stop"], key=f"stop-{job_id}", disabled=job.stop_asked, width="stretch"):
        ask_to_stop(store(), job_id)
    if not worker_is_alive(store()):
        st.warning(filled(says["no_worker"], command="`python -m workbench worker`"))
