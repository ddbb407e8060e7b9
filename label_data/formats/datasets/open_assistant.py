"""Open-Assistant's message trees: each question has several replies, ranked by people.

{"message_tree_id": "t1", "tree_state": "ready_for_export",
 "prompt": {"message_id": "t1", "text": "Can pigs fly?", "role": "prompter", "lang": "en", "replies": [
   {"message_id": "m1", "text": "No.", "role": "assistant", "rank": 0, "replies": []},
   {"message_id": "m2", "text": "Yes.", "role": "assistant", "rank": 1, "replies": []}]}}

Each question with two or more replies is a group; the messages above it in the tree are its conversation. If the export
has events, each annotator's own order is kept (`ranked_message_ids`, best first; `not_rankable` is the outcome
all_bad). Otherwise `rank` is kept, under an annotator whose name says that it sums up several. Deleted messages are
left out with a count.

Source: Köpf et al. 2023, arXiv:2304.07327; https://github.com/LAION-AI/Open-Assistant, oasst-data
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row
from label_data.formats.pairs import count_unknown
from label_data.formats.ranked_rows import A_MESSAGE, RowRanking, order_by_rank, ranked_group, read_groups
from label_data.records import Group, Message, Role
from label_data.sentences import Sentence, say

NAME = "open-assistant"
OVERALL = "several people, summed up (Open-Assistant)"
ROLES: dict[str, Role] = {"prompter": "user", "assistant": "assistant"}
ORDER_IS_GONE = say("label_data.datasets.order_is_gone")
DELETED = say("label_data.datasets.deleted_message")
A_RANKING = say("label_data.datasets.a_ranking")
KNOWN = ("message_tree_id", "tree_state", "prompt", "origin")
MESSAGE_FIELDS = (
    *("message_id", "parent_id", "message_tree_id", "tree_state"),
    *("text", "role", "lang", "rank", "model_name", "replies", "deleted", "events"),
)
RANKING_FIELDS = (
    *("type", "user_id", "ranking", "ranked_message_ids", "not_rankable"),
    *("ranking_parent_id", "message_tree_id"),
)


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if {"message_tree_id", "prompt"} <= fields.keys():
        return say("label_data.datasets.is_open_assistant")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield a group for each question of a tree; see `read_groups`."""
    return read_groups(path, left_out, KNOWN, _groups)


def _groups(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    return _below(row.object("prompt"), (), source, left_out)


def _below(node: Row, before: tuple[Message, ...], source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
    """Yield the groups of this message and of all messages below it."""
    count_unknown(node, MESSAGE_FIELDS, left_out, A_MESSAGE)
    role = node.text("role")
    if role not in ROLES:
        node.refuse("role", say("label_data.datasets.not_one_of", value=role[:60], values=", ".join(ROLES)))
    messages = (*before, Message(ROLES[role], node.text("text")))
    replies = [reply for reply in node.inner("replies") if not reply.truth("deleted")]
    left_out[DELETED] += len(node.items("replies")) - len(replies)
    if role == "prompter" and len(replies) > 1:
        completions = [(reply.text("text"), reply.text("model_name", "")) for reply in replies]
        rankings = _rankings(node, replies, left_out)
        yield from ranked_group(messages, completions, rankings, left_out, source, node.text("lang", ""))
    for reply in replies:
        yield from _below(reply, messages, source, left_out)


def _rankings(node: Row, replies: list[Row], left_out: Counter[Sentence]) -> Iterator[RowRanking]:
    places = {reply.text("message_id"): place for place, reply in enumerate(replies)}
    events = node.object("events").inner("ranking")
    for event in events:
        order = [(places[id],) for id in event.texts("ranked_message_ids") if id in places]
        annotator = event.text("user_id", "") or OVERALL
        count_unknown(event, RANKING_FIELDS, left_out, A_RANKING)
        if event.truth("not_rankable"):
            yield RowRanking(annotator, extra={"outcome": "all_bad"})
        elif len(order) > 1:
            yield RowRanking(annotator, order)
        else:
            left_out[ORDER_IS_GONE] += 1
    overall = order_by_rank([reply.number("rank") for reply in replies])
    if not events and sum(map(len, overall)) > 1:
        yield RowRanking(OVERALL, overall)
