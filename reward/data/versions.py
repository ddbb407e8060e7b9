"""Training on a version of the data: its split, pairs, weights and margins, and the version told of the model."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from label_data.database.engine import Store
from label_data.errors import InputError
from label_data.records import Group
from label_data.versions.pairs import TWINS
from label_data.versions.version import (
    HELD_OUT,
    TRAIN,
    VersionGroup,
    version_groups,
    version_named,
)
from reward.data.sides import Side
from reward.settings import DEFAULTS, Settings


@dataclass(frozen=True, slots=True)
class Frozen:
    """A version of the data as training needs it."""

    name: str
    sha256: str
    held_out: float
    """Share of the prompts that is held out."""
    twins: int
    """Comparisons that it left out because the two texts are equal."""
    prompts: tuple[VersionGroup, ...]

    @property
    def groups(self) -> list[Group]:
        """Everything in it, of both sides."""
        return [one.group for one in self.prompts]

    def on(self, side: str) -> list[VersionGroup]:
        """Return what is on one side."""
        return [one for one in self.prompts if one.side == side]

    @property
    def sides(self) -> tuple[Side, Side]:
        """What is trained on, and what is held out."""
        return _side(self.on(TRAIN)), _side(self.on(HELD_OUT))

    def validation(self, share: float, seed: int) -> tuple[list[VersionGroup], list[VersionGroup]]:
        """Return what is trained on in two parts, of which the second, about this share, says when to stop.

        Near-duplicates stay together here too.
        """
        parts: tuple[list[VersionGroup], list[VersionGroup]] = [], []
        for one in self.on(TRAIN):
            digest = hashlib.sha256(f"{seed}\n{one.family}".encode()).digest()
            parts[int.from_bytes(digest[:8], "big") < share * 2**64].append(one)
        return parts


def _side(some: Sequence[VersionGroup]) -> Side:
    with_some = [one for one in some if one.comparisons]
    every = tuple(comparison for one in with_some for comparison in one.comparisons)
    families = np.array([one.family for one in with_some for _ in one.comparisons], dtype=str)
    return Side(tuple(one.group for one in with_some), every, families, np.array([one.weight for one in every]))


def frozen_version(store: Store, name: str) -> Frozen:
    """Return the version of this name, whole and with its hash proven.

    Raises InputError if there is none, a ranking in it was withdrawn since, or the store is damaged.
    """
    version = version_named(store, name)
    twins = version.manifest["left_out"].get(TWINS, 0)
    return Frozen(name, version.sha256, version.recipe.held_out, twins, tuple(version_groups(store, version)))


def check_settings(settings: Settings) -> None:
    """Raise InputError at settings that a version of the data has decided already."""
    decided = [name for name in ("held_out", "margin", "annotator_weights") if differs(settings, name)]
    if decided:
        flags = " and ".join(f"--{name.rstrip('s').replace('_', '-')}" for name in decided)
        raise InputError(f"A version has its own split, weights and margins. Leave {flags} out.")
    if settings.loss == "plackett-luce":
        raise InputError(
            "plackett-luce learns from whole orders, and a version gives pairs. Use the loss bradley-terry, or "
            "davidson with a version that keeps its ties."
        )


def differs(settings: Settings, name: str) -> bool:
    """Was this set to something else than what it is by itself?"""
    return bool(getattr(settings, name) != getattr(DEFAULTS, name))
