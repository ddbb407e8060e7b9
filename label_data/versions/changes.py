"""Differences between two versions: what was added, removed and changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import Any

from label_data.intervals import Estimate


@dataclass(frozen=True, slots=True)
class Change:
    """Counts: equal in both versions, only in the second, only in the first, and in both but different."""

    same: int
    added: int
    removed: int
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """The differences between two versions."""

    settings: dict[str, tuple[Any, Any]]
    """Setting that differs -> its value in the first and in the second version."""
    prompts: Change
    """Changed: on the other side of the split."""
    rankings: Change
    comparisons: Change
    """Matched by prompt, chosen, rejected and annotator. Changed: a different weight or margin.

    If a version is aggregated, comparisons are matched without the annotator, because aggregated comparisons have no
    annotator. If only one version is aggregated, no comparison counts as changed, because the weights always differ.
    """
    agreement: dict[str, tuple[str, str]]
    """Measure -> its value, with interval, in the first and in the second version."""
    aggregated: bool = False
    """Whether a version is aggregated, so that comparisons are matched without their annotator."""


Rows = Mapping[str, Mapping[str, Any]]
"""Prompt -> the content of its row in a version, from `versions.version.rows_by_prompt`."""


def changes(first: Mapping[str, Any], rows: Rows, second: Mapping[str, Any], other_rows: Rows) -> Changes:
    """Return the differences, given the manifest and rows of each version."""
    recipe, other_recipe = first["recipe"], second["recipe"]
    raw = [settings["aggregate"] == "raw" for settings in (recipe, other_recipe)]
    both_rows = (rows, other_rows)
    measures = {name: (_shown(first, name), _shown(second, name)) for name in first["agreement"]}
    return Changes(
        settings={name: (recipe[name], other_recipe[name]) for name in recipe if recipe[name] != other_recipe[name]},
        prompts=_change(*map(_sides, both_rows)),
        rankings=_change(*map(_rankings, both_rows)),
        comparisons=_change(
            *(
                _comparisons(version_rows, by_annotator=all(raw), with_weights=raw[0] == raw[1])
                for version_rows in both_rows
            )
        ),
        agreement=measures,
        aggregated=not all(raw),
    )


def _shown(manifest: Mapping[str, Any], measure: str) -> str:
    stored = manifest["agreement"][measure]
    value, low, high = (nan if stored[name] is None else float(stored[name]) for name in ("value", "low", "high"))
    return str(Estimate(value, low, high, stored["count"], stored["prompts"]))


def _sides(rows: Rows) -> dict[str, Any]:
    return {prompt: row["side"] for prompt, row in rows.items()}


def _rankings(rows: Rows) -> dict[str, str]:
    return {submission: "" for row in rows.values() for submission in row["rankings"]}


def _comparisons(rows: Rows, by_annotator: bool, with_weights: bool) -> dict[tuple[str, ...], Any]:
    """Return the weights and margins of each comparison; empty lists without `with_weights`."""
    values: dict[tuple[str, ...], list[Any]] = {}
    for prompt, row in rows.items():
        ids = row["completions"]
        for chosen, rejected, annotator, _, weight, margin in row["comparisons"]:
            key = (prompt, ids[chosen - 1], ids[rejected - 1], annotator if by_annotator else "")
            values.setdefault(key, []).extend([(weight, margin)] if with_weights else [])
    return values


def _change(first: Mapping[Any, Any], second: Mapping[Any, Any]) -> Change:
    """Compare two tables by key; a key in both counts as changed if its values differ."""
    both = first.keys() & second.keys()
    changed = sum(first[key] != second[key] for key in both)
    return Change(len(both) - changed, len(second.keys() - both), len(first.keys() - both), changed)


def lines(names: tuple[str, str], differences: Changes) -> list[str]:
    """Return the differences as lines for a terminal."""
    first, second = names
    output = [f"{'':<12} {'same':>9} {'added':>9} {'removed':>9} {'changed':>9}   (from {first} to {second})"]
    for name in ("prompts", "rankings", "comparisons"):
        change: Change = getattr(differences, name)
        cells = (change.same, change.added, change.removed, change.changed)
        output.append(f"{name:<12} " + " ".join(f"{cell:>9,}" for cell in cells))
    if differences.aggregated:
        output.append("A version is aggregated, so comparisons are matched without their annotator.")
    output += [f"agreement, {name}: {was} -> {now}" for name, (was, now) in differences.agreement.items()]
    output += [f"setting {name}: {was} -> {now}" for name, (was, now) in differences.settings.items()]
    return output if differences.settings else [*output, "The settings are the same."]
