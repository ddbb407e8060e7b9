"""Argilla's records with a ranking question, nested or flattened.

{"id": "r1", "fields": {"prompt": "Can pigs fly?", "reply-1": "No.", "reply-2": "Yes."}, "metadata": {},
 "responses": {"order": [{"user_id": "u1", "status": "submitted",
                          "value": [{"value": "reply-1", "rank": 1}, {"value": "reply-2", "rank": 2}]}]}}
{"prompt": "Can pigs fly?", "reply-1": "No.", "reply-2": "Yes.", "order.responses.users": ["u1"],
 "order.responses": [[{"value": "reply-1", "rank": 1}, {"value": "reply-2", "rank": 1}]],
 "order.responses.status": ["submitted"]}

Equal ranks are a tie. A ranking names options. By convention the field of the same name holds an option's text, unless
it is mapped: {"reply-1": "response_a"}. "prompt" can be mapped too, and so can "ranking" if there are several ranking
questions. Discarded responses are the outcome skipped. Drafts are left out with a count, and so are records that nobody
has ranked. Argilla 2.8.0 writes no status in the nested form, so drafts and discarded responses look submitted there:
each response is counted, and the flattened form has the status.

Source: https://docs.argilla.io, Record.to_dict and Dataset.records.to_list(flatten=True), and files of argilla 2.8.0
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row, listed
from label_data.formats.pairs import count_unknown
from label_data.formats.ranked_rows import RowRanking, messages_of, order_by_rank, ranked_group, read_groups
from label_data.records import Group
from label_data.sentences import Sentence, say

NAME = "argilla"
RESPONSES = ".responses"
COLUMNS = {"value": "", "user_id": ".users", "status": ".status"}
"""Field of a nested response -> what follows ".responses" in the flattened form."""
DRAFT = say("label_data.formats.draft")
NOT_RANKED = say("label_data.formats.record_not_ranked")
NO_STATUS = say("label_data.formats.no_status")


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if {"fields", "responses"} <= fields.keys():
        return say("label_data.formats.is_argilla_nested")
    if any(name.endswith(RESPONSES) for name in fields):
        return say("label_data.formats.is_argilla_flat")
    return None


def read(
    path: Path, left_out: Counter[Sentence] | None = None, names: Mapping[str, str] | None = None
) -> Iterator[Group]:
    """Yield one group a record; `names` maps options, "prompt" and "ranking" to the file's names. See `read_groups`."""
    mapped = dict(names or {})
    prompt_field = mapped.get("prompt", "prompt")

    def groups_of(row: Row, source: str, left_out: Counter[Sentence]) -> Iterator[Group]:
        nested = "fields" in row.fields
        fields = row.object("fields") if nested else row
        question_responses = _responses(row, mapped.get("ranking"))
        if question_responses is None:
            left_out[NOT_RANKED] += 1
            return iter(())
        question, responses = question_responses
        options = sorted({option.text("value") for response in responses for option in response.inner("value")})
        messages = messages_of(fields, prompt_field, left_out)
        option_fields = [mapped.get(option, option) for option in options]
        completions = [(fields.text(name), "") for name in option_fields]
        flat = [question + RESPONSES + part for part in COLUMNS.values()]
        count_unknown(fields, (prompt_field, *option_fields, *flat, "id", "status", "_server_id"), left_out)
        if nested:
            count_unknown(row, ("fields", "responses", "id", "status", "_server_id"), left_out)
        rankings = []
        for response in responses:
            status = response.text("status", "submitted")
            if nested and "status" not in response.fields:
                left_out[NO_STATUS] += 1
            ranks = {option.text("value"): option.required_number("rank") for option in response.inner("value")}
            if status == "draft":
                left_out[DRAFT] += 1
            elif status == "discarded":
                rankings.append(RowRanking(response.text("user_id"), extra={"outcome": "skipped"}))
            else:
                order = order_by_rank([ranks.get(option) for option in options])
                rankings.append(RowRanking(response.text("user_id"), order))
        return ranked_group(messages, completions, rankings, left_out, source)

    return read_groups(path, left_out, None, groups_of)


def _responses(row: Row, question: str | None) -> tuple[str, list[Row]] | None:
    """Return the ranking question and its responses, as rows with user_id, status and value; None without responses."""
    if "responses" in row.fields:
        nested = row.object("responses")
        by_question = {name: nested.inner(name) for name in nested.fields}
    else:
        names = [name.removesuffix(RESPONSES) for name in row.fields if name.endswith(RESPONSES)]
        by_question = {name: _flattened(row, name) for name in names}
    rankings = [
        name
        for name, responses in by_question.items()
        if any(_is_ranking(response.fields.get("value")) for response in responses)
    ]
    if not rankings:
        return None
    if question is not None:
        rankings = [question] if question in by_question else []
    if len(rankings) != 1:
        problem = say("label_data.formats.ranking_questions", count=len(rankings), names=listed(by_question))
        row.refuse("responses", problem)
    return (rankings[0], by_question[rankings[0]]) if by_question[rankings[0]] else None


def _is_ranking(value: object) -> bool:
    """Return whether this is a ranking, not the list of another question, of several labels or of spans."""
    return isinstance(value, list) and any(isinstance(element, dict) and "rank" in element for element in value)


def _flattened(row: Row, name: str) -> list[Row]:
    parts = zip_longest(*(row.items(name + RESPONSES + part) for part in COLUMNS.values()))
    return [
        Row(row.where, dict(zip(COLUMNS, part, strict=True)), f"{row.within}{name}{RESPONSES}[{place}].")
        for place, part in enumerate(parts, start=1)
    ]
