"""Show a prompt with everything that belongs to it, from a file or with its whole history."""

import json
from collections.abc import Mapping

import streamlit as st

from label_data.oversight.browsing import History
from label_data.records import Completion, Group, Ranking
from workbench.rendering import literal
from workbench.web.session import when, words
from workbench.wording import filled


def show_group(group: Group) -> None:
    """Show a prompt, its completions and written answers, every text exactly as it was written."""
    says = words("record")
    for message in group.prompt.messages:
        st.caption(says["roles"][message.role])
        st.code(message.content, language=None, wrap_lines=True)
    for number, completion in enumerate(group.completions, start=1):
        st.caption(_title(number, completion))
        st.code(completion.text, language=None, wrap_lines=True)
    numbers = {completion.id: number for number, completion in enumerate(group.completions, start=1)}
    for written in group.demonstrations:
        edited_from = numbers.get(written.edited_from or "")
        st.caption(filled(says["edited"], number=edited_from) if edited_from else says["written"])
        st.code(written.text, language=None, wrap_lines=True)


def _title(number: int, completion: Completion) -> str:
    says = words("record")
    parts = [filled(says["completion"], number=number, policy=literal(completion.policy or says["no_policy"]))]
    parts += [literal(text) for text in (completion.policy_revision[:12], completion.finish_reason) if text]
    sampling = dict(completion.sampling) | ({} if completion.seed is None else {"seed": completion.seed})
    parts += [literal(f"{name} {value}") for name, value in sampling.items() if value not in ("", None)]
    return " · ".join(parts)


def ranking_rows(group: Group, names: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """Return a table row per ranking of the group, completions named by their number.

    `names`: annotator -> the name to show.
    """
    columns = words("record")["columns"]
    numbers = {completion.id: str(number) for number, completion in enumerate(group.completions, start=1)}
    return [
        {
            columns["annotator"]: (names or {}).get(ranking.annotator, ranking.annotator),
            columns["ranking"]: _order(ranking, numbers),
            columns["reason"]: ranking.reason,
        }
        for ranking in group.rankings
    ]


def _order(ranking: Ranking, numbers: Mapping[str, str]) -> str:
    """Return an order such as "2 >1 1 = 3", with the strength after its sign; the outcome if there is no order."""
    if not ranking.order:
        return str(words("my_work")["outcomes"][ranking.outcome])
    tied_groups = [" = ".join(numbers[id] for id in tied) for tied in ranking.order]
    strengths = ranking.strength or (None,) * (len(tied_groups) - 1)
    text = tied_groups[0]
    for tied, strength in zip(tied_groups[1:], strengths, strict=False):
        text += f" >{'' if strength is None else strength} {tied}"
    return text


def show_history(history: History) -> None:
    """Show a prompt and everything that happened to it: who ranked it, when, and under which settings."""
    says = words("record")
    group = history.group
    about = {
        "state": words("prompts")["states"][history.state],
        "added": when(history.added),
        "category": literal(group.prompt.category or says["none"]),
        "source": literal(group.prompt.source or says["here"]),
        "licence": literal(group.prompt.licence or says["none"]),
    }
    st.caption(filled(says["about"], id=group.prompt.id, **about))
    show_group(group)
    st.markdown(filled(says["rankings"], count=len(group.rankings), written=len(group.demonstrations)))
    _show_rankings(history)
    _show_written_answers(history)
    if history.versions:
        sides = words("versions")["sides"]
        entries = [
            filled(says["in_version"], name=literal(entry.name), side=sides[entry.side], when=when(entry.made))
            for entry in history.versions
        ]
        st.caption(filled(says["in_versions"], list=", ".join(entries)))
    for (project, number), revision in history.revisions.items():
        saved = when(revision.saved) or says["at_first"]
        with st.expander(filled(says["under"], project=literal(project), revision=number, when=saved)):
            settings = json.dumps(revision.settings.as_dict(), indent=2, ensure_ascii=False)
            st.code(settings, language=None, wrap_lines=True)


def _show_rankings(history: History) -> None:
    """Show every ranking in a table, without the columns that are empty in all rows."""
    says = words("record")
    columns, group = says["columns"], history.group
    numbers = {completion.id: str(number) for number, completion in enumerate(group.completions, start=1)}
    superseded = {ranking.revises for ranking in group.rankings}
    rows = []
    for ranking, row in zip(group.rankings, ranking_rows(group, history.names), strict=True):
        withdrawn = history.withdrawn.get(ranking.submission)
        status = "withdrawn" if withdrawn else "revised" if ranking.submission in superseded else "current"
        flags = {id: ", ".join(names) for id, names in ranking.flags.items() if names}
        ratings = {id: str(rating) for id, rating in ranking.ratings.items()}
        marks = [f"{numbers[span.completion]}: {span.start}–{span.end} {span.kind}" for span in ranking.spans]
        rows.append(
            {columns["when"]: when(ranking.submitted or history.stored[ranking.submission])}
            | row
            | {
                columns["status"]: f"{says[status]} {when(withdrawn)}".strip(),
                columns["settings"]: "" if ranking.project_revision is None else str(ranking.project_revision),
                columns["shown"]: " ".join(numbers[id] for id in ranking.shown),
                columns["flags"]: _by_number(flags, numbers),
                columns["ratings"]: _by_number(ratings, numbers),
                columns["marks"]: "; ".join(marks),
                columns["seconds"]: "" if ranking.seconds is None else f"{ranking.seconds:.1f}",
                columns["source"]: says["sources"][ranking.source],
                columns["purpose"]: says["purposes"][ranking.purpose] if ranking.purpose else "",
                columns["assisted"]: says["yes"] if ranking.assisted else "",
                columns["submission"]: ranking.submission,
            }
        )
    if rows:
        st.caption(says["rankings_help"])
        filled_columns = [name for name in rows[0] if any(row[name] for row in rows)]
        st.dataframe([{name: row[name] for name in filled_columns} for row in rows], hide_index=True, width="stretch")


def _show_written_answers(history: History) -> None:
    says = words("record")
    columns = says["columns"]
    rows = [
        {
            columns["when"]: when(written.written),
            columns["annotator"]: history.names[written.annotator],
            columns["answer"]: written.text,
            columns["settings"]: "" if written.project_revision is None else str(written.project_revision),
            columns["source"]: says["sources"][written.source],
            columns["submission"]: written.submission,
        }
        for written in history.group.demonstrations
    ]
    if rows:
        st.dataframe(rows, hide_index=True, width="stretch")


def _by_number(texts: Mapping[str, str], numbers: Mapping[str, str]) -> str:
    """Return {completion id: text} as "1: text; 3: text"."""
    return "; ".join(f"{numbers[id]}: {text}" for id, text in texts.items())
