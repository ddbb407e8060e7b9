"""A prompt with all that belongs to it, as a page shows it: as it comes in a file, or with its whole history."""

import json
from collections.abc import Mapping

import streamlit as st

from label_data.oversight.browsing import History
from label_data.records import Completion, Group, Ranking
from workbench.rendering import literal
from workbench.web.session import when, words
from workbench.wording import filled


def show_group(group: Group) -> None:
    """Show a prompt, its completions and written answers; every text exactly as it was written."""
    says = words("record")
    for message in group.prompt.messages:
        st.caption(says["roles"][message.role])
        st.code(message.content, language=None, wrap_lines=True)
    for number, completion in enumerate(group.completions, start=1):
        st.caption(_about(number, completion))
        st.code(completion.text, language=None, wrap_lines=True)
    numbers = {completion.id: number for number, completion in enumerate(group.completions, start=1)}
    for written in group.demonstrations:
        edited = numbers.get(written.edited_from or "")
        st.caption(filled(says["edited"], number=edited) if edited else says["written"])
        st.code(written.text, language=None, wrap_lines=True)


def _about(number: int, completion: Completion) -> str:
    says = words("record")
    parts = [filled(says["completion"], number=number, policy=literal(completion.policy or says["no_policy"]))]
    parts += [literal(one) for one in (completion.policy_revision[:12], completion.finish_reason) if one]
    sampling = dict(completion.sampling) | ({} if completion.seed is None else {"seed": completion.seed})
    parts += [literal(f"{name} {value}") for name, value in sampling.items() if value not in ("", None)]
    return " · ".join(parts)


def judged(group: Group, names: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """Return the group's rankings as rows of a table: who said what, completions named by their number."""
    columns = words("record")["columns"]
    numbers = {completion.id: str(place) for place, completion in enumerate(group.completions, start=1)}
    return [
        {
            columns["annotator"]: (names or {}).get(one.annotator, one.annotator),
            columns["order"]: _order(one, numbers),
            columns["reason"]: one.reason,
        }
        for one in group.rankings
    ]


def _order(ranking: Ranking, numbers: Mapping[str, str]) -> str:
    """Return an order as "2 > 1 = 3", the strength of a step after its sign, or the outcome where there is none."""
    if not ranking.order:
        return words("my_work")["outcomes"][ranking.outcome]
    steps = [*(f" >{'' if step is None else step} " for step in ranking.strength)] or [" > "] * len(ranking.order)
    tied = [" = ".join(numbers[one] for one in group) for group in ranking.order]
    return "".join(group + step for group, step in zip(tied, [*steps[: len(tied) - 1], ""], strict=True))


def show_history(found: History) -> None:
    """Show the prompt and all that ever happened to it: who, when, and under which settings."""
    says = words("record")
    prompt, columns = found.group.prompt, says["columns"]
    about = {
        "state": words("prompts")["states"][found.state],
        "added": when(found.added),
        "category": literal(prompt.category or says["none"]),
        "source": literal(prompt.source or says["here"]),
        "licence": literal(prompt.licence or says["none"]),
    }
    st.caption(filled(says["about"], id=prompt.id, **about))
    show_group(found.group)
    st.markdown(filled(says["rankings"], count=len(found.group.rankings), written=len(found.group.demonstrations)))
    numbers = {one.id: str(place) for place, one in enumerate(found.group.completions, start=1)}
    revised = {one.revises for one in found.group.rankings}
    rows = []
    for one, row in zip(found.group.rankings, judged(found.group, found.names), strict=True):
        gone = found.withdrawn.get(one.submission)
        what = says["withdrawn"] if gone else says["revised"] if one.submission in revised else says["current"]
        rows.append(
            {columns["when"]: when(one.submitted or found.stored[one.submission])}
            | row
            | {
                columns["standing"]: f"{what} {when(gone)}".strip(),
                columns["settings"]: "" if one.project_revision is None else str(one.project_revision),
                columns["shown"]: " ".join(numbers[id] for id in one.shown),
                columns["flags"]: _each({id: ", ".join(flags) for id, flags in one.flags.items() if flags}, numbers),
                columns["ratings"]: _each({id: str(rating) for id, rating in one.ratings.items()}, numbers),
                columns["marks"]: "; ".join(
                    f"{numbers[span.completion]}: {span.start}–{span.end} {span.kind}" for span in one.spans
                ),
                columns["seconds"]: "" if one.seconds is None else f"{one.seconds:.1f}",
                columns["source"]: says["sources"][one.source],
                columns["purpose"]: says["purposes"][one.purpose] if one.purpose else "",
                columns["assisted"]: says["yes"] if one.assisted else "",
                columns["submission"]: one.submission,
            }
        )
    if rows:
        st.caption(says["rankings_help"])
        told = [name for name in rows[0] if any(row[name] for row in rows)]
        st.dataframe([{name: row[name] for name in told} for row in rows], hide_index=True, width="stretch")
    written = [
        {
            columns["when"]: when(one.written),
            columns["annotator"]: found.names[one.annotator],
            columns["answer"]: one.text,
            columns["settings"]: "" if one.project_revision is None else str(one.project_revision),
            columns["source"]: says["sources"][one.source],
            columns["submission"]: one.submission,
        }
        for one in found.group.demonstrations
    ]
    if written:
        st.dataframe(written, hide_index=True, width="stretch")
    if found.versions:
        sides = words("versions")["sides"]
        among = [
            filled(says["in_version"], name=literal(one.name), side=sides[one.side], when=when(one.made))
            for one in found.versions
        ]
        st.caption(filled(says["in_versions"], list=", ".join(among)))
    for (project, revision), under in found.revisions.items():
        title = {"project": literal(project), "revision": revision, "when": when(under.saved) or says["at_first"]}
        with st.expander(filled(says["under"], **title)):
            told = json.dumps(under.settings.as_dict(), indent=2, ensure_ascii=False)
            st.code(told, language=None, wrap_lines=True)


def _each(said: Mapping[str, str], numbers: Mapping[str, str]) -> str:
    return "; ".join(f"{numbers[completion]}: {one}" for completion, one in said.items())
