"""Differences between two versions: what was added, removed and changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import Any

from label_data.intervals import Estimate


@dataclass(frozen=True, slots=True)
class Change:
    """How many are equal in both versions, only in the second, only in the first, and in both but different."""

    same: int
    added: int
    removed: int
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """The differences between two versions."""

    settings: dict[str, tuple[Any, Any]]
    """Settings that differ -> the first's and the second's."""
    prompts: Change
    """Changed: on the other side of the split."""
    rankings: Change
    comparisons: Change
    """Matched by prompt, chosen, rejected and annotator. Changed: a different weight or margin.

    If a version is aggregated, they are matched without the annotator, since its comparisons name none. If the other
    version is not aggregated, none counts as changed, since an aggregated comparison always has another weight.
    """
    agreement: dict[str, tuple[str, str]]
    """Measure -> the first's and the second's, with interval."""
    aggregated: bool = False
    """Whether a version is aggregated, so that comparisons are matched without their annotator."""


Rows = Mapping[str, Mapping[str, Any]]
"""Prompt -> what a version holds of it, as `versions.version.rows_by_prompt` reads it."""


def changes(first: Mapping[str, Any], rows: Rows, second: Mapping[str, Any], other_rows: Rows) -> Changes:
    """Return the differences, given the manifest and rows of each version."""
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
    stored = manifest["agreement"][measure]
    value, low, high = (nan if stored[name] is None else float(stored[name]) for name in ("value", "low", "high"))
    return str(Estimate(value, low, high, stored["count"], stored["prompts"]))


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
    said = [f"{'':<12} {'same':>9} {'added':>9} {'removed':>9} {'changed':>9}   (from {one} to {other})"]
    for name in ("prompts", "rankings", "comparisons"):
        change: Change = getattr(found, name)
        cells = (change.same, change.added, change.removed, change.changed)
        said.append(f"{name:<12} " + " ".join(f"{cell:>9,}" for cell in cells))
    if found.aggregated:
        said.append("A version is aggregated, so comparisons are matched without their annotator.")
    said += [f"agreement, {name}: {was} -> {now}" for name, (was, now) in found.agreement.items()]
    said += [f"setting {name}: {was} -> {now}" for name, (was, now) in found.settings.items()]
    return said if found.settings else [*said, "The settings are the same."]
