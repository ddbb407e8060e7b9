"""What is different between two versions: what came, what went, what changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from label_data.intervals import Estimate


@dataclass(frozen=True, slots=True)
class Change:
    """How many there are in both versions, only in the second, only in the first, and in both but different."""

    same: int
    came: int
    went: int
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different between two versions."""

    settings: dict[str, tuple[Any, Any]]
    """Settings that differ -> the first's and the second's."""
    prompts: Change
    """Changed: on the other side of the split."""
    rankings: Change
    comparisons: Change
    """Told by prompt, chosen, rejected and annotator. Changed: another weight or margin.

    Without the annotator where a version is aggregated, as nobody's name stands there; and where the other is not, with
    nothing changed: the one comparison made of several people's weighs otherwise than theirs by what it is.
    """
    agreement: dict[str, tuple[str, str]]
    """Measure -> the first's and the second's, with interval."""
    aggregated: bool = False
    """Is one of the two aggregated, so that comparisons are told by what they say and not by who said it?"""


Rows = Mapping[str, Mapping[str, Any]]
"""Prompt -> what a version holds of it, as `snapshots.frozen_rows` reads it."""


def changes(first: Mapping[str, Any], rows: Rows, second: Mapping[str, Any], other_rows: Rows) -> Changes:
    """Return what is different, given the manifest and rows of one version and of another."""
    one, other = first["recipe"], second["recipe"]
    raw = [recipe["aggregate"] == "raw" for recipe in (one, other)]
    measures = {name: (_shown(first, name), _shown(second, name)) for name in first["agreement"]}
    return Changes(
        settings={name: (one[name], other[name]) for name in one if one[name] != other[name]},
        prompts=_change(*({prompt: row["side"] for prompt, row in some.items()} for some in (rows, other_rows))),
        rankings=_change(
            *({said: "" for row in some.values() for said in row["rankings"]} for some in (rows, other_rows))
        ),
        comparisons=_change(
            *(_comparisons(some, by_annotator=all(raw), weighed=raw[0] == raw[1]) for some in (rows, other_rows))
        ),
        agreement=measures,
        aggregated=not all(raw),
    )


def _shown(manifest: Mapping[str, Any], measure: str) -> str:
    found = {name: float("nan") if value is None else value for name, value in manifest["agreement"][measure].items()}
    return str(Estimate(**found))


def _comparisons(rows: Rows, by_annotator: bool, weighed: bool) -> dict[tuple[str, ...], Any]:
    """Return what stands at each comparison; nothing if weights and margins are not to be compared."""
    found: dict[tuple[str, ...], list[Any]] = {}
    for prompt, row in rows.items():
        ids = row["completions"]
        for chosen, rejected, annotator, _, weight, margin in row["comparisons"]:
            said = (prompt, ids[chosen - 1], ids[rejected - 1], annotator if by_annotator else "")
            found.setdefault(said, []).extend([(weight, margin)] if weighed else [])
    return found


def _change(first: Mapping[Any, Any], second: Mapping[Any, Any]) -> Change:
    """Compare two tables by key: what is in both counts as changed if its values differ."""
    both = first.keys() & second.keys()
    changed = sum(first[key] != second[key] for key in both)
    return Change(len(both) - changed, len(second.keys() - both), len(first.keys() - both), changed)


def lines(names: tuple[str, str], found: Changes) -> list[str]:
    """Return the differences in lines for a terminal."""
    one, other = names
    said = [f"{'':<12} {'same':>9} {'came':>9} {'went':>9} {'changed':>9}   (from {one} to {other})"]
    for name in ("prompts", "rankings", "comparisons"):
        change: Change = getattr(found, name)
        cells = (change.same, change.came, change.went, change.changed)
        said.append(f"{name:<12} " + " ".join(f"{cell:>9,}" for cell in cells))
    if found.aggregated:
        said.append("Comparisons are told by prompt, chosen and rejected, whoever said it: a version is aggregated.")
    said += [f"agreement, {name}: {was} -> {now}" for name, (was, now) in found.agreement.items()]
    said += [f"setting {name}: {was} -> {now}" for name, (was, now) in found.settings.items()]
    return said if found.settings else [*said, "The settings are the same."]
