"""The human ceiling: a model can't agree with annotators more than their agreement with each other allows."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import isnan, nan

from label_data.intervals import Estimate
from label_data.quality.agreement import agreement, human_ceiling, meetings
from label_data.quality.judgements import judgements
from label_data.records import Group


@dataclass(frozen=True, slots=True)
class Human:
    """How often annotators agree with each other, which bounds the accuracy of any model."""

    agreement: Estimate
    """How often two annotators who both take a side of a pair take the same side; nan if that never happened."""
    low: float
    high: float
    """Bounds on the best possible model's accuracy against one annotator; see `human_ceiling`."""


def human_agreement(groups: Iterable[Group], seed: int = 0) -> Human:
    """Return how often the annotators of these groups agree; rankings that test annotators are left out.

    Prompts ranked by two annotators count on both sides of the split, because agreement does not depend on a model.
    """
    untested = (
        replace(group, rankings=tuple(ranking for ranking in group.rankings if not ranking.tests_annotator))
        for group in groups
    )
    decided = agreement(meetings(judgements(untested)), seed).decided
    ceiling = human_ceiling(decided.value)
    return Human(decided, ceiling.low, ceiling.high if not isnan(decided.value) else nan)
