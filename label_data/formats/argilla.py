"""Argilla's records with a ranking question, nested or flattened.

{"id": "r1", "fields": {"prompt": "Can pigs fly?", "reply-1": "No.", "reply-2": "Yes."}, "metadata": {},
 "responses": {"order": [{"user_id": "u1", "status": "submitted",
                          "value": [{"value": "reply-1", "rank": 1}, {"value": "reply-2", "rank": 2}]}]}}
{"prompt": "Can pigs fly?", "reply-1": "No.", "reply-2": "Yes.", "order.responses.users": ["u1"],
 "order.responses": [[{"value": "reply-1", "rank": 1}, {"value": "reply-2", "rank": 1}]],
 "order.responses.status": ["submitted"]}

Equal ranks are a tie. A ranking names options, and only convention says which field holds an option's text: the one of
the same name, unless it is mapped, {"reply-1": "response_a"}; so are "prompt", and "ranking" where there are several
questions of that kind. Discarded responses are the outcome skipped; drafts are left out with a count, and so is a
record that nobody has ranked yet. Argilla 2.8.0 writes no status into the nested form, where drafts and discarded
responses look like submitted ones: each is counted, and the flattened form tells them apart.

Source: https://docs.argilla.io, Record.to_dict and Dataset.records.to_list(flatten=True), and what argilla 2.8.0 wrote
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from label_data.files.rows_in import Row, listed
from label_data.formats.pairs import count_unknown
from label_data.formats.verdicts import Verdict, by_rank, judged, messages_of, number_of, read_judged
from label_data.records import Group

NAME = "argilla"
RESPONSES = ".responses"
COLUMNS = {"value": "", "user_id": ".users", "status": ".status"}
"""Field of a nested response -> what stands after ".responses" in the flattened form."""
DRAFT = "draft of a ranking"
NOT_RANKED = "record without a ranking"
NO_STATUS = "status of a response, which Argilla's nested form does not say: it is taken for submitted"


def says(fields: Mapping[str, Any]) -> str:
    """Say what a file is whose first row has these fields, or nothing if it is none of this format."""
    if {"fields", "responses"} <= fields.keys():
        return "Argilla records, nested"
    return "Argilla records, flattened" if any(name.endswith(RESPONSES) for name in fields) else ""


def read(path: Path, left_out: Counter[str] | None = None, names: Mapping[str, str] | None = None) -> Iterator[Group]:
    """Yield a group a record; `names` maps options, "prompt" and "ranking" to the file's names. See `read_judged`."""
    mapped = dict(names or {})

    def groups_of(row: Row, source: str, left_out: Counter[str]) -> Iterator[Group]:
        nested = "fields" in row.fields
        fields = row.object("fields") if nested else row
        asked_for = _responses(row, mapped.get("ranking"))
        if asked_for is None:
            left_out[NOT_RANKED] += 1
            return iter(())
        question, responses = asked_for
        options = sorted({option.text("value") for one in responses for option in one.inner("value")})
        asked = messages_of(fields, mapped.get("prompt", "prompt"), left_out)
        used = [mapped.get(option, option) for option in options]
        answers = [(fields.text(name), "") for name in used]
        flat = [question + RESPONSES + part for part in COLUMNS.values()]
        count_unknown(fields, (mapped.get("prompt", "prompt"), *used, *flat, "id", "status", "_server_id"), left_out)
        if nested:
            count_unknown(row, ("fields", "responses", "id", "status", "_server_id"), left_out)
        verdicts = []
        for one in responses:
            status = one.text("status", "submitted")
            if nested and "status" not in one.fields:
                left_out[NO_STATUS] += 1
            ranks = {option.text("value"): number_of(option, "rank") for option in one.inner("value")}
            if status == "draft":
                left_out[DRAFT] += 1
            elif status == "discarded":
                verdicts.append(Verdict(one.text("user_id"), said={"outcome": "skipped"}))
            else:
                verdicts.append(Verdict(one.text("user_id"), by_rank([ranks.get(option) for option in options])))
        return judged(asked, answers, verdicts, left_out, source)

    return read_judged(path, left_out, None, groups_of)


def _responses(row: Row, question: str | None) -> tuple[str, list[Row]] | None:
    """Return the one ranking question and the responses to it, as rows with user_id, status and value, if any."""
    if "responses" in row.fields:
        every = row.object("responses")
        asked = {name: every.inner(name) for name in every.fields}
    else:
        names = [name.removesuffix(RESPONSES) for name in row.fields if name.endswith(RESPONSES)]
        asked = {name: _flattened(row, name) for name in names}
    rankings = [name for name, found in asked.items() if any(_is_ranking(one.fields.get("value")) for one in found)]
    if not rankings:
        return None
    if question is not None:
        rankings = [question] if question in asked else []
    if len(rankings) != 1:
        row.refuse("responses", f"{len(rankings)} ranking questions", f"Name one with ranking=NAME: {listed(asked)}.")
    return (rankings[0], asked[rankings[0]]) if asked[rankings[0]] else None


def _is_ranking(value: Any) -> bool:
    """Tell a ranking from the lists of other questions, of several labels or of spans."""
    return isinstance(value, list) and any(isinstance(one, dict) and "rank" in one for one in value)


def _flattened(row: Row, name: str) -> list[Row]:
    parts = zip_longest(*(row.items(name + RESPONSES + part) for part in COLUMNS.values()))
    return [
        Row(row.where, dict(zip(COLUMNS, part, strict=True)), f"{row.within}{name}{RESPONSES}[{place}].")
        for place, part in enumerate(parts, start=1)
    ]
