"""The history checker: compare a store with the histories of its writers."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select

from label_data.database import schema
from label_data.database.engine import Store, reading
from label_data.oversight.check import problems
from tests.whole.nothing_lost.history import Call

LOST, DOUBLED, OVER, TWICE, UNASKED, DRIFT = "lost", "doubled", "over N", "twice by one annotator", "unasked", "drift"
KINDS = (LOST, DOUBLED, OVER, TWICE, UNASKED, DRIFT)


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault."""

    kind: str
    description: str


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the checker reads from a store in one transaction."""

    rankings: dict[str, Row[Any]]
    tasks: dict[str, Row[Any]]
    retracted: set[str]


def findings(store: Store, calls: Sequence[Call], wanted: int, before: Set[str] = frozenset()) -> list[Finding]:
    """Return what contradicts the histories or the rules in a store whose project wants `wanted` annotators per prompt.

    Lost: acknowledged, but not stored, or stored differently. Doubled: stored or acknowledged as new more than once.
    Unasked: stored, but never requested, or refused. `before`: submissions of rankings that existed before the
    histories began.
    """
    with reading(store) as connection:
        rankings, tasks = schema.rankings, schema.tasks
        rows = connection.execute(select(rankings)).all()
        stored = _Stored(
            {row.submission: row for row in rows},
            {row.token: row for row in connection.execute(select(tasks))},
            set(connection.scalars(select(schema.retractions.c.submission))),
        )
        counted = connection.execute(
            select(tasks.c.item, func.count(), func.count(tasks.c.annotator.distinct()))
            .where(tasks.c.counted == 1)
            .group_by(tasks.c.item)
        ).all()
    doubled = [Finding(DOUBLED, f"{len(rows)} rankings under {len(stored.rankings)} names")]
    return [
        *(doubled if len(rows) > len(stored.rankings) else []),
        *(Finding(LOST, f"ranking {submission}") for submission in before - stored.rankings.keys()),
        *_answers(stored, calls, before),
        *_withdrawals(stored, calls),
        *_leases(stored, calls),
        *_chains(stored),
        *places_taken_twice(store, wanted),
        *(Finding(OVER, f"item {item} counts {people} annotators") for item, _, people in counted if people > wanted),
        *(Finding(TWICE, f"item {item} counts one twice") for item, number, people in counted if number > people),
        *(Finding(DRIFT, str(problem)) for problem in problems(store)),
    ]


def _answers(stored: _Stored, calls: Sequence[Call], before: Set[str]) -> Iterator[Finding]:
    """Compare every requested submission with its ranking, and every ranking with the requests."""
    requests: dict[str, list[Call]] = defaultdict(list)
    first_of_task = {row.task: row for row in stored.rankings.values() if row.revises is None}
    for call in calls:
        if call.what == "submit":
            requests[call.fields["submission"]].append(call)
    for submission, same in requests.items():
        row, answers = stored.rankings.get(submission), Counter(answer for call in same for answer in call.answers)
        is_acknowledged = answers["saved"] + answers["repeat"] > 0
        if is_acknowledged and row is None:
            yield Finding(LOST, f"ranking {submission}")
        if row is not None and not _is_as_requested(stored, row, same[0]):
            yield Finding(LOST, f"ranking {submission} is stored with another content")
        if answers["saved"] > 1:
            yield Finding(DOUBLED, f"ranking {submission} was acknowledged as new {answers['saved']} times")
        if answers["ranked already"] and same[0].fields["token"] not in first_of_task:
            yield Finding(LOST, f"task {same[0].fields['token']} was reported as ranked")
        if row is not None and not is_acknowledged and not any(call.is_in_doubt for call in same):
            yield Finding(UNASKED, f"ranking {submission} was refused and is stored")
    for submission in stored.rankings.keys() - requests.keys() - before:
        yield Finding(UNASKED, f"ranking {submission}")


def _is_as_requested(stored: _Stored, row: Row[Any], call: Call) -> bool:
    shown = json.loads(stored.tasks[call.fields["token"]].shown) if call.fields["token"] in stored.tasks else []
    order = [[shown[place] for place in tied] for tied in call.fields["order"]] if shown else None
    return (row.task, row.annotator, row.outcome, row.revises, json.loads(row.order)) == (
        call.fields["token"],
        call.by,
        call.fields["outcome"],
        call.fields["revises"],
        order,
    )


def _withdrawals(stored: _Stored, calls: Sequence[Call]) -> Iterator[Finding]:
    """Check that exactly the requested withdrawals are stored, each with all revisions of its ranking."""
    chains: dict[str, set[str]] = defaultdict(set)
    for row in stored.rankings.values():
        chains[row.task].add(row.submission)
    requests: set[str] = set()
    for call in calls:
        if call.what != "retract" or call.refused or (row := stored.rankings.get(call.fields["submission"])) is None:
            continue
        requests |= chains[row.task]
        if call.answers and not chains[row.task] <= stored.retracted:
            yield Finding(LOST, f"the withdrawal of {call.fields['submission']}")
    for submission in stored.retracted - requests:
        yield Finding(UNASKED, f"the withdrawal of {submission}")


def _leases(stored: _Stored, calls: Sequence[Call]) -> Iterator[Finding]:
    for call in calls:
        if call.what == "assign":
            for token in call.answers[0] if call.answers else ():
                if token not in stored.tasks or stored.tasks[token].annotator != call.by:
                    yield Finding(LOST, f"task {token}, which was given to {call.by}")


def _chains(stored: _Stored) -> Iterator[Finding]:
    """Check for one first ranking per task, and one task per annotator and prompt, repeats and gold prompts aside."""
    firsts = Counter(row.task for row in stored.rankings.values() if row.revises is None)
    yield from (Finding(DOUBLED, f"task {task} is ranked {times} times") for task, times in firsts.items() if times > 1)
    ordinary = [row for row in stored.rankings.values() if row.revises is None and row.purpose == ""]
    pairs = Counter((row.prompt_id, row.annotator) for row in ordinary)
    for (prompt, annotator), times in pairs.items():
        if times > 1:
            yield Finding(TWICE, f"{annotator} ranked the prompt {prompt} {times} times")


def places_taken_twice(store: Store, wanted: int) -> list[Finding]:
    """Return the prompts that currently have more counted rankings and open tasks than wanted annotators."""
    items = schema.items
    with reading(store) as connection:
        rows = connection.execute(select(items).where(items.c.done + items.c.leased > wanted)).all()
    return [Finding(OVER, f"item {row.number}: {row.done} count and {row.leased} are open of {wanted}") for row in rows]
