"""The ranking screen: a Streamlit component that ranks in the browser and sends one message for each task.

Streamlit mounts it with a few lines that import its script from this server (`workbench.ranker.script`).
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
from label_data.settings import ProjectSettings
from workbench.ranker.script import MOUNT
from workbench.rendering import overrides, rendered, visible
from workbench.wording import page_texts

_MOUNT = st.components.v2.component("workbench_ranker", js=MOUNT)
SKIPS: tuple[str, ...] = tuple(page_texts("en")["ranker"]["skips"])
"""Why a prompt may be skipped, as it is stored whatever language the annotator reads."""
MOST_SPANS = 500
"""Marked parts that one answer may have."""
MOST_HELD = 50
"""Texts that a browser may say it has."""
LONGEST_TIME = 7 * 24 * 3600.0
"""Seconds; a browser that says it took longer has a broken clock."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the server refused an answer."""

    submission: str
    message: str
    """One sentence for the person who ranked."""


@dataclass(frozen=True, slots=True)
class Revealed:
    """Who wrote what, told after a ranking is stored."""

    submission: str
    names: tuple[str, ...]
    """Policies in the order in which their completions were shown."""


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
    """Show the first task, hold the second ready, and call `on_answer` when the person submits.

    The message is then at `st.session_state[key].answer`, for `answer_from`. The browser sends it again after two
    seconds, then four, eight …, until `saved` or `problem` names its submission, so every run has to pass the latest of
    both on. With no tasks nothing is shown, but an answer that could not be sent yet still is. Texts that the browser
    says it has, in the message that this run answers, are not sent again: the task that was sent ahead comes first now.

    Args:
        tasks: of `next_tasks`, or one `reopen` to be changed; nothing of them but token, texts, places and what
            the annotator said is sent.
        annotator: who ranks; a browser that several use shows none what another one sent last.
        project: for which; a ranking under way stays on the screen, whatever tasks come, but not in another project.
        settings: flags, guidelines, partial ranking and strength.
        saved: submission that was stored last in this session.
        problem: the last refusal in this session.
        today: how many this annotator ranked today.
        language: of the sentences around the texts.
        revealed: the policies of the ranking stored last, if the project tells them.
        on_answer: called before the next run of the script.
        key: of the component in `st.session_state`.
    """
    holds = _holds(getattr(st.session_state.get(key), "answer", None))
    _MOUNT(
        key=key,
        data={
            "tasks": [_opened(task) if isinstance(task, OwnRanking) else _shown(task, holds) for task in tasks],
            "opened": any(isinstance(task, OwnRanking) for task in tasks),
            "flags": list(settings.flags),
            "guidelines": _guidelines(settings, holds),
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


def _holds(message: Any) -> frozenset[str]:
    """Return the tokens of what the page has, as it says itself: what is remembered here is wrong after a reload."""
    held = message.get("holds") if isinstance(message, Mapping) else None
    return frozenset(held) if _is_held(held) else frozenset()


def _guidelines(settings: ProjectSettings, holds: Set[str]) -> dict[str, Any] | None:
    """Return the criteria, numbered, and the guidelines as HTML, unless the page holds them; None if there are none."""
    numbered = "\n".join(f"{place}. {criterion}" for place, criterion in enumerate(settings.criteria, start=1))
    text = "\n\n".join(part for part in (numbered, settings.guidelines.strip()) if part)
    if not text:
        return None
    token = content_id("guidelines", text)
    return {"token": token} | ({} if token in holds else {"html": rendered(text)})


def _shown(task: Task, holds: Set[str] = frozenset()) -> dict[str, Any]:
    """Return what the browser gets to see: no policy, no id, no sampling; only the token, and texts by place."""
    texts = {
        "messages": [{"role": message.role} | _both(message.content) for message in task.prompt.messages],
        "completions": [_both(completion.text) for completion in task.completions],
    }
    draft = json.loads(task.draft) if task.draft else None
    return {"token": task.token, "revises": None, "draft": draft} | ({} if task.token in holds else texts)


def _opened(work: OwnRanking) -> dict[str, Any]:
    """Return what the browser gets of a task that is ranked already: beside the texts, the ranking as a draft."""
    ranking, written, shown = work.ranking, work.demonstration, _shown(work.task)
    places = {completion: place for place, completion in enumerate(ranking.shown)}
    groups = [[places[completion] for completion in tied] for tied in ranking.order]
    names = [",".join(map(str, sorted(group))) for group in groups]  # as `stepBefore` in ranking.js names neighbours
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
        "demonstration": {"text": written.text, "from": places.get(written.edited_from)} if written else None,
    }
    kept = shown["draft"] if shown["draft"] and shown["draft"].get("revises") == ranking.submission else None
    return shown | {"revises": ranking.submission, "draft": kept or draft}


def _both(text: str) -> dict[str, Any]:
    replaced = overrides(text)
    return {"html": rendered(text), "text": visible(text)} | ({"overrides": replaced} if replaced else {})


def answer_from(value: Mapping[str, Any]) -> Answer:
    """Return the browser's message as an Answer; InputError if it is not exactly what the screen sends.

    Whether the places exist, and whether all must be placed, is for `submit` to say: it knows the task.
    """
    fields = {"token", "submission", "outcome", "order", "strength", "flags", "why", "reason", "seconds", "revises"}
    fields |= {"ratings", "spans", "demonstration", "edited_from", "holds"}
    if not isinstance(value, Mapping) or value.keys() != fields:
        raise InputError("The browser's answer has other fields than this version sends. Reload the page.")
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
    demonstration = check_text(value["demonstration"], "The answer that you wrote", LONGEST_TEXT)
    _expect(edited_from is None or bool(demonstration), "edited_from", edited_from)
    timed = isinstance(seconds, int | float) and not isinstance(seconds, bool) and math.isfinite(seconds)
    _expect(timed and 0 <= seconds <= LONGEST_TIME, "seconds", seconds)
    _expect(_is_held(value["holds"]), "holds", value["holds"])
    why = value["why"]
    _expect(_is_in(why, range(len(SKIPS) + 1)) and (why > 0) == (value["outcome"] == "skipped"), "why", why)
    token, submission = (check_text(value[name], f"The answer's {name}", 200) for name in ("token", "submission"))
    reason = check_text(value["reason"], "The answer's reason", 9_000)
    revises = value["revises"]
    _expect(revises is None or bool(check_text(revises, "The answer's revises", 200)), "revises", revises)
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


def _expect(fits: bool, field: str, found: Any) -> None:
    if not fits:
        raise InputError(
            f"The answer's {field} is {str(found)[:100]!r}, which the screen never sends. Reload the page."
        )


def _is_in(number: Any, among: Sequence[int]) -> bool:
    return type(number) is int and number in among


def _is_group(group: Any) -> bool:
    return isinstance(group, list) and bool(group) and all(_is_in(place, range(MOST_COMPLETIONS)) for place in group)


def _is_flagged(place: Any, names: Any) -> bool:
    """Say whether a place (a digit, as JSON objects have text for keys) has a list of short names."""
    return (
        _is_place(place)
        and isinstance(names, list)
        and all(isinstance(name, str) and 0 < len(name) <= 40 for name in names)
    )


def _is_rated(place: Any, rating: Any) -> bool:
    return _is_place(place) and _is_in(rating, range(WORST_RATING, BEST_RATING + 1))


def _is_place(name: Any) -> bool:
    return isinstance(name, str) and len(name) == 1 and name in "012345678"


def _is_held(tokens: Any) -> bool:
    short = isinstance(tokens, list) and len(tokens) <= MOST_HELD
    return short and all(isinstance(token, str) and len(token) <= 200 for token in tokens)


def _is_span(span: Any) -> bool:
    """Say whether this is a place, a start, an end and a short name; whether the text is that long, the store says."""
    if not isinstance(span, Mapping) or span.keys() != {"place", "start", "end", "kind"}:
        return False
    numbers = type(span["start"]) is int and type(span["end"]) is int
    has_name = isinstance(span["kind"], str) and 0 < len(span["kind"]) <= 40
    return _is_in(span["place"], range(MOST_COMPLETIONS)) and numbers and has_name
