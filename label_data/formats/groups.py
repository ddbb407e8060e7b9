"""This project's own format: one prompt per line, with its K completions and all rankings, ties included.

{"prompt": "Can pigs fly?",
 "completions": [{"text": "No."}, {"text": "Yes."}, {"text": "Pigs have no wings, so no."}],
 "rankings": [{"annotator": "ana", "order": [[3], [1, 2]]}]}

Orders name completions by their `id`, or by their place from 1 if they have none. JSON lines (.jsonl, .jsonl.gz) or
Parquet (.parquet); in Parquet `sampling`, `flags` and `ratings` are JSON text. A file holds everything that the store
knows about prompts, completions, rankings and demonstrations, also revised ones: read into an empty store it makes the
same store. docs/groups-format.md describes every field.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from label_data.canonical import canonical
from label_data.files.places import located
from label_data.files.rows_in import Row, described, listed, parsed, read_rows
from label_data.files.rows_out import write_lines
from label_data.formats.prompts import prompt_of
from label_data.records import Completion, Demonstration, Group, Prompt, Ranking, Span, check_text
from label_data.sentences import Sentence, say

NAME = "groups"
LINE = ("prompt", "messages", "category", "source", "licence", "completions", "rankings", "demonstrations")
COMPLETION = ("id", "text", "policy", "policy_revision", "sampling", "seed", "finish_reason")
RANKING = (
    "annotator",
    "order",
    "shown",
    "outcome",
    "strength",
    "flags",
    "reason",
    "seconds",
    "started",
    "submitted",
    "revises",
    "assisted",
    "source",
    "project",
    "project_revision",
    "submission",
    "ratings",
    "spans",
    "purpose",
)
SPAN = ("completion", "start", "end", "kind")
DEMONSTRATION = (
    "annotator",
    "text",
    "edited_from",
    "submission",
    "written",
    "source",
    "project",
    "project_revision",
)
MAX_COMPLETIONS, MAX_RANKINGS = 1_000, 10_000
"""Completions and rankings of one line."""
JSON_IN_PARQUET = ("sampling", "flags", "ratings")
"""Objects whose keys differ from row to row, for which Arrow has no good column."""
UNKNOWN_REVISED = say("label_data.formats.revises_unknown")

TEXTS = pa.list_(pa.string())
SCHEMA = pa.schema(
    {
        "messages": pa.list_(pa.struct({"role": pa.string(), "content": pa.string()})),
        "category": pa.string(),
        "source": pa.string(),
        "licence": pa.string(),
        "completions": pa.list_(
            pa.struct({name: pa.int64() if name == "seed" else pa.string() for name in COMPLETION}),
        ),
        "rankings": pa.list_(
            pa.struct(
                {
                    **dict.fromkeys(RANKING, pa.string()),
                    **dict.fromkeys(("started", "submitted", "project_revision"), pa.int64()),
                    "order": pa.list_(TEXTS),
                    "shown": TEXTS,
                    "strength": pa.list_(pa.int64()),
                    "seconds": pa.float64(),
                    "assisted": pa.bool_(),
                    "spans": pa.list_(
                        pa.struct({name: pa.int64() if name in ("start", "end") else pa.string() for name in SPAN})
                    ),
                }
            )
        ),
        "demonstrations": pa.list_(
            pa.struct(
                {name: pa.int64() if name in ("written", "project_revision") else pa.string() for name in DEMONSTRATION}
            )
        ),
    }
)


def recognise(fields: Mapping[str, Any]) -> Sentence | None:
    """Return what a file is whose first row has these fields, or None if it is not in this format."""
    if "completions" in fields and fields.keys() <= set(LINE):
        return say("label_data.formats.is_groups")
    return None


def read(path: Path, left_out: Counter[Sentence] | None = None) -> Iterator[Group]:
    """Yield one group a line; a `revises` whose ranking is not earlier in the line is dropped, counted in `left_out`.

    Raises InputError, with file, line and field, at a value that does not fit and at an unknown field.
    """
    left_out = Counter() if left_out is None else left_out
    for row in read_rows(path):
        row.allow_only(*LINE)
        category, source, licence = row.text("category", ""), row.text("source", path.name), row.text("licence", "")
        prompt = prompt_of(row, category, source, left_out=left_out, licence=licence)
        ids: dict[str, str] = {}
        completions: dict[str, Completion] = {}
        for place, inner in enumerate(_at_most(row, "completions", MAX_COMPLETIONS), start=1):
            completion = _completion(inner, prompt)
            name = str(place) if inner.fields.get("id") is None else _id(inner, "id", inner.fields["id"])
            if name in ids or completion.id in completions:
                problem = (
                    say("label_data.formats.id_twice", id=name)
                    if name in ids
                    else say("label_data.formats.completion_twice")
                )
                row.refuse(f"completions[{place}]", problem)
            ids[name] = completion.id
            completions[completion.id] = completion
        rankings: list[Ranking] = []
        earlier: set[str] = set()
        for inner in _at_most(row, "rankings", MAX_RANKINGS):
            ranking = _ranking(inner, prompt, ids)
            if ranking.revises and ranking.revises not in earlier:
                left_out[UNKNOWN_REVISED] += 1
                ranking = replace(ranking, revises=None)
            rankings.append(ranking)
            earlier.add(ranking.submission)
        demonstrations = [_demonstration(inner, prompt, ids) for inner in row.inner("demonstrations")]
        with located(row.where):
            group = Group(prompt, tuple(completions.values()), tuple(rankings), tuple(demonstrations))
        yield group


def _at_most(row: Row, name: str, limit: int) -> list[Row]:
    rows = row.inner(name)
    if len(rows) > limit:
        row.refuse(name, say("label_data.formats.long_list", count=len(rows), limit=limit))
    return rows


def _completion(row: Row, prompt: Prompt) -> Completion:
    row.allow_only(*COMPLETION)
    fields: dict[str, Any] = {  # arguments of a record, which checks their types
        "text": row.text("text"),
        "policy": row.text("policy", ""),
        "policy_revision": row.text("policy_revision", ""),
        "sampling": _object(row, "sampling"),
        "seed": row.whole("seed"),
        "finish_reason": row.text("finish_reason", ""),
    }
    with located(row.where, row.within.rstrip(".")):
        return Completion(prompt.id, **fields)


def _ranking(row: Row, prompt: Prompt, ids: Mapping[str, str]) -> Ranking:
    row.allow_only(*RANKING)
    order = []
    for place, group in enumerate(row.items("order"), start=1):
        if not isinstance(group, list):
            row.refuse(f"order[{place}]", say("label_data.formats.order_not_lists", found=described(group)))
        order.append(tuple(_known(row, f"order[{place}]", name, ids) for name in group))
    for step in row.items("strength"):
        if step is not None and type(step) is not int:
            row.refuse("strength", say("label_data.formats.not_a_strength", found=described(step)))
    placed = [completion for group in order for completion in group]
    shown = [_known(row, "shown", name, ids) for name in row.items("shown")]
    fields: dict[str, Any] = {  # arguments of a record, which checks their types
        "annotator": row.text("annotator"),
        "shown": tuple(shown or sorted(placed or ids.values())),
        "order": tuple(order),
        "outcome": row.text("outcome", "ranked"),
        "strength": tuple(row.items("strength")),
        "flags": {_known(row, "flags", name, ids): _flags(row, flags) for name, flags in _object(row, "flags").items()},
        "reason": row.text("reason", ""),
        "seconds": row.number("seconds"),
        "started": row.whole("started"),
        "submitted": row.whole("submitted"),
        "revises": row.text("revises", "") or None,
        "assisted": row.truth("assisted"),
        "source": row.text("source", "import"),
        "project": row.text("project", ""),
        "project_revision": row.whole("project_revision"),
        "submission": row.text("submission", ""),
        "ratings": {_known(row, "ratings", name, ids): value for name, value in _object(row, "ratings").items()},
        "spans": tuple(_span(inner, ids) for inner in row.inner("spans")),
        "purpose": row.text("purpose", ""),
    }
    with located(row.where, row.within.rstrip(".")):
        check_text(fields["project"], say("label_data.formats.the_project"), 100)
        return Ranking(prompt.id, **fields)


def _span(row: Row, ids: Mapping[str, str]) -> Span:
    row.allow_only(*SPAN)
    fields: dict[str, Any] = {  # arguments of a record, which checks their types
        "completion": _known(row, "completion", row.fields.get("completion"), ids),
        "start": row.whole("start"),
        "end": row.whole("end"),
        "kind": row.text("kind"),
    }
    with located(row.where, row.within.rstrip(".")):
        return Span(**fields)


def _demonstration(row: Row, prompt: Prompt, ids: Mapping[str, str]) -> Demonstration:
    row.allow_only(*DEMONSTRATION)
    fields: dict[str, Any] = {  # arguments of a record, which checks their types
        "text": row.text("text"),
        "annotator": row.text("annotator"),
        "edited_from": row.fields.get("edited_from") and _known(row, "edited_from", row.fields["edited_from"], ids),
        "submission": row.text("submission", ""),
        "written": row.whole("written"),
        "source": row.text("source", "import"),
        "project": row.text("project", ""),
        "project_revision": row.whole("project_revision"),
    }
    with located(row.where, row.within.rstrip(".")):
        check_text(fields["project"], say("label_data.formats.the_project"), 100)
        return Demonstration(prompt.id, **fields)


def _id(row: Row, field: str, value: Any) -> str:
    """Return a completion's name in its line; a whole number is a name of digits."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        row.refuse(field, say("label_data.formats.not_a_completion", found=described(value)))
    return str(value)


def _known(row: Row, field: str, value: Any, ids: Mapping[str, str]) -> str:
    name = _id(row, field, value)
    if name not in ids:
        row.refuse(field, say("label_data.formats.unknown_completion", completion=name, names=listed(ids)))
    return ids[name]


def _object(row: Row, name: str) -> dict[str, Any]:
    value = row.fields.get(name)
    if isinstance(value, str):
        value = parsed(value, row.where, f"{row.within}{name}")
    if value is not None and not isinstance(value, dict):
        row.refuse(name, say("label_data.files.not_object", found=described(value)))
    return value or {}


def _flags(row: Row, names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        row.refuse("flags", say("label_data.formats.flags_not_texts", found=described(names)))
    with located(row.where, f"{row.within}flags"):
        for name in names:
            check_text(name, say("label_data.formats.a_flag"), 40)
    return tuple(names)


def write(path: Path, groups: Iterable[Group], left_out: Counter[Sentence] | None = None) -> int:
    """Write one line a group and return how many; everything is written, so `left_out` does not change.

    JSON lines leave out fields that are empty or null; Parquet has a column for each field.
    """
    lines = map(line_of, groups)
    lines = map(_for_arrow, lines) if path.suffix == ".parquet" else lines
    return write_lines(path, map(_encoded, lines), SCHEMA)


def export_digest(groups: Iterable[Group]) -> str:
    """Return the sha256 of the .jsonl file that `write` would write for the groups."""
    digest = hashlib.sha256()
    for group in groups:
        digest.update(_encoded(line_of(group)))
    return digest.hexdigest()


def _encoded(line: dict[str, Any]) -> bytes:
    return f"{canonical(line)}\n".encode()


def line_of(group: Group) -> dict[str, Any]:
    """Return the line of the group as a JSON value. Versions hash it, so its content must never change."""
    names = {completion.id: str(place) for place, completion in enumerate(group.completions, start=1)}
    return {
        "messages": group.prompt.as_dicts,
        **_filled(category=group.prompt.category),
        "source": group.prompt.source,
        **_filled(licence=group.prompt.licence),
        "completions": [
            {
                "id": names[completion.id],
                "text": completion.text,
                **_filled(
                    policy=completion.policy,
                    policy_revision=completion.policy_revision,
                    sampling=dict(completion.sampling),
                    seed=completion.seed,
                    finish_reason=completion.finish_reason,
                ),
            }
            for completion in group.completions
        ],
        "rankings": [_ranking_line(ranking, names) for ranking in group.rankings],
        **_filled(demonstrations=[_demonstration_line(demonstration, names) for demonstration in group.demonstrations]),
    }


def _ranking_line(ranking: Ranking, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "annotator": ranking.annotator,
        "shown": [names[completion] for completion in ranking.shown],
        "outcome": ranking.outcome,
        "source": ranking.source,
        "submission": ranking.submission,
        **_filled(
            order=[[names[completion] for completion in tied] for tied in ranking.order],
            strength=list(ranking.strength),
            flags={names[completion]: flags for completion, flags in ranking.sorted_flags.items()},
            reason=ranking.reason,
            seconds=ranking.seconds,
            started=ranking.started,
            submitted=ranking.submitted,
            revises=ranking.revises,
            assisted=ranking.assisted,
            project=ranking.project,
            project_revision=ranking.project_revision,
            ratings={names[completion]: rating for completion, rating in sorted(ranking.ratings.items())},
            spans=[
                {"completion": names[span.completion], "start": span.start, "end": span.end, "kind": span.kind}
                for span in ranking.spans
            ],
            purpose=ranking.purpose,
        ),
    }


def _demonstration_line(demonstration: Demonstration, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "annotator": demonstration.annotator,
        "text": demonstration.text,
        "source": demonstration.source,
        **_filled(
            edited_from=None if demonstration.edited_from is None else names[demonstration.edited_from],
            submission=demonstration.submission,
            written=demonstration.written,
            project=demonstration.project,
            project_revision=demonstration.project_revision,
        ),
    }


def _filled(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not empty; the number 0 counts as a value."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {}) and value is not False}


def _for_arrow(line: dict[str, Any]) -> dict[str, Any]:
    def flat(fields: dict[str, Any]) -> dict[str, Any]:
        return {name: canonical(value) if name in JSON_IN_PARQUET else value for name, value in fields.items()}

    return line | {name: list(map(flat, line[name])) for name in ("completions", "rankings")}
