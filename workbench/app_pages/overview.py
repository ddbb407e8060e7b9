"""How far the work is, who is at it, what is stuck, and what the workers do: for whoever runs the project."""

from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256

import altair as alt
import pandas as pd
import streamlit as st

from label_data.assignment.leases import release_tasks
from label_data.oversight.overview import OpenTask, annotator_progress, open_tasks, project_progress, rankings_by_day
from label_data.store.jobs import FAILED, STOPPED, Job, ask_to_stop, newest_jobs
from label_data.store.samples import retry_failed
from label_data.store.workers import living_workers
from workbench.jobs.scheduling import retry_job, sample_if_needed
from workbench.logs import job_lines
from workbench.rendering import literal
from workbench.web.session import localised, project, store, when, words
from workbench.wording import filled

says = words("overview")
JOBS = 12
"""Newest jobs that are listed."""
DAYS = 30
SHOWN = "tasks shown"
"""Of the session: the key of the table of open tasks shown last, and their tokens, row by row."""
NAMED = 9
"""Annotators with a colour of their own in the plot, those with the most rankings; the rest share one."""


def show_projects() -> None:
    """Show how far every project is."""
    columns = says["project_columns"]
    rows = [
        {
            columns["name"]: one.project.name,
            columns["share"]: one.share,
            columns["counted"]: one.counted,
            columns["asked"]: one.requested,
            columns["waiting"]: one.waiting,
            columns["ready"]: one.ready,
            columns["ranked"]: one.ranked,
            columns["failed"]: one.failed,
            columns["open"]: one.open,
        }
        for one in every
    ]
    shown: dict[str, object] = {
        title: st.column_config.NumberColumn(title, format="localized")
        for name, title in columns.items()
        if name not in ("name", "share")
    }
    shown[columns["share"]] = st.column_config.ProgressColumn(
        columns["share"], format="percent", min_value=0, max_value=1
    )
    st.dataframe(rows, hide_index=True, column_config=shown, width="stretch")


def show_throughput() -> None:
    """Plot the rankings of each day, by annotator."""
    counts = rankings_by_day(store(), chosen, DAYS)
    st.subheader(says["by_day"])
    if not counts:
        st.info(says["no_ranking"])
        return
    total = sum(count.rankings for count in counts)
    st.caption(filled(says["by_day_help"], count=f"{total:,}", days=DAYS))
    by_name = Counter[str]()
    for one in counts:
        by_name[one.annotator] += one.rankings
    named = {name for name, _ in by_name.most_common(NAMED)} if len(by_name) > NAMED + 1 else set(by_name)
    frame = pd.DataFrame(
        {
            says["day"]: one.day,
            says["annotator"]: one.annotator if one.annotator in named else says["others"],
            says["rankings"]: one.rankings,
        }
        for one in counts
    )
    last = datetime.now(UTC).date()
    days = alt.Scale(domain=[(pd.Timestamp(last) - pd.Timedelta(days=DAYS - 1)).isoformat(), f"{last}T23:59:59"])
    st.altair_chart(
        alt.Chart(frame, height=240)
        .mark_bar(size=14)
        .encode(
            alt.X(f"{says['day']}:T", title=None, scale=days),
            alt.Y(f"sum({says['rankings']}):Q", title=says["rankings"], axis=alt.Axis(tickMinStep=1)),
            alt.Color(f"{says['annotator']}:N", legend=alt.Legend(title=None, orient="bottom", columns=6)),
            tooltip=list(frame.columns),
        ),
        width="stretch",
    )


def show_annotators() -> None:
    """Show who works on the project, and who does now."""
    found = annotator_progress(store(), chosen)
    at_work = sum(one.is_active for one in found)
    st.subheader(filled(says["annotators"], count=len(found), active=at_work))
    if not found:
        st.info(says["nobody"])
        return
    columns = says["annotator_columns"]
    rows = [
        {
            columns["name"]: one.name,
            columns["active"]: one.is_active,
            columns["seen"]: when(one.last_seen),
            columns["today"]: one.today,
            columns["ranked"]: one.ranked,
            columns["skipped"]: one.skipped,
            columns["withdrawn"]: one.withdrawn,
            columns["open"]: one.open,
        }
        for one in found
    ]
    st.dataframe(rows, hide_index=True, width="stretch")


def show_open_tasks() -> None:
    """Show what is with annotators and what is stuck, and free it."""
    found = open_tasks(store(), chosen)
    st.subheader(filled(says["tasks"], count=len(found)))
    if found:
        st.caption(says["tasks_help"])
        columns = says["task_columns"]
        rows = [
            {
                columns["annotator"]: task.name,
                columns["prompt"]: " ".join(task.prompt.split())[:200],
                columns["since"]: when(task.assigned),
                columns["until"]: when(task.expires),
                columns["draft"]: task.has_draft,
                columns["lapsed"]: task.has_expired,
            }
            for task in found
        ]
        tokens = [task.token for task in found]
        marked = _marked_before()
        key = f"tasks-{sha256(' '.join(tokens).encode()).hexdigest()}"
        picked = st.dataframe(
            rows,
            hide_index=True,
            width="stretch",
            on_select="rerun",
            selection_mode="multi-row",
            selection_default={"selection": {"rows": [at for at, token in enumerate(tokens) if token in marked]}},
            key=key,
        ).selection.rows
        st.session_state[SHOWN] = key, tokens
        wanted = [found[place] for place in picked]
        lapsed = [task for task in found if task.has_expired]
        left, right, _ = st.columns([2, 2, 3])
        _offer_to_free(left, "free_picked", wanted)
        _offer_to_free(right, "free_lapsed", lapsed)
    mine = next(one for one in every if one.project.id == chosen)
    if mine.often_skipped:
        st.warning(filled(says["often_skipped"], count=f"{mine.often_skipped:,}"))
    if mine.failed:
        st.warning(filled(says["failed"], count=f"{mine.failed:,}"))
        if st.button(says["sample_again"]):
            retry_failed(store(), chosen)
            sample_if_needed(store(), project=chosen)
            st.rerun()


def _marked_before() -> set[str]:
    """Return the tokens of the tasks that are marked in the table shown last: by now their rows may be others."""
    key, tokens = st.session_state.get(SHOWN, (SHOWN, []))
    rows = st.session_state[key].selection.rows if key in st.session_state else []
    return {tokens[row] for row in rows}


def _offer_to_free(place: object, label: str, tasks: list[OpenTask]) -> None:
    if place.button(filled(says[label], count=len(tasks)), key=label, disabled=not tasks, width="stretch"):
        freed = release_tasks(store(), [task.token for task in tasks])
        st.toast(filled(says["freed"], count=freed))
        st.rerun()


@st.fragment(run_every=3.0)
def show_jobs() -> None:
    """Show what workers do and did, with their logs; this part renews itself."""
    workers = living_workers(store())
    st.subheader(filled(says["jobs"], workers=len(workers)))
    if not workers:
        st.warning(filled(words("jobs")["no_worker"], command="`python -m workbench worker`"))
    jobs = newest_jobs(store(), JOBS, chosen)
    if not jobs:
        st.info(says["no_job"])
    for job in jobs:
        _show_job(job, {worker.id: worker.place for worker in workers})


def _show_job(job: Job, places: dict[str, str]) -> None:
    title = {"kind": says["kinds"][job.kind], "state": says["job_states"][job.state], "seconds": f"{job.seconds:,.0f}"}
    # With a key it stays open as the seconds in its label go on: to Streamlit another label is another element.
    with st.expander(filled(says["job"], **title), key=f"job-{job.id}", icon=ICONS.get(job.state)):
        st.markdown(localised(job.message))
        if not job.ended:
            st.progress(min(1.0, job.done / job.total) if job.total else 0.0)
            if st.button(words("jobs")["stop"], key=f"stop-{job.id}", disabled=job.stop_asked):
                ask_to_stop(store(), job.id)
        elif job.state in (FAILED, STOPPED) and st.button(says["retry"], key=f"retry-{job.id}"):
            retry_job(store(), job)
        if job.worker:
            st.caption(filled(says["worker"], place=literal(places.get(job.worker, says["worker_gone"]))))
        lines = job_lines(job.id, 40)
        if lines:
            st.code("\n".join(_line(line) for line in lines), language=None, wrap_lines=True)
        else:
            st.caption(says["no_log"])


def _line(line: dict[str, object]) -> str:
    frames = line.get("frames")
    error = f" {line['error']}" if "error" in line else ""
    told = "\n    ".join(["", *map(str, frames)]) if isinstance(frames, list) else ""
    return f"{line.get('time')} {line.get('level')} {line.get('event')}{error}{told}"


ICONS = {
    "queued": ":material/hourglass_empty:",
    "running": ":material/play_arrow:",
    "done": ":material/check:",
    "failed": ":material/error:",
    "stopped": ":material/stop:",
}

st.title(words("pages")["overview"])
chosen = project().id
every = project_progress(store())
show_projects()
show_throughput()
show_annotators()
show_open_tasks()
show_jobs()
