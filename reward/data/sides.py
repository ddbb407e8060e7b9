"""The training side and the held-out side of a split, as arrays with one row per comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from label_data.canonical import content_id
from label_data.comparisons import comparisons, group_comparisons
from label_data.errors import InputError
from label_data.records import Comparison, Group

FEWEST_HELD_OUT = 20
"""With fewer held-out prompts no accuracy is reported: its interval would span some 40 percentage points."""
FEWEST_TRAIN = 10
"""With fewer training prompts that have comparisons there is too little to cross-validate on."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a split."""

    groups: tuple[Group, ...]
    """The groups that have comparisons."""
    comparisons: tuple[Comparison, ...]
    clusters: NDArray[np.str_]
    """For each comparison, the hash of the first turn of its prompt, or in a version of the data its family of
    near-duplicates. Folds and intervals keep a cluster together."""
    weights: NDArray[np.float64]
    """Weight of each comparison; the weights of one ranking sum to 1, except in a version with weights of its own."""

    @property
    def margins(self) -> NDArray[np.float64]:
        """The reward margin required of each comparison; 0 if none is required."""
        return np.array([comparison.margin or 0.0 for comparison in self.comparisons])

    @property
    def prompts(self) -> int:
        """The number of prompts; prompts with the same first turn count once."""
        return len(set(self.clusters))

    @property
    def rankings(self) -> int:
        """The number of rankings that imply a comparison, without tests of annotators."""
        rankings = (ranking for group in self.groups for ranking in group.rankings if not ranking.tests_annotator)
        return sum(bool(comparisons(ranking)) for ranking in rankings)


def side(groups: Sequence[Group]) -> Side:
    """Return the comparisons of the groups as arrays, without the groups that have none."""
    kept: list[Group] = []
    rows: list[Comparison] = []
    clusters: list[str] = []
    for group in groups:
        compared = group_comparisons(group)
        if compared:
            kept.append(group)
            rows += compared
            clusters += [content_id(group.prompt.first_turn)] * len(compared)
    weights = np.array([comparison.weight for comparison in rows])
    return Side(tuple(kept), tuple(rows), np.array(clusters, dtype=str), weights)


def check_enough(train: Side, held_out: float) -> None:
    """Raise InputError, with the number of prompts to rank, if there are too few training prompts with comparisons."""
    missing = FEWEST_TRAIN - train.prompts
    if missing > 0:
        raise InputError(
            "reward.data.few_training",
            count=train.prompts,
            least=FEWEST_TRAIN,
            more=ceil(missing / (1 - held_out)),
            all=ceil(FEWEST_HELD_OUT / held_out),
        )
