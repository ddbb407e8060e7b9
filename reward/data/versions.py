"""Training on a version of the data: its split, comparisons, weights and margins."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from label_data.database.engine import Store
from label_data.errors import InputError
from label_data.records import Comparison, Group
from label_data.versions.pairs import EQUAL_TEXTS
from label_data.versions.version import (
    HELD_OUT,
    TRAIN,
    VersionGroup,
    version_groups,
    version_named,
)
from reward.data.sides import Side
from reward.settings import DEFAULTS, Settings, flag_of


@dataclass(frozen=True, slots=True)
class TrainingVersion:
    """A version of the data as training uses it."""

    name: str
    sha256: str
    held_out: float
    """Share of the prompts that is held out."""
    equal_texts: int
    """Number of comparisons that the version left out because their two texts are equal."""
    rows: tuple[VersionGroup, ...]
    """One row per prompt, of both sides."""

    @property
    def groups(self) -> list[Group]:
        """The groups of both sides."""
        return [row.group for row in self.rows]

    def rows_of(self, side: str) -> list[VersionGroup]:
        """Return the rows of one side."""
        return [row for row in self.rows if row.side == side]

    @property
    def sides(self) -> tuple[Side, Side]:
        """The training side and the held-out side."""
        return _side(self.rows_of(TRAIN)), _side(self.rows_of(HELD_OUT))

    def split_validation(self, share: float, seed: int) -> tuple[list[VersionGroup], list[VersionGroup]]:
        """Split the training rows into rows to fit and about this share of rows for early stopping.

        Near-duplicates stay on the same side.
        """
        fitted: list[VersionGroup] = []
        validation: list[VersionGroup] = []
        for row in self.rows_of(TRAIN):
            digest = hashlib.sha256(f"{seed}\n{row.family}".encode()).digest()
            part = validation if int.from_bytes(digest[:8], "big") < share * 2**64 else fitted
            part.append(row)
        return fitted, validation


def _side(rows: Sequence[VersionGroup]) -> Side:
    kept: list[Group] = []
    compared: list[Comparison] = []
    families: list[str] = []
    for row in rows:
        if row.comparisons:
            kept.append(row.group)
            compared += row.comparisons
            families += [row.family] * len(row.comparisons)
    weights = np.array([comparison.weight for comparison in compared])
    return Side(tuple(kept), tuple(compared), np.array(families, dtype=str), weights)


def training_version(store: Store, name: str) -> TrainingVersion:
    """Return the version of this name, complete and with its hash verified.

    Raises InputError if there is no such version, one of its rankings was withdrawn since, or the store is damaged.
    """
    version = version_named(store, name)
    equal_texts = version.manifest["left_out"].get(EQUAL_TEXTS, 0)
    rows = tuple(version_groups(store, version))
    return TrainingVersion(name, version.sha256, version.recipe.held_out, equal_texts, rows)


def check_settings_for_version(settings: Settings) -> None:
    """Raise InputError for settings that a version of the data has already decided."""
    changed = [name for name in ("held_out", "margin", "annotator_weights") if is_changed(settings, name)]
    if changed:
        raise InputError("reward.data.decided_by_version", flags=", ".join(flag_of(name) for name in changed))
    if settings.loss == "plackett-luce":
        raise InputError("reward.data.version_has_pairs")


def is_changed(settings: Settings, name: str) -> bool:
    """Return whether the setting of this name differs from its default."""
    return bool(getattr(settings, name) != getattr(DEFAULTS, name))
