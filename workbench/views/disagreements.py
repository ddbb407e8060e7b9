"""The rankings that a model contradicts most surely, each with a way to the ranking itself."""

import streamlit as st

from label_data.assignment.own_rankings import own_task, ranking_with
from label_data.records import Ranking
from reward.report.comparison_rows import HeldOutSuspect, read_held_out_suspects
from workbench.jobs.runs import Run
from workbench.rendering import literal, visible
from workbench.web.session import known_annotator, sitting, store, words
from workbench.wording import filled

AT_ONCE = 10
PREVIEW = 120
"""Characters of a prompt in the title of a disagreement."""


def show_disagreements(run: Run) -> None:
    """List the held-out rankings that the model contradicts, the most surely contradicted first."""
    says = words("disagreements")
    found = read_held_out_suspects(run.folder)
    if found is None:
        st.info(says["not_kept"])
        return
    if not found:
        st.info(says["none"])
        return
    st.caption(says["intro"])
    pages = -(-len(found) // AT_ONCE)
    page = st.number_input(filled(says["page"], pages=pages), 1, pages, 1, width=160) if pages > 1 else 1
    start = (page - 1) * AT_ONCE
    for place, one in enumerate(found[start : start + AT_ONCE], start=start + 1):
        _show(one, place, expanded=place == start + 1)


def _show(one: HeldOutSuspect, place: int, expanded: bool) -> None:
    says = words("disagreements")
    asked = " ".join(one.messages[-1]["content"].split())
    short = asked[:PREVIEW] + ("…" if len(asked) > PREVIEW else "")
    title = filled(says["title"], place=place, share=f"{one.probability:.1%}", prompt=literal(short))
    with st.expander(title, expanded=expanded):
        for message in one.messages:
            st.caption(says["roles"].get(message["role"], literal(message["role"])))
            st.code(visible(message["content"]), language=None, wrap_lines=True)
        sides = zip(
            st.columns(2),
            ("chosen", "rejected"),
            (one.chosen, one.rejected),
            (one.reward_chosen, one.reward_rejected),
            strict=True,
        )
        for column, side, text, reward in sides:
            column.markdown(filled(says[side], annotator=literal(one.annotator), reward=f"{reward:+.3f}"))
            column.code(visible(text), language=None, wrap_lines=True)
        if st.button(says["open"], key=f"open-{one.submission}", icon=":material/open_in_new:"):
            _open(one)


def _open(one: HeldOutSuspect) -> None:
    """Go to the ranking on My work if it is of who is here; else show its record."""
    me = known_annotator()
    token = own_task(store(), one.submission, me.id) if me else None
    if token is not None:
        sitting().opened = token
        st.switch_page("app_pages/my_work.py")
    found = ranking_with(store(), one.submission)
    says = words("disagreements")
    if found is None:
        st.info(says["gone"])
        return
    group, ranking = found
    texts = {completion.id: completion.text for completion in group.completions}
    st.caption(filled(says["record"], annotator=literal(ranking.annotator), submission=literal(ranking.submission)))
    st.dataframe(_rows(ranking, texts), hide_index=True, width="stretch")
    if ranking.reason:
        st.text(visible(ranking.reason))


def _rows(ranking: Ranking, texts: dict[str, str]) -> list[dict[str, str]]:
    """Return a row for each completion of the ranking, best first, those not placed last."""
    columns = words("disagreements")["columns"]
    placed = [(str(place), id) for place, tied in enumerate(ranking.order, start=1) for id in tied]
    known = {id for _, id in placed}
    unplaced = [("", id) for id in ranking.shown if id not in known]
    return [
        {
            columns["place"]: place,
            columns["completion"]: visible(texts[id]),
            columns["flags"]: ", ".join(ranking.flags.get(id, ())),
        }
        for place, id in placed + unplaced
    ]
