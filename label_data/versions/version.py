"""Versions of a project's data: what was trained on or published can be had again, byte for byte, on any machine.

A version is rows in the store, not a folder beside it: so it is in every copy and backup, `check` looks at it, and no
two people can have different ones by the same name. A row names by id what it holds of one prompt (ids of prompts and
completions are hashes of their content, rankings are append-only), with the comparisons and weights that its recipe
made; triggers keep rows from being changed. A text is stored once, however many versions have it.

The hash is that of the recipe and of all rows with their texts, sorted by content hashes and written as canonical
JSON, so the number, order and time of anything in a database is no part of it. It is computed again whenever a version
is read whole, and what is read is refused if it differs.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select

from label_data.canonical import canonical
from label_data.database import schema
from label_data.database.engine import Store, reading, writing
from label_data.errors import InputError
from label_data.formats.groups import line_of
from label_data.records import Comparison, Group, Ranking
from label_data.store.stored_groups import groups_in
from label_data.versions.pairs import Tie
from label_data.versions.recipes import Recipe, recipe_from

Side = Literal["train", "held_out"]
TRAIN, HELD_OUT = "train", "held_out"
AT_ONCE = 500
"""Prompts read, or rows written, together."""
_versions, _rows, _models = schema.versions, schema.version_rows, schema.version_models
_ROWS = select(_rows.c.place, _rows.c.prompt_id, _rows.c.side, _rows.c.content).order_by(_rows.c.place)


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a project's data."""

    number: int
    name: str
    project: str
    sha256: str
    recipe: Recipe
    manifest: Mapping[str, Any]
    """Recipe, command, counts, what was left out, agreement: JSON values."""
    card: str
    """The data card, markdown."""
    made: int
    """Microseconds since 1970, UTC."""


@dataclass(frozen=True, slots=True)
class VersionGroup:
    """What a version holds of one prompt."""

    group: Group
    side: Side
    family: str
    """Names the near-duplicates among which the prompt is, all on one side."""
    comparisons: tuple[Comparison, ...]
    ties: tuple[Tie, ...]


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A reward model that was trained on a version."""

    folder: str
    report_sha256: str
    """Of the report.json in it."""
    summary: Mapping[str, Any]
    trained: int
    """Microseconds since 1970, UTC."""


# Bytes


def digest_of(recipe: Recipe) -> Any:
    """Return the hash that a version of this recipe begins with, to be updated with `line_in` of each prompt."""
    return hashlib.sha256(f"{canonical(recipe.as_dict())}\n".encode())


def line_in(one: VersionGroup) -> bytes:
    """Return what the hash is taken of: one line of canonical JSON a prompt, with all its texts."""
    return f"{canonical({'group': line_of(one.group), **_said(one)})}\n".encode()


def _said(one: VersionGroup) -> dict[str, Any]:
    """Return side, family, comparisons and ties; completions by their place in the group, from 1, as its line does."""
    at = {completion.id: place for place, completion in enumerate(one.group.completions, start=1)}
    return {
        "side": one.side,
        "family": one.family,
        "comparisons": [
            [at[of.chosen], at[of.rejected], of.annotator, of.strength, of.weight, of.margin] for of in one.comparisons
        ],
        "ties": [[at[of.first], at[of.second], of.annotator, of.weight] for of in one.ties],
    }


def content_of(one: VersionGroup) -> dict[str, Any]:
    """Return what the version holds of the prompt as JSON values, everything by id; `thawed` reads it."""
    key = next((ranking.submission for ranking in one.group.rankings if ranking.purpose == "key"), None)
    return {
        **_said(one),
        "completions": [completion.id for completion in one.group.completions],
        "rankings": [ranking.submission for ranking in one.group.rankings],
        "demonstrations": [demonstration.id for demonstration in one.group.demonstrations],
        "key": key,
    }


def thawed(group: Group, content: Mapping[str, Any]) -> VersionGroup:
    """Return what `content_of` says, given a group that has at least all it names."""
    completions = {completion.id: completion for completion in group.completions}
    rankings = {ranking.submission: ranking for ranking in group.rankings}
    demonstrations = {demonstration.id: demonstration for demonstration in group.demonstrations}
    ids = content["completions"]
    kept = Group(
        group.prompt,
        tuple(completions[id] for id in ids),
        tuple(_as_it_was(rankings[submission], content["key"]) for submission in content["rankings"]),
        tuple(demonstrations[id] for id in content["demonstrations"]),
    )
    return VersionGroup(
        kept,
        content["side"],
        content["family"],
        tuple(
            Comparison(group.prompt.id, ids[chosen - 1], ids[rejected - 1], annotator, strength, weight, margin)
            for chosen, rejected, annotator, strength, weight, margin in content["comparisons"]
        ),
        tuple(
            Tie(ids[one - 1], ids[other - 1], annotator, weight) for one, other, annotator, weight in content["ties"]
        ),
    )


def _as_it_was(ranking: Ranking, key: str | None) -> Ranking:
    """Return the ranking as the known one if it was that when the version was made; the store may have changed it."""
    purpose = "key" if ranking.submission == key else "" if ranking.purpose == "key" else ranking.purpose
    return replace(ranking, purpose=purpose)


# Reading


def versions(store: Store) -> list[Version]:
    """Return the store's versions, first made first."""
    with reading(store) as connection:
        return [version_in(row) for row in connection.execute(select(_versions).order_by(_versions.c.number))]


def version_named(store: Store, name: str) -> Version:
    """Return the version of this name; InputError, with the names there are, if there is none."""
    with reading(store) as connection:
        row = connection.execute(select(_versions).where(_versions.c.name == name)).first()
        if row is not None:
            return version_in(row)
        names = ", ".join(connection.scalars(select(_versions.c.name).order_by(_versions.c.number)))
    has = f"It has {names}" if names else "It has none: python -m label_data versions create NAME makes one"
    raise InputError(f"There is no version {name!r} in this store. {has}.")


def version_in(row: Row[Any]) -> Version:
    """Return the version in a row of the table of versions."""
    manifest = json.loads(row.manifest)
    recipe = recipe_from(manifest["recipe"])
    return Version(row.number, row.name, row.project, row.sha256, recipe, manifest, row.card, row.made_us)


def version_groups(store: Store, version: Version, side: Side | None = None) -> Iterator[VersionGroup]:
    """Yield what the version holds, prompt by prompt, or one side of it; all of it is read and its hash proven.

    Raises:
        InputError: before anything is yielded, if a ranking in it was withdrawn since; at the end, if the hash of what
            was read is another than the version's, so that what was made of it must not be kept.
    """
    with reading(store) as connection:
        withdrawn = _withdrawn(connection, version)
        if withdrawn:
            raise InputError(refusal(version, withdrawn))
        digest = digest_of(version.recipe)
        for one in _all_of(connection, version):
            digest.update(line_in(one))
            if side in (None, one.side):
                yield one
        if digest.hexdigest() != version.sha256:
            raise InputError(
                f"Version {version.name!r} no longer has its hash: the store is damaged. Look at it with "
                "python -m label_data check, and restore a backup."
            )


def _all_of(connection: Connection, version: Version) -> Iterator[VersionGroup]:
    for rows in _row_batches(connection, version):
        found = groups_in(
            connection, [row.prompt_id for row in rows], revised=True, retracted=True, project=version.project
        )
        for group, row in zip(found, rows, strict=True):
            yield thawed(group, json.loads(row.content))


def _row_batches(connection: Connection, version: Version) -> Iterator[Sequence[Row[Any]]]:
    query = _ROWS.where(_rows.c.version == version.number).limit(AT_ONCE)
    last = -1
    while rows := connection.execute(query.where(_rows.c.place > last)).all():
        yield rows
        last = rows[-1].place


def withdrawn_rankings(store: Store, version: Version) -> int:
    """Return how many rankings of the version were withdrawn since it was made."""
    with reading(store) as connection:
        return _withdrawn(connection, version)


def _withdrawn(connection: Connection, version: Version) -> int:
    gone = set(connection.scalars(select(schema.retractions.c.submission)))
    if not gone:
        return 0
    batches = _row_batches(connection, version)
    return sum(len(gone.intersection(json.loads(row.content)["rankings"])) for rows in batches for row in rows)


def refusal(version: Version, withdrawn: int) -> str:
    """Return why a version of which so many rankings were withdrawn is not given out again."""
    were = "ranking in it was" if withdrawn == 1 else "rankings in it were"
    return (
        f"Version {version.name!r} is not given out any more: {withdrawn:,} {were} withdrawn by their annotator. "
        "Make a new one with python -m label_data versions create."
    )


def frozen_rows(store: Store, version: Version) -> dict[str, dict[str, Any]]:
    """Return prompt -> what the version holds of it, by id; also where rankings were withdrawn."""
    with reading(store) as connection:
        batches = _row_batches(connection, version)
        return {row.prompt_id: json.loads(row.content) for rows in batches for row in rows}


def digest_problems(store: Store) -> Iterator[str]:
    """Yield a sentence for each version that no longer has its hash."""
    with reading(store) as connection:
        for row in connection.execute(select(_versions).order_by(_versions.c.number)).all():
            try:
                version = version_in(row)
                digest = digest_of(version.recipe)
                for one in _all_of(connection, version):
                    digest.update(line_in(one))
                if digest.hexdigest() == version.sha256:
                    continue
                why = "what it holds has another hash"
            except (InputError, LookupError, TypeError, ValueError) as error:
                why = f"it can't be read: {type(error).__name__}: {error}"
            yield f"versions: {row.name!r} is not what was made: {why}."


# Models


def record_model(store: Store, version: Version, folder: str, report_sha256: str, summary: Mapping[str, Any]) -> None:
    """Keep that a reward model in this folder was trained on the version."""
    values = {"folder": folder, "report_sha256": report_sha256, "summary": canonical(dict(summary))}
    with writing(store) as connection:
        connection.execute(insert(_models).values(version=version.number, trained_us=schema.now_us(), **values))


def models_of(store: Store, version: Version) -> list[TrainedModel]:
    """Return the models that were trained on the version, first trained first."""
    query = select(_models).where(_models.c.version == version.number).order_by(_models.c.number)
    with reading(store) as connection:
        return [
            TrainedModel(row.folder, row.report_sha256, json.loads(row.summary), row.trained_us)
            for row in connection.execute(query)
        ]
