"""Held-out rankings that a trained model contradicts, each with a link to the ranking itself."""

import streamlit as st

from label_data.assignment.own_rankings import own_task, ranking_with
from label_data.records import Ranking
from reward.report.comparison_rows import HeldOutSuspect, read_held_out_suspects
from workbench.jobs.runs import Run
from workbench.rendering import literal, visible
from workbench.web.session import known_annotator, sitting, store, words
from workbench.wording import filled

PAGE_SIZE = 10
"""Rankings on a page of the list."""
EXCERPT = 120
"""Characters of a prompt in the title of a ranking."""


def show_disagreements(run: Run) -> None:
    """List the held-out rankings that the model contradicts, the most confidently contradicted first."""
    says = words("disagreements")
    suspects = read_held_out_suspects(run.folder)
    if suspects is None:
        st.info(says["not_recorded"])
        return
    if not suspects:
        st.info(says["none"])
        return
    st.caption(says["intro"])
    pages = -(-len(suspects) // PAGE_SIZE)
    page = st.number_input(filled(says["page"], pages=pages), 1, pages, 1, width=160) if pages > 1 else 1
    start = (page - 1) * PAGE_SIZE
    for number, suspect in enumerate(suspects[start : start + PAGE_SIZE], start=start + 1):
        _show(suspect, number, expanded=number == start + 1)


def _show(suspect: HeldOutSuspect, number: int, expanded: bool) -> None:
    says = words("disagreements")
    prompt = " ".join(suspect.messages[-1]["content"].split())
    excerpt = prompt[:EXCERPT] + ("…" if len(prompt) > EXCERPT else "")
    title = filled(says["title"], number=number, share=f"{suspect.probability:.1%}", prompt=literal(excerpt))
    with st.expander(title, expanded=expanded):
        for message in suspect.messages:
            st.caption(says["roles"].get(message["role"], literal(message["role"])))
            st.code(visible(message["content"]), language=None, wrap_lines=True)
        sides = (
            ("chosen", suspect.chosen, suspect.reward_chosen),
            ("rejected", suspect.rejected, suspect.reward_rejected),
        )
        for column, (side, text, reward) in zip(st.columns(2), sides, strict=True):
            column.markdown(filled(says[side], annotator=literal(suspect.annotator), reward=f"{reward:+.3f}"))
            column.code(visible(text), language=None, wrap_lines=True)
        if st.button(says["open"], key=f"open-{suspect.submission}", icon=":material/open_in_new:"):
            _open(suspect)


def _open(suspect: HeldOutSuspect) -> None:
    """Go to the ranking on My work if the reader made it; otherwise show it here."""
    me = known_annotator()
    token = own_task(store(), suspect.submission, me.id) if me else None
    if token is not None:
        sitting().opened = token
        st.switch_page("app_pages/my_work.py")
    stored = ranking_with(store(), suspect.submission)
    says = words("disagreements")
    if stored is None:
        st.info(says["gone"])
        return
    group, ranking = stored
    texts = {completion.id: completion.text for completion in group.completions}
    st.caption(filled(says["record"], annotator=literal(ranking.annotator), submission=literal(ranking.submission)))
    st.dataframe(_rows(ranking, texts), hide_index=True, width="stretch")
    if ranking.reason:
        st.text(visible(ranking.reason))


def _rows(ranking: Ranking, texts: dict[str, str]) -> list[dict[str, str]]:
    """Return a table row per completion of the ranking, best first; completions that were not placed come last."""
    columns = words("disagreements")["columns"]
    placed = [(str(rank), id) for rank, tied in enumerate(ranking.order, start=1) for id in tied]
    placed_ids = {id for _, id in placed}
    unplaced = [("", id) for id in ranking.shown if id not in placed_ids]
    return [
        {
            columns["place"]: rank,
            columns["completion"]: visible(texts[id]),
            columns["flags"]: ", ".join(ranking.flags.get(id, ())),
        }
        for rank, id in placed + unplaced
    ]
