"""Recipes: which rankings a version holds, how it is split, and how comparisons are weighted."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import combinations
from math import isfinite
from typing import Any, Literal, get_args

from label_data.dates import midnight
from label_data.errors import InputError
from label_data.records import STRENGTHS, Group, Outcome, Ranking, Source, check_text
from label_data.sentences import say
from label_data.versions.near_duplicates import THRESHOLD

Ties = Literal["drop", "half", "keep"]
"""drop: a tie says nothing. half: a tied pair is two comparisons, one each way, of half its weight. keep: formats of
whole orders have it as equal ranks, the loss that learns from ties learns from it, and formats of pairs leave it out.
"""
Aggregate = Literal["raw", "majority", "reliability"]
"""raw: every annotator's comparisons. The other two: one comparison a pair of completions; see `aggregation`."""
Weights = Literal["ranking", "comparison", "prompt", "reliability"]
"""What weighs 1: a ranking (one of many comparisons counts no more than one of a single one), each comparison, or all
that is said of a prompt. reliability: a ranking, times how reliable its annotator is."""

FORM = re.compile(r"(\w+)(!?=)(.*)", re.DOTALL)
OF_RANKING: dict[str, Callable[[Ranking, Mapping[str, str]], set[str]]] = {
    "annotator": lambda ranking, policies: {ranking.annotator},
    "assisted": lambda ranking, policies: {"yes" if ranking.assisted else "no"},
    "outcome": lambda ranking, policies: {ranking.outcome},
    "policy": lambda ranking, policies: {policies[completion] for completion in ranking.shown},
    "source": lambda ranking, policies: {ranking.source},
}
"""Field -> what a ranking has in it, given the policy of each completion. All of it must be wanted, and none of it
unwanted."""
OF_PROMPT: dict[str, Callable[[Group], str]] = {
    "category": lambda group: group.prompt.category,
    "file": lambda group: group.prompt.source,
    "licence": lambda group: group.prompt.licence,
}
CHOICES = {"assisted": ("yes", "no"), "outcome": get_args(Outcome), "source": get_args(Source)}
BOUNDS = ("since", "until", "voices", "agreement")
FIELDS = (*OF_RANKING, *OF_PROMPT, *BOUNDS)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what a version of a project's data holds."""

    project: str
    where: tuple[str, ...] = ()
    """Conditions FIELD=VALUE or FIELD!=VALUE: those on one field with "=" are alternatives, and all others must hold.
    since, until: first and last day, UTC, of rankings; voices: the fewest annotators of a prompt; agreement: the least
    share of decided meetings on a prompt in which two annotators take the same side, where there are any."""
    held_out: float = 0.2
    near: float = THRESHOLD
    """Overlap from which two prompts are near-duplicates; see `near_duplicates`."""
    seed: int = 0
    """Decides the split."""
    ties: Ties = "drop"
    aggregate: Aggregate = "raw"
    margins: tuple[float, ...] = ()
    """Margin of a step that is slightly, clearly and much better; empty: no comparison has a margin."""
    weights: Weights = "ranking"

    def __post_init__(self) -> None:
        for name, kind in (("ties", Ties), ("aggregate", Aggregate), ("weights", Weights)):
            if getattr(self, name) not in get_args(kind):
                raise InputError(
                    "label_data.versions.choice",
                    name=name,
                    value=getattr(self, name),
                    choices=", ".join(get_args(kind)),
                )
        if not 0 < self.held_out < 1:
            raise InputError("label_data.versions.held_out", value=self.held_out)
        if not 0 < self.near <= 1:
            raise InputError("label_data.versions.near", value=self.near)
        if self.margins and (
            len(self.margins) != len(STRENGTHS) or not all(isfinite(one) and one >= 0 for one in self.margins)
        ):
            raise InputError("label_data.versions.margins")
        if self.weights == "reliability" and self.aggregate != "raw":
            raise InputError("label_data.versions.reliability_weights", aggregate=self.aggregate)
        object.__setattr__(self, "where", tuple(sorted(set(self.where))))
        for condition in self.where:
            _parsed(condition)

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON values."""
        fields = ("project", "held_out", "near", "seed", "ties", "aggregate", "weights")
        return {
            **{name: getattr(self, name) for name in fields},
            "where": list(self.where),
            "margins": list(self.margins),
        }


def recipe_from(value: Mapping[str, Any]) -> Recipe:
    """Return the recipe that `as_dict` wrote.

    Two fields become tuples, and `Recipe` checks itself, so a converter such as cattrs would only add code.
    """
    return Recipe(**{**value, "where": tuple(value["where"]), "margins": tuple(value["margins"])})


def margins_from(text: str) -> tuple[float, ...]:
    """Return the margins that "1=0.3,2=0.6,3=1" names, none for an empty text."""
    if not text:
        return ()
    found: dict[str, float] = {}
    for part in text.split(","):
        strength, _, margin = part.partition("=")
        try:
            found[strength.strip()] = float(margin)
        except ValueError:
            found[part] = float("nan")
    if set(found) != set(map(str, STRENGTHS)):
        raise InputError("label_data.versions.margin_option", text=text)
    return tuple(found[str(strength)] for strength in STRENGTHS)


# Conditions


def _parsed(condition: str) -> tuple[str, str, str]:
    """Return field, operator and value of a condition; InputError if it is invalid."""
    form = FORM.fullmatch(check_text(condition, say("label_data.versions.condition"), 1_200))
    if form is None or form[1] not in FIELDS:
        raise InputError("label_data.versions.where_form", condition=condition, fields=", ".join(FIELDS))
    name, sign, value = form.groups()
    if name in BOUNDS and sign != "=":
        raise InputError("label_data.versions.where_bound", condition=condition, field=name, value=value)
    if name in CHOICES and value not in CHOICES[name]:
        choices = ", ".join(CHOICES[name])
        raise InputError("label_data.versions.where_choice", condition=condition, field=name, choices=choices)
    if name in BOUNDS:
        _bound(name, value, condition)
    return name, sign, value


def _bound(name: str, value: str, condition: str) -> float:
    """Return the bound as a number; a day as the microsecond, since 1970, at which it begins, or for until ends."""
    try:
        if name in ("since", "until"):
            return midnight(date.fromisoformat(value), days_later=name == "until")
        number = float(value)
        if (name == "voices" and number >= 1 and number == int(number)) or (name == "agreement" and 0 <= number <= 1):
            return number
    except (ValueError, OverflowError):
        pass
    if name == "voices":
        raise InputError("label_data.versions.where_voices", condition=condition)
    if name == "agreement":
        raise InputError("label_data.versions.where_agreement", condition=condition)
    raise InputError("label_data.versions.where_day", condition=condition, field=name)


@dataclass(slots=True)
class Selection:
    """Selects a recipe's rankings from groups; counts what it leaves out and collects the values it has seen."""

    recipe: Recipe
    left_out: Counter[str] = field(default_factory=Counter)
    _wanted: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _unwanted: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _bounds: dict[str, float] = field(default_factory=dict)
    _seen: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        for condition in self.recipe.where:
            name, sign, value = _parsed(condition)
            if name not in BOUNDS:
                (self._wanted if sign == "=" else self._unwanted)[name].add(value)
                continue
            if name in self._bounds:
                raise InputError("label_data.versions.where_twice", condition=condition, field=name)
            self._bounds[name] = _bound(name, value, condition)

    def of(self, group: Group) -> Group | None:
        """Return the group with only the selected rankings and what belongs to them, sorted; None if nothing is left.

        Completions that no selected ranking showed, and demonstrations sent with other rankings, are left out. The
        order depends on ids and times alone, so it is the same in every store.
        """
        reason = self._of_prompt(group)
        policies = {completion.id: completion.policy for completion in group.completions}
        kept = []
        for ranking in group.rankings:
            why = self._of_ranking(ranking, policies) or reason
            if why:
                self.left_out[f"rankings: {why}"] += 1
            else:
                kept.append(ranking)
        why = self._of_voices(kept) if kept else ""
        if why:
            self.left_out[f"rankings: {why}"] += len(kept)
            kept = []
        sent = {ranking.submission for ranking in kept}
        written = [one for one in group.demonstrations if one.submission in sent or (not one.submission and not reason)]
        written = [one for one in written if self._fits("annotator", {one.annotator})]
        if not kept and not written:
            return None
        used = {completion for ranking in kept for completion in ranking.shown} | {one.edited_from for one in written}
        return replace(
            group,
            completions=tuple(sorted((one for one in group.completions if one.id in used), key=lambda one: one.id)),
            rankings=tuple(sorted(kept, key=lambda one: (one.submitted or 0, one.submission))),
            demonstrations=tuple(sorted(written, key=lambda one: one.id)),
        )

    def check_seen(self) -> None:
        """Raise InputError for a condition on a value that no ranking has: it is probably misspelt."""
        for name, values in (*self._wanted.items(), *self._unwanted.items()):
            for value in sorted(values - self._seen[name]):
                if name not in CHOICES:
                    existing = ", ".join(repr(seen[:60]) for seen in sorted(self._seen[name])[:10]) or "-"
                    condition = f"{name}={value}"
                    raise InputError("label_data.versions.where_unused", condition=condition, values=existing)

    def _of_prompt(self, group: Group) -> str:
        for name, read in OF_PROMPT.items():
            if group.rankings:
                self._seen[name].add(read(group))
            if not self._fits(name, {read(group)}):
                return f"not of the {name} wanted"
        return ""

    def _of_ranking(self, ranking: Ranking, policies: Mapping[str, str]) -> str:
        why = ""
        for name, read in OF_RANKING.items():
            found = read(ranking, policies)
            self._seen[name] |= found
            if not why and not self._fits(name, found):
                why = f"not of the {name} wanted"
        if why or not {"since", "until"} & self._bounds.keys():
            return why
        if ranking.submitted is None:
            return "made nobody knows when"
        if not self._bounds.get("since", 0) <= ranking.submitted < self._bounds.get("until", float("inf")):
            return "not of the days wanted"
        return ""

    def _fits(self, name: str, found: set[str]) -> bool:
        return (name not in self._wanted or found <= self._wanted[name]) and not found & self._unwanted[name]

    def _of_voices(self, rankings: list[Ranking]) -> str:
        voices = [ranking for ranking in rankings if not ranking.tests_annotator]
        if len({ranking.annotator for ranking in voices}) < self._bounds.get("voices", 0):
            return "of a prompt with fewer annotators than wanted"
        same, met = agreed(voices)
        if met and same / met < self._bounds.get("agreement", 0):
            return "of a prompt with less agreement than wanted"
        return ""


def agreed(rankings: Iterable[Ranking]) -> tuple[int, int]:
    """Return (meetings with the same preference, meetings with two preferences) of two annotators on a pair.

    Of an annotator who ranked the prompt twice, the first ranking counts.
    """
    from label_data.quality.judgements import (
        judged_pairs,  # pandas: 55 MB and a second that only making a version needs
    )

    said: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for ranking in rankings:
        for pair, judgement in judged_pairs(ranking).items():
            said[pair].setdefault(ranking.annotator, judgement)
    met = [one * other for answers in said.values() for one, other in combinations(answers.values(), 2)]
    return met.count(1), met.count(1) + met.count(-1)
