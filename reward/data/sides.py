"""The training and the held-out side of a split, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from label_data.canonical import content_id
from label_data.comparisons import comparisons, group_comparisons
from label_data.errors import InputError
from label_data.records import Comparison, Group


@dataclass(frozen=True, slots=True)
class Side:
    """The train or the held-out side as arrays: one row a comparison."""

    groups: tuple[Group, ...]
    """Those with comparisons."""
    comparisons: tuple[Comparison, ...]
    clusters: np.ndarray
    """Hash of the first turn of each comparison's prompt, or its family of near-duplicates in a version of the data:
    what folds and intervals keep together."""
    weights: np.ndarray

    @property
    def margins(self) -> np.ndarray:
        """The gap asked of each comparison; 0 where nobody asked for one."""
        return np.array([comparison.margin or 0.0 for comparison in self.comparisons])

    @property
    def prompts(self) -> int:
        """How many prompts it has, those that share their first turn counted once."""
        return len(set(self.clusters))

    @property
    def rankings(self) -> int:
        """How many rankings say something here."""
        said = (one for group in self.groups for one in group.rankings if not one.tests_annotator)
        return sum(bool(comparisons(ranking)) for ranking in said)


def side(groups: Sequence[Group]) -> Side:
    """Return the comparisons of the groups as arrays; groups without any are left out."""
    with_some = [(group, found) for group in groups if (found := group_comparisons(group))]
    every = tuple(comparison for _, found in with_some for comparison in found)
    clusters = np.array([content_id(group.prompt.first_turn) for group, found in with_some for _ in found], dtype=str)
    weights = np.array([comparison.weight for comparison in every])
    return Side(tuple(group for group, _ in with_some), every, clusters, weights)


FEWEST_HELD_OUT = 20
"""Held-out prompts below which an accuracy says nothing: its interval would span some 40 points."""


FEWEST_TRAIN = 10
"""Training prompts with comparisons below which there is nothing to cross-validate on."""


def check_enough(train: Side, held_out: float) -> None:
    """Raise InputError, with the number missing, if there are too few training prompts with comparisons."""
    missing = FEWEST_TRAIN - train.prompts
    if missing > 0:
        raise InputError(
            f"{train.prompts} training prompts have a ranking that places one completion above another; at least "
            f"{FEWEST_TRAIN} are needed. Rank about {ceil(missing / (1 - held_out))} more prompts, and about "
            f"{ceil(FEWEST_HELD_OUT / held_out)} in all for a report that says how good the model is."
        )
