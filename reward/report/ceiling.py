"""How good a model could be at best: no better than people agree with each other."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import isnan, nan

from label_data.intervals import Estimate
from label_data.quality.agreement import agreement, human_ceiling, meetings
from label_data.quality.judgements import judgements
from label_data.records import Group


@dataclass(frozen=True, slots=True)
class Human:
    """How far annotators agree with each other, beside which a model's accuracy is to be read."""

    agreement: Estimate
    """Share of the same side where two annotators both take one of the same pair; nan if no two ever did."""
    low: float
    high: float
    """Between these lies the accuracy of the best possible model against one annotator; see `human_ceiling`."""


def human_agreement(groups: Iterable[Group], seed: int = 0) -> Human:
    """Return how far the annotators of these groups agree; rankings that test them are left out.

    Every prompt that two annotators ranked counts, on whichever side of the split: agreement is theirs, not a model's.
    """
    said = (replace(one, rankings=tuple(r for r in one.rankings if not r.tests_annotator)) for one in groups)
    decided = agreement(meetings(judgements(said)), seed).decided
    ceiling = human_ceiling(decided.value)
    return Human(decided, ceiling.low, ceiling.high if not isnan(decided.value) else nan)


def human_verdict(human: Human) -> str:
    """Return one or two sentences: how far people agree, and so how good a model could be."""
    found = human.agreement
    if isnan(found.value):
        return (
            "No two annotators took a side of the same pair, so nobody knows how good a model could be at best. "
            "Have some prompts ranked by two people."
        )
    ends = (
        "too few prompts for an interval" if isnan(found.low) else f"95 % interval {found.low:.1%} to {found.high:.1%}"
    )
    said = (
        f"Where two annotators both take a side of the same pair, it is the same one in {found.value:.1%} of "
        f"{found.count:,} cases on {found.prompts:,} prompts ({ends})."
    )
    if isnan(human.high):
        return f"{said} They contradict each other more often than coins would, so no model can be held against them."
    return f"{said} So the best possible model would order {human.low:.1%} to {human.high:.1%} as one annotator did."
