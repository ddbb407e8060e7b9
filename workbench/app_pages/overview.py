"""Overview for the person who runs a project: progress, annotators, stuck prompts, and the workers' jobs."""

from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256

import altair as alt
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

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
MOST_JOBS = 12
"""How many of the newest jobs are listed."""
MOST_LINES = 40
"""How many lines of a job's log are shown."""
DAYS = 30
EXCERPT = 200
"""Characters of a prompt in the table of open tasks."""
LAST_TABLE = "last table of tasks"
"""Key of the session state: the key of the table of open tasks shown last, and its tokens, row by row."""
MOST_COLOURS = 9
"""How many annotators have their own colour in the plot, those with the most rankings; the others share one."""


def show_projects() -> None:
    """Show the progress of every project."""
    columns = says["project_columns"]
    rows = [
        {
            columns["name"]: each.project.name,
            columns["progress"]: each.share,
            columns["rankings"]: each.counted,
            columns["target"]: each.requested,
            columns["waiting"]: each.waiting,
            columns["ready"]: each.ready,
            columns["ranked"]: each.ranked,
            columns["failed"]: each.failed,
            columns["open"]: each.open,
        }
        for each in all_progress
    ]
    config = {
        title: st.column_config.NumberColumn(title, format="localized")
        for name, title in columns.items()
        if name not in ("name", "progress")
    }
    title = columns["progress"]
    config[title] = st.column_config.ProgressColumn(title, format="percent", min_value=0, max_value=1)
    st.dataframe(rows, hide_index=True, column_config=config, width="stretch")


def show_rankings_by_day() -> None:
    """Plot the number of rankings per day and annotator."""
    counts = rankings_by_day(store(), project_id, DAYS)
    st.subheader(says["by_day"])
    if not counts:
        st.info(says["no_ranking"])
        return
    total = sum(count.rankings for count in counts)
    st.caption(filled(says["by_day_help"], count=f"{total:,}", days=DAYS))
    by_name = Counter[str]()
    for count in counts:
        by_name[count.annotator] += count.rankings
    most_active = by_name if len(by_name) <= MOST_COLOURS + 1 else dict(by_name.most_common(MOST_COLOURS))
    frame = pd.DataFrame(
        {
            says["day"]: count.day,
            says["annotator"]: count.annotator if count.annotator in most_active else says["others"],
            says["rankings"]: count.rankings,
        }
        for count in counts
    )
    today = datetime.now(UTC).date()
    first = pd.Timestamp(today) - pd.Timedelta(days=DAYS - 1)
    days = alt.Scale(domain=[first.isoformat(), f"{today}T23:59:59"])
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
    """Show what each annotator has done for the project, and who is active."""
    annotators = annotator_progress(store(), project_id)
    active = sum(annotator.is_active for annotator in annotators)
    st.subheader(filled(says["annotators"], count=len(annotators), active=active))
    if not annotators:
        st.info(says["nobody"])
        return
    columns = says["annotator_columns"]
    rows = [
        {
            columns["name"]: annotator.name,
            columns["active"]: annotator.is_active,
            columns["last_seen"]: when(annotator.last_seen),
            columns["today"]: annotator.today,
            columns["ranked"]: annotator.ranked,
            columns["skipped"]: annotator.skipped,
            columns["withdrawn"]: annotator.withdrawn,
            columns["open"]: annotator.open,
        }
        for annotator in annotators
    ]
    st.dataframe(rows, hide_index=True, width="stretch")


def show_open_tasks() -> None:
    """Show the open tasks and what is stuck; offer to release tasks and to resample prompts."""
    tasks = open_tasks(store(), project_id)
    st.subheader(filled(says["tasks"], count=len(tasks)))
    if tasks:
        st.caption(says["tasks_help"])
        columns = says["task_columns"]
        rows = [
            {
                columns["annotator"]: task.name,
                columns["prompt"]: " ".join(task.prompt.split())[:EXCERPT],
                columns["assigned"]: when(task.assigned),
                columns["expires"]: when(task.expires),
                columns["draft"]: task.has_draft,
                columns["expired"]: task.has_expired,
            }
            for task in tasks
        ]
        tokens = [task.token for task in tasks]
        selected_before = _selected_tokens()
        key = f"tasks-{sha256(' '.join(tokens).encode()).hexdigest()}"
        selected_rows = st.dataframe(
            rows,
            hide_index=True,
            width="stretch",
            on_select="rerun",
            selection_mode="multi-row",
            selection_default={
                "selection": {"rows": [row for row, token in enumerate(tokens) if token in selected_before]}
            },
            key=key,
        ).selection.rows
        st.session_state[LAST_TABLE] = key, tokens
        left, right, _ = st.columns([2, 2, 3])
        _offer_release(left, "release_selected", [tasks[row] for row in selected_rows])
        _offer_release(right, "release_expired", [task for task in tasks if task.has_expired])
    progress = next(each for each in all_progress if each.project.id == project_id)
    if progress.often_skipped:
        st.warning(filled(says["often_skipped"], count=f"{progress.often_skipped:,}"))
    if progress.failed:
        st.warning(filled(says["failed"], count=f"{progress.failed:,}"))
        if st.button(says["resample"]):
            retry_failed(store(), project_id)
            sample_if_needed(store(), project=project_id)
            st.rerun()


def _selected_tokens() -> set[str]:
    """Return the tokens of the tasks selected in the table shown last; their rows may have moved since."""
    key, tokens = st.session_state.get(LAST_TABLE, (LAST_TABLE, []))
    rows = st.session_state[key].selection.rows if key in st.session_state else []
    return {tokens[row] for row in rows}


def _offer_release(column: DeltaGenerator, label: str, tasks: list[OpenTask]) -> None:
    if column.button(filled(says[label], count=len(tasks)), key=label, disabled=not tasks, width="stretch"):
        released = release_tasks(store(), [task.token for task in tasks])
        st.toast(filled(says["released"], count=released))
        st.rerun()


@st.fragment(run_every=3.0)
def show_jobs() -> None:
    """Show the newest jobs with their logs. Refreshes itself."""
    workers = living_workers(store())
    st.subheader(filled(says["jobs"], workers=len(workers)))
    if not workers:
        st.warning(filled(words("jobs")["no_worker"], command="`python -m workbench worker`"))
    jobs = newest_jobs(store(), MOST_JOBS, project_id)
    if not jobs:
        st.info(says["no_jobs"])
    for job in jobs:
        _show_job(job, {worker.id: worker.place for worker in workers})


def _show_job(job: Job, places: dict[str, str]) -> None:
    title = {"kind": says["kinds"][job.kind], "state": says["job_states"][job.state], "seconds": f"{job.seconds:,.0f}"}
    # The key keeps the expander open while the seconds in its label change: a new label would be a new element.
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
        lines = job_lines(job.id, MOST_LINES)
        if lines:
            st.code("\n".join(_log_text(line) for line in lines), language=None, wrap_lines=True)
        else:
            st.caption(says["no_log"])


def _log_text(line: dict[str, object]) -> str:
    """Return a line of the log as text, with the frames of an error below it."""
    error = f" {line['error']}" if "error" in line else ""
    frames = line.get("frames")
    frame_lines = [f"\n    {frame}" for frame in frames] if isinstance(frames, list) else []
    return f"{line.get('time')} {line.get('level')} {line.get('event')}{error}{''.join(frame_lines)}"


ICONS = {
    "queued": ":material/hourglass_empty:",
    "running": ":material/play_arrow:",
    "done": ":material/check:",
    "failed": ":material/error:",
    "stopped": ":material/stop:",
}

st.title(words("pages")["overview"])
project_id = project().id
all_progress = project_progress(store())
show_projects()
show_rankings_by_day()
show_annotators()
show_open_tasks()
show_jobs()
