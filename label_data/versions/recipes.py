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
"""drop: ties are left out. half: a tied pair becomes two comparisons, one in each direction, of half its weight.
keep: formats of whole orders write the tie as equal ranks, a loss with ties learns from it, and formats of pairs leave
it out.
"""
Aggregate = Literal["raw", "majority", "reliability"]
"""raw: every annotator's comparisons. majority, reliability: one comparison per pair; see `aggregation`."""
Weights = Literal["ranking", "comparison", "prompt", "reliability"]
"""The unit of weight 1: a ranking (however many comparisons it gives), each comparison, or a prompt with all its
rankings. reliability: a ranking weighs its annotator's reliability, 1 on average."""

FORM = re.compile(r"(\w+)(!?=)(.*)", re.DOTALL)
RANKING_FIELDS: dict[str, Callable[[Ranking, Mapping[str, str]], set[str]]] = {
    "annotator": lambda ranking, policies: {ranking.annotator},
    "assisted": lambda ranking, policies: {"yes" if ranking.assisted else "no"},
    "outcome": lambda ranking, policies: {ranking.outcome},
    "policy": lambda ranking, policies: {policies[completion] for completion in ranking.shown},
    "source": lambda ranking, policies: {ranking.source},
}
"""Field -> the ranking's values, given the policy of each completion. All values must be wanted and none unwanted."""
PROMPT_FIELDS: dict[str, Callable[[Group], str]] = {
    "category": lambda group: group.prompt.category,
    "file": lambda group: group.prompt.source,
    "licence": lambda group: group.prompt.licence,
}
CHOICES = {"assisted": ("yes", "no"), "outcome": get_args(Outcome), "source": get_args(Source)}
BOUNDS = ("since", "until", "voices", "agreement")
FIELDS = (*RANKING_FIELDS, *PROMPT_FIELDS, *BOUNDS)


@dataclass(frozen=True, slots=True)
class Recipe:
    """All settings that determine the contents of a version of a project's data."""

    project: str
    where: tuple[str, ...] = ()
    """Conditions FIELD=VALUE or FIELD!=VALUE. Conditions with "=" on one field are alternatives; all others must hold.
    since, until: first and last day, UTC, of rankings. voices: the least number of annotators of a prompt. agreement:
    the least share of two annotators' decided judgements of a prompt's pairs that take the same side; a prompt without
    such judgements passes."""
    held_out: float = 0.2
    near: float = THRESHOLD
    """Overlap from which two prompts are near-duplicates; see `near_duplicates`."""
    seed: int = 0
    """Determines the split."""
    ties: Ties = "drop"
    aggregate: Aggregate = "raw"
    margins: tuple[float, ...] = ()
    """Margins of the steps slightly, clearly and much better; empty: no comparison has a margin."""
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
            len(self.margins) != len(STRENGTHS) or not all(isfinite(margin) and margin >= 0 for margin in self.margins)
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
    """Return the margins in a text such as "1=0.3,2=0.6,3=1"; no margins for an empty text."""
    if not text:
        return ()
    margins: dict[str, float] = {}
    for part in text.split(","):
        strength, _, margin = part.partition("=")
        try:
            margins[strength.strip()] = float(margin)
        except ValueError:
            margins[part] = float("nan")
    if set(margins) != set(map(str, STRENGTHS)):
        raise InputError("label_data.versions.margin_option", text=text)
    return tuple(margins[str(strength)] for strength in STRENGTHS)


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
    """Return the bound as a number; a day as microseconds since 1970 of its start or, for `until`, its end."""
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
    """Select a recipe's rankings from groups, count those left out by reason and collect the values of each field."""

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

    def select(self, group: Group) -> Group | None:
        """Return the group with only the selected rankings and their completions, sorted; None if nothing is left.

        Completions that no selected ranking shows, and demonstrations submitted with other rankings, are left out. The
        order depends on ids and times alone, so it is the same in every store.
        """
        prompt_reason = self._prompt_reason(group)
        policies = {completion.id: completion.policy for completion in group.completions}
        kept = []
        for ranking in group.rankings:
            reason = self._ranking_reason(ranking, policies) or prompt_reason
            if reason:
                self.left_out[f"rankings: {reason}"] += 1
            else:
                kept.append(ranking)
        reason = self._agreement_reason(kept) if kept else ""
        if reason:
            self.left_out[f"rankings: {reason}"] += len(kept)
            kept = []
        sent = {ranking.submission for ranking in kept}
        written = [
            demonstration
            for demonstration in group.demonstrations
            if (demonstration.submission in sent or (not demonstration.submission and not prompt_reason))
            and self._fits("annotator", {demonstration.annotator})
        ]
        if not kept and not written:
            return None
        used = {completion for ranking in kept for completion in ranking.shown}
        used |= {demonstration.edited_from for demonstration in written if demonstration.edited_from is not None}
        completions = [completion for completion in group.completions if completion.id in used]
        return replace(
            group,
            completions=tuple(sorted(completions, key=lambda completion: completion.id)),
            rankings=tuple(sorted(kept, key=lambda ranking: (ranking.submitted or 0, ranking.submission))),
            demonstrations=tuple(sorted(written, key=lambda demonstration: demonstration.id)),
        )

    def check_seen(self) -> None:
        """Raise InputError for a condition on a value that no ranking has; it is probably misspelt."""
        for name, values in (*self._wanted.items(), *self._unwanted.items()):
            for value in sorted(values - self._seen[name]):
                if name not in CHOICES:
                    existing = ", ".join(repr(seen[:60]) for seen in sorted(self._seen[name])[:10]) or "-"
                    condition = f"{name}={value}"
                    raise InputError("label_data.versions.where_unused", condition=condition, values=existing)

    def _prompt_reason(self, group: Group) -> str:
        for name, read in PROMPT_FIELDS.items():
            if group.rankings:
                self._seen[name].add(read(group))
            if not self._fits(name, {read(group)}):
                return f"not of the {name} wanted"
        return ""

    def _ranking_reason(self, ranking: Ranking, policies: Mapping[str, str]) -> str:
        reason = ""
        for name, read in RANKING_FIELDS.items():
            values = read(ranking, policies)
            self._seen[name] |= values
            if not reason and not self._fits(name, values):
                reason = f"not of the {name} wanted"
        if reason or not {"since", "until"} & self._bounds.keys():
            return reason
        if ranking.submitted is None:
            return "made nobody knows when"
        if not self._bounds.get("since", 0) <= ranking.submitted < self._bounds.get("until", float("inf")):
            return "not of the days wanted"
        return ""

    def _fits(self, name: str, values: set[str]) -> bool:
        return (name not in self._wanted or values <= self._wanted[name]) and not values & self._unwanted[name]

    def _agreement_reason(self, rankings: list[Ranking]) -> str:
        independent = [ranking for ranking in rankings if not ranking.tests_annotator]
        if len({ranking.annotator for ranking in independent}) < self._bounds.get("voices", 0):
            return "of a prompt with fewer annotators than wanted"
        same, decided = agreed(independent)
        if decided and same / decided < self._bounds.get("agreement", 0):
            return "of a prompt with less agreement than wanted"
        return ""


def agreed(rankings: Iterable[Ranking]) -> tuple[int, int]:
    """Return how often two annotators who both prefer a side of a pair prefer the same side, and how often both do.

    If an annotator ranked the prompt twice, only the first ranking counts.
    """
    from label_data.quality.judgements import (
        judged_pairs,  # pandas: 55 MB and a second that only making a version needs
    )

    judgements: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for ranking in rankings:
        for pair, judgement in judged_pairs(ranking).items():
            judgements[pair].setdefault(ranking.annotator, judgement)
    products = [a * b for by_annotator in judgements.values() for a, b in combinations(by_annotator.values(), 2)]
    return products.count(1), products.count(1) + products.count(-1)
