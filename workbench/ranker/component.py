"""The ranking screen: a Streamlit component that runs in the browser and sends one message per task.

Streamlit mounts it with a few lines that import its script from this server; see `workbench.ranker.script`.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, get_args

import streamlit as st

from label_data.assignment.answers import Answer
from label_data.assignment.own_rankings import OwnRanking
from label_data.assignment.tasks import Task
from label_data.canonical import content_id
from label_data.errors import InputError
from label_data.records import BEST_RATING, LONGEST_TEXT, MOST_COMPLETIONS, STRENGTHS, WORST_RATING, Outcome, check_text
from label_data.sentences import Sentence, say
from label_data.settings import ProjectSettings
from workbench.ranker.script import MOUNT
from workbench.rendering import overrides, rendered, visible
from workbench.wording import page_texts

_MOUNT = st.components.v2.component("workbench_ranker", js=MOUNT)
SKIPS: tuple[str, ...] = tuple(page_texts("en")["ranker"]["skips"])
"""The reasons for skipping a prompt, as stored in rankings: in English, whatever language the annotator reads."""
MOST_SPANS = 500
"""Maximum number of marked parts in an answer."""
MOST_HELD = 50
"""Maximum number of texts that a browser may report as held."""
LONGEST_ID = 200
"""Maximum characters of a token or submission."""
LONGEST_FLAG = 40
"""Maximum characters of a flag's name."""
LONGEST_REASON = 9_000
"""Maximum characters of a reason."""
LONGEST_TIME = 7 * 24 * 3600.0
"""Seconds; a browser that reports more has a broken clock."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the server refused an answer."""

    submission: str
    message: str
    """A sentence for the annotator, in the language of the page."""


@dataclass(frozen=True, slots=True)
class Revealed:
    """Which policies wrote the completions, revealed after a ranking is stored."""

    submission: str
    names: tuple[str, ...]
    """Policies, in the order in which their completions were shown."""


def ranker(
    tasks: Sequence[Task | OwnRanking],
    settings: ProjectSettings,
    *,
    annotator: str,
    project: str,
    saved: str | None,
    problem: Problem | None,
    today: int,
    language: str = "en",
    revealed: Revealed | None = None,
    on_answer: Callable[[], None],
    key: str = "ranker",
) -> None:
    """Show the first task, send the second ahead, and call `on_answer` when the annotator submits.

    The message is then in `st.session_state[key].answer`, for `answer_from`. The browser repeats it after two seconds,
    then four, eight …, until `saved` or `problem` names its submission, so every run has to pass the latest values of
    both. Without tasks nothing is shown, but an answer that could not be sent yet is still sent. Texts that the browser
    holds, according to the message that this run answers, are not sent again: the task sent ahead is now the first.

    Args:
        tasks: from `next_tasks`, or a ranked task from `reopen` to be edited. Only their tokens, texts, places and the
            annotator's own ranking are sent.
        settings: the project's flags, guidelines, partial rankings and strength.
        annotator: id of the annotator. In a shared browser, nobody sees what another annotator sent last.
        project: id of the project. An unfinished ranking stays on the screen, whatever `tasks` holds, unless the
            project changes.
        saved: the submission stored last in this session.
        problem: the last refusal in this session.
        today: how many prompts the annotator has ranked today.
        language: the language of the texts around prompts and completions.
        revealed: the policies of the ranking stored last, if the project reveals them.
        on_answer: called before the next run of the script.
        key: the component's key in `st.session_state`.
    """
    held_tokens = _held_tokens(getattr(st.session_state.get(key), "answer", None))
    _MOUNT(
        key=key,
        data={
            "tasks": [
                _edited_task(task) if isinstance(task, OwnRanking) else _task(task, held_tokens) for task in tasks
            ],
            "opened": any(isinstance(task, OwnRanking) for task in tasks),
            "flags": list(settings.flags),
            "guidelines": _guidelines(settings, held_tokens),
            "allow_partial": settings.allow_partial,
            "ask_strength": settings.ask_strength,
            "ask_ratings": settings.ask_ratings,
            "mark_spans": settings.mark_spans,
            "revealed": {"submission": revealed.submission, "names": list(revealed.names)} if revealed else None,
            "who": content_id(annotator),
            "project": project,
            "saved": saved,
            "problem": {"submission": problem.submission, "message": problem.message} if problem else None,
            "today": today,
            "language": language,
        },
        on_answer_change=on_answer,
    )


def _held_tokens(message: Any) -> frozenset[str]:  # what a browser sent, which may be any JSON value
    """Return the tokens of the texts that the page holds. Only the page knows: the server misses reloads."""
    tokens = message.get("holds") if isinstance(message, Mapping) else None
    return frozenset(tokens) if isinstance(tokens, list) and _are_tokens(tokens) else frozenset()


def _guidelines(settings: ProjectSettings, held_tokens: Set[str]) -> dict[str, Any] | None:
    """Return the numbered criteria and the guidelines, as HTML unless the page holds them; None if there are none."""
    numbered = "\n".join(f"{place}. {criterion}" for place, criterion in enumerate(settings.criteria, start=1))
    text = "\n\n".join(part for part in (numbered, settings.guidelines.strip()) if part)
    if not text:
        return None
    token = content_id("guidelines", text)
    return {"token": token} | ({} if token in held_tokens else {"html": rendered(text)})


def _task(task: Task, held_tokens: Set[str] = frozenset()) -> dict[str, Any]:
    """Return what the browser may see of a task: its token, and texts by place, but no policy, id or sampling."""
    texts = {
        "messages": [{"role": message.role} | _text(message.content) for message in task.prompt.messages],
        "completions": [_text(completion.text) for completion in task.completions],
    }
    draft = json.loads(task.draft) if task.draft else None
    return {"token": task.token, "revises": None, "draft": draft} | ({} if task.token in held_tokens else texts)


def _edited_task(own: OwnRanking) -> dict[str, Any]:
    """Return what the browser may see of a ranked task: the texts, and the ranking as a draft."""
    ranking, written, task = own.ranking, own.demonstration, _task(own.task)
    places = {completion: place for place, completion in enumerate(ranking.shown)}
    groups = [[places[completion] for completion in tied] for tied in ranking.order]
    names = [",".join(map(str, sorted(group))) for group in groups]  # the keys of `stepBefore` in ranking.js
    steps = zip(names, names[1:], ranking.strength, strict=False)
    why = next((number for number, skip in enumerate(SKIPS, start=1) if ranking.reason.startswith(skip)), 0)
    why = why if ranking.outcome == "skipped" else 0
    draft = {
        "at": 0,
        "revises": ranking.submission,
        "ranking": {
            "groups": groups,
            "steps": {f"{better}>{worse}": step for better, worse, step in steps if step},
            "outcome": ranking.outcome,
            "why": why,
            "flags": {places[completion]: list(flags) for completion, flags in ranking.flags.items()},
            "ratings": {places[completion]: rating for completion, rating in ranking.ratings.items()},
            "spans": [
                {"place": places[span.completion], "start": span.start, "end": span.end, "kind": span.kind}
                for span in ranking.spans
            ],
        },
        "reason": ranking.reason.removeprefix(SKIPS[why - 1]).removeprefix(": ") if why else ranking.reason,
        "seconds": ranking.seconds or 0,
        "demonstration": {"text": written.text, "from": places.get(written.edited_from or "")} if written else None,
    }
    stored = task["draft"] if task["draft"] and task["draft"].get("revises") == ranking.submission else None
    return task | {"revises": ranking.submission, "draft": stored or draft}


def _text(text: str) -> dict[str, Any]:
    """Return a text as HTML and as plain text, with the offsets at which `visible` replaced a character."""
    offsets = overrides(text)
    return {"html": rendered(text), "text": visible(text)} | ({"overrides": offsets} if offsets else {})


def answer_from(value: Mapping[str, Any]) -> Answer:
    """Return the browser's message as an Answer; raises InputError if it is not exactly what the screen sends.

    Whether the places exist, and whether all must be placed, is checked by `submit`, which knows the task.
    """
    fields = {"token", "submission", "outcome", "order", "strength", "flags", "why", "reason", "seconds", "revises"}
    fields |= {"ratings", "spans", "demonstration", "edited_from", "holds"}
    if not isinstance(value, Mapping) or value.keys() != fields:
        raise InputError("workbench.answer.other_fields")
    order, strength, flags, seconds = (value[name] for name in ("order", "strength", "flags", "seconds"))
    _expect(value["outcome"] in get_args(Outcome), "outcome", value["outcome"])
    _expect(isinstance(order, list) and all(_is_group(group) for group in order), "order", order)
    _expect(
        isinstance(strength, list) and all(step is None or _is_in(step, STRENGTHS) for step in strength),
        "strength",
        strength,
    )
    _expect(isinstance(flags, Mapping) and all(_is_flagged(*item) for item in flags.items()), "flags", flags)
    ratings, spans, edited_from = value["ratings"], value["spans"], value["edited_from"]
    _expect(isinstance(ratings, Mapping) and all(_is_rated(*item) for item in ratings.items()), "ratings", ratings)
    _expect(isinstance(spans, list) and len(spans) <= MOST_SPANS and all(map(_is_span, spans)), "spans", spans)
    _expect(edited_from is None or _is_in(edited_from, range(MOST_COMPLETIONS)), "edited_from", edited_from)
    demonstration = check_text(value["demonstration"], say("workbench.answer.written_answer"), LONGEST_TEXT)
    _expect(edited_from is None or bool(demonstration), "edited_from", edited_from)
    timed = isinstance(seconds, int | float) and not isinstance(seconds, bool) and math.isfinite(seconds)
    _expect(timed and 0 <= seconds <= LONGEST_TIME, "seconds", seconds)
    _expect(_are_tokens(value["holds"]), "holds", value["holds"])
    why = value["why"]
    _expect(_is_in(why, range(len(SKIPS) + 1)) and (why > 0) == (value["outcome"] == "skipped"), "why", why)
    token, submission = (check_text(value[name], _field(name), LONGEST_ID) for name in ("token", "submission"))
    reason = check_text(value["reason"], say("workbench.answer.reason"), LONGEST_REASON)
    revises = value["revises"]
    _expect(revises is None or bool(check_text(revises, _field("revises"), LONGEST_ID)), "revises", revises)
    _expect(bool(token), "token", token)
    _expect(bool(submission), "submission", submission)
    return Answer(
        token=token,
        submission=submission,
        outcome=value["outcome"],
        order=[list(group) for group in order],
        strength=list(strength),
        flags={int(place): list(names) for place, names in flags.items() if names},
        reason=": ".join(filter(None, (SKIPS[why - 1] if why else "", reason))),
        seconds=float(seconds),
        ratings={int(place): rating for place, rating in ratings.items()},
        spans=[(span["place"], span["start"], span["end"], span["kind"]) for span in spans],
        demonstration=demonstration,
        edited_from=edited_from,
        revises=revises,
    )


def _field(name: str) -> Sentence:
    return say("workbench.answer.field", name=name)


def _expect(is_valid: bool, field: str, value: Any) -> None:  # any JSON value
    if not is_valid:
        raise InputError("workbench.answer.never_sent", field=field, value=str(value)[:100])


def _is_in(number: Any, numbers: Sequence[int]) -> bool:
    return type(number) is int and number in numbers  # a bool does not count as an int


def _is_group(group: Any) -> bool:
    return isinstance(group, list) and bool(group) and all(_is_in(place, range(MOST_COMPLETIONS)) for place in group)


def _is_flagged(place: Any, names: Any) -> bool:
    """Return whether a place (a digit, because keys of JSON objects are text) has a list of short names."""
    return (
        _is_place(place)
        and isinstance(names, list)
        and all(isinstance(name, str) and 0 < len(name) <= LONGEST_FLAG for name in names)
    )


def _is_rated(place: Any, rating: Any) -> bool:
    return _is_place(place) and _is_in(rating, range(WORST_RATING, BEST_RATING + 1))


def _is_place(name: Any) -> bool:
    return isinstance(name, str) and len(name) == 1 and name in "012345678"


def _are_tokens(tokens: Any) -> bool:
    is_short = isinstance(tokens, list) and len(tokens) <= MOST_HELD
    return is_short and all(isinstance(token, str) and len(token) <= LONGEST_ID for token in tokens)


def _is_span(span: Any) -> bool:
    """Return whether this is a place, a start, an end and a short name. The store checks them against the text."""
    if not isinstance(span, Mapping) or span.keys() != {"place", "start", "end", "kind"}:
        return False
    numbers = type(span["start"]) is int and type(span["end"]) is int
    has_name = isinstance(span["kind"], str) and 0 < len(span["kind"]) <= LONGEST_FLAG
    return _is_in(span["place"], range(MOST_COMPLETIONS)) and numbers and has_name
