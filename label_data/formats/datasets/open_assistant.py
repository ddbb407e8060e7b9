"""Open-Assistant's message trees: at each question several replies, ranked by people.

{"message_tree_id": "t1", "tree_state": "ready_for_export",
 "prompt": {"message_id": "t1", "text": "Can pigs fly?", "role": "prompter", "lang": "en", "replies": [
   {"message_id": "m1", "text": "No.", "role": "assistant", "rank": 0, "replies": []},
   {"message_id": "m2", "text": "Yes.", "role": "assistant", "rank": 1, "replies": []}]}}

Each question with two replies or more is a group; what came before it in the tree is its conversation. Where the export
has events, each person's own order is kept (`ranked_message_ids`, best first; `not_rankable` is the outcome all_bad);
otherwise `rank`, which sums several up, and whose annotator says so. Deleted messages are left out with a count.

Source: Köpf et al. 2023, arXiv:2304.07327; https://github.com/LAION-AI/Open-Assistant, oasst-data
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row
from label_data.formats.pairs import count_unknown
from label_data.formats.verdicts import Verdict, by_rank, judged, read_judged
from label_data.records import Group, Message

NAME = "open-assistant"
OVERALL = "several people, summed up (Open-Assistant)"
ROLES = {"prompter": "user", "assistant": "assistant"}
ORDER_IS_GONE = "a person's order that holds fewer than two of the replies that are there"
KNOWN = ("message_tree_id", "tree_state", "prompt", "origin")
OF_MESSAGE = (
    *("message_id", "parent_id", "message_tree_id", "tree_state"),
    *("text", "role", "lang", "rank", "model_name", "replies", "deleted", "events"),
)
OF_RANKING = (
    *("type", "user_id", "ranking", "ranked_message_ids", "not_rankable"),
    *("ranking_parent_id", "message_tree_id"),
)


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    return "Open-Assistant trees" if {"message_tree_id", "prompt"} <= fields.keys() else ""


def read(path: Path, left_out: Counter[str] | None = None) -> Iterator[Group]:
    """Yield a group for each question of a tree; see `read_judged`."""
    return read_judged(path, left_out, KNOWN, _groups)


def _groups(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
    return _below(row.object("prompt"), (), source, left_out)


def _below(node: Row, before: tuple[Message, ...], source: str, left_out: Counter[str]) -> Iterator[Group]:
    """Yield the groups of this message and of all below it."""
    count_unknown(node, OF_MESSAGE, left_out, "a message")
    role = node.text("role")
    if role not in ROLES:
        node.refuse("role", repr(role[:60]), "Write prompter or assistant.")
    said = (*before, Message(ROLES[role], node.text("text")))
    replies = [reply for reply in node.inner("replies") if not reply.truth("deleted")]
    left_out["deleted message, with what follows it"] += len(node.items("replies")) - len(replies)
    if role == "prompter" and len(replies) > 1:
        answers = [(reply.text("text"), reply.text("model_name", "")) for reply in replies]
        yield from judged(said, answers, _verdicts(node, replies, left_out), left_out, source, node.text("lang", ""))
    for reply in replies:
        yield from _below(reply, said, source, left_out)


def _verdicts(node: Row, replies: list[Row], left_out: Counter[str]) -> Iterator[Verdict]:
    places = {reply.text("message_id"): place for place, reply in enumerate(replies)}
    events = node.object("events").inner("ranking")
    for event in events:
        order = [(places[one],) for one in event.texts("ranked_message_ids") if one in places]
        person = event.text("user_id", "") or OVERALL
        count_unknown(event, OF_RANKING, left_out, "a person's order")
        if event.truth("not_rankable"):
            yield Verdict(person, said={"outcome": "all_bad"})
        elif len(order) > 1:
            yield Verdict(person, order)
        else:
            left_out[ORDER_IS_GONE] += 1
    order = by_rank([reply.number("rank") for reply in replies])
    if not events and sum(map(len, order)) > 1:
        yield Verdict(OVERALL, order)
