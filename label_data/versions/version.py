"""Versions of a project's data: a model's training data can be read again, byte for byte, on any machine.

A version is stored as rows in the store, not as a folder beside it. So every copy and backup contains it, `check`
covers it, and a name stands for the same version for everybody. A row holds a prompt's ids in the version (ids of
prompts and completions are hashes of their content, and rankings are append-only) and the comparisons and weights that
the recipe gave. Triggers prevent changes to rows. A text is stored once, however many versions contain it.

The hash covers the recipe and all rows with their texts, sorted by content hashes and written as canonical JSON. It
does not depend on row numbers, row order or times in a database. Reading a whole version computes the hash again and
fails if it differs.
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
from label_data.sentences import Sentence, say
from label_data.store.stored_groups import groups_in
from label_data.versions.pairs import Tie
from label_data.versions.recipes import Recipe, recipe_from

Side = Literal["train", "held_out"]
TRAIN: Literal["train"] = "train"
HELD_OUT: Literal["held_out"] = "held_out"
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
    """A prompt in a version: its group, side, family, comparisons and ties."""

    group: Group
    side: Side
    family: str
    """Id of the prompt's family of near-duplicates, which are all on the same side."""
    comparisons: tuple[Comparison, ...]
    ties: tuple[Tie, ...]


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A reward model that was trained on a version."""

    folder: str
    report_sha256: str
    """Hash of the report.json in the folder."""
    summary: Mapping[str, Any]
    trained: int
    """Microseconds since 1970, UTC."""


# Bytes


def digest_of(recipe: Recipe) -> Any:
    """Return the hash of a version with this recipe before any prompt; update it with each prompt's `hashed_line`."""
    return hashlib.sha256(f"{canonical(recipe.as_dict())}\n".encode())


def hashed_line(version_group: VersionGroup) -> bytes:
    """Return the bytes to hash for a prompt: one line of canonical JSON with all its texts."""
    return f"{canonical({'group': line_of(version_group.group), **_labels(version_group)})}\n".encode()


def _labels(version_group: VersionGroup) -> dict[str, Any]:
    """Return side, family, comparisons and ties as JSON values; completions by their place in the group, from 1."""
    places = {completion.id: place for place, completion in enumerate(version_group.group.completions, start=1)}
    return {
        "side": version_group.side,
        "family": version_group.family,
        "comparisons": [
            [places[pair.chosen], places[pair.rejected], pair.annotator, pair.strength, pair.weight, pair.margin]
            for pair in version_group.comparisons
        ],
        "ties": [[places[tie.first], places[tie.second], tie.annotator, tie.weight] for tie in version_group.ties],
    }


def content_of(version_group: VersionGroup) -> dict[str, Any]:
    """Return the prompt's content in the version as JSON values, with ids for texts; see `group_from_content`."""
    group = version_group.group
    key = next((ranking.submission for ranking in group.rankings if ranking.purpose == "key"), None)
    return {
        **_labels(version_group),
        "completions": [completion.id for completion in group.completions],
        "rankings": [ranking.submission for ranking in group.rankings],
        "demonstrations": [demonstration.id for demonstration in group.demonstrations],
        "key": key,
    }


def group_from_content(group: Group, content: Mapping[str, Any]) -> VersionGroup:
    """Return the `VersionGroup` that `content_of` wrote, given a group with at least all ids in the content."""
    completions = {completion.id: completion for completion in group.completions}
    rankings = {ranking.submission: ranking for ranking in group.rankings}
    demonstrations = {demonstration.id: demonstration for demonstration in group.demonstrations}
    ids = content["completions"]
    kept = Group(
        group.prompt,
        tuple(completions[id] for id in ids),
        tuple(_original_purpose(rankings[submission], content["key"]) for submission in content["rankings"]),
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
            Tie(ids[first - 1], ids[second - 1], annotator, weight)
            for first, second, annotator, weight in content["ties"]
        ),
    )


def _original_purpose(ranking: Ranking, key: str | None) -> Ranking:
    """Return the ranking with its purpose at the version's creation; the store may have changed it since."""
    purpose = "key" if ranking.submission == key else "" if ranking.purpose == "key" else ranking.purpose
    return replace(ranking, purpose=purpose)


# Reading


def versions(store: Store) -> list[Version]:
    """Return the store's versions, oldest first."""
    with reading(store) as connection:
        return [version_in(row) for row in connection.execute(select(_versions).order_by(_versions.c.number))]


def version_named(store: Store, name: str) -> Version:
    """Return the version with this name; InputError, with the existing names, if there is none."""
    with reading(store) as connection:
        row = connection.execute(select(_versions).where(_versions.c.name == name)).first()
        if row is not None:
            return version_in(row)
        names = ", ".join(connection.scalars(select(_versions.c.name).order_by(_versions.c.number)))
    if not names:
        raise InputError("label_data.versions.unknown_none", name=name)
    raise InputError("label_data.versions.unknown", name=name, names=names)


def version_in(row: Row[Any]) -> Version:
    """Return the version in a row of the table of versions."""
    manifest = json.loads(row.manifest)
    recipe = recipe_from(manifest["recipe"])
    return Version(row.number, row.name, row.project, row.sha256, recipe, manifest, row.card, row.made_us)


def version_groups(store: Store, version: Version, side: Side | None = None) -> Iterator[VersionGroup]:
    """Yield the version's groups, or those on one side; read the whole version in any case and check its hash.

    Raises:
        InputError: before the first group, if a ranking was withdrawn since; after the last group, if the hash differs,
            in which case the caller must discard everything derived from the groups.
    """
    with reading(store) as connection:
        withdrawn = _withdrawn(connection, version)
        if withdrawn:
            raise InputError("label_data.versions.withdrawn", name=version.name, count=withdrawn)
        digest = digest_of(version.recipe)
        for version_group in _all_groups(connection, version):
            digest.update(hashed_line(version_group))
            if side in (None, version_group.side):
                yield version_group
        if digest.hexdigest() != version.sha256:
            raise InputError("label_data.versions.damaged", name=version.name)


def _all_groups(connection: Connection, version: Version) -> Iterator[VersionGroup]:
    for rows in _row_batches(connection, version):
        groups = groups_in(
            connection, [row.prompt_id for row in rows], revised=True, retracted=True, project=version.project
        )
        for group, row in zip(groups, rows, strict=True):
            yield group_from_content(group, json.loads(row.content))


def _row_batches(connection: Connection, version: Version) -> Iterator[Sequence[Any]]:
    """Yield batches of the rows of `_ROWS` (Any: the columns of the tables are not typed)."""
    query = _ROWS.where(_rows.c.version == version.number).limit(AT_ONCE)
    last = -1
    while rows := connection.execute(query.where(_rows.c.place > last)).all():
        yield rows
        last = rows[-1].place


def withdrawn_rankings(store: Store, version: Version) -> int:
    """Return the number of rankings of the version that were withdrawn after its creation."""
    with reading(store) as connection:
        return _withdrawn(connection, version)


def _withdrawn(connection: Connection, version: Version) -> int:
    retracted = set(connection.scalars(select(schema.retractions.c.submission)))
    if not retracted:
        return 0
    batches = _row_batches(connection, version)
    return sum(len(retracted.intersection(json.loads(row.content)["rankings"])) for rows in batches for row in rows)


def refusal(version: Version, withdrawn: int) -> Sentence:
    """Return the sentence that a version with this many withdrawn rankings can no longer be read or exported."""
    return say("label_data.versions.withdrawn", name=version.name, count=withdrawn)


def rows_by_prompt(store: Store, version: Version) -> dict[str, dict[str, Any]]:
    """Return prompt -> its content in the version, with ids for texts; withdrawn rankings are included."""
    with reading(store) as connection:
        batches = _row_batches(connection, version)
        return {row.prompt_id: json.loads(row.content) for rows in batches for row in rows}


def digest_problems(store: Store) -> Iterator[str]:
    """Yield a sentence for each version whose hash no longer matches or that cannot be read."""
    with reading(store) as connection:
        for row in connection.execute(select(_versions).order_by(_versions.c.number)).all():
            try:
                version = version_in(row)
                digest = digest_of(version.recipe)
                for version_group in _all_groups(connection, version):
                    digest.update(hashed_line(version_group))
                if digest.hexdigest() == version.sha256:
                    continue
                reason = "what it holds has another hash"
            except (InputError, LookupError, TypeError, ValueError) as error:
                reason = f"it can't be read: {type(error).__name__}: {error}"
            yield f"versions: {row.name!r} is not what was made: {reason}."


# Models


def record_model(store: Store, version: Version, folder: str, report_sha256: str, summary: Mapping[str, Any]) -> None:
    """Record that the reward model in this folder was trained on the version."""
    values = {"folder": folder, "report_sha256": report_sha256, "summary": canonical(dict(summary))}
    with writing(store) as connection:
        connection.execute(insert(_models).values(version=version.number, trained_us=schema.now_us(), **values))


def models_of(store: Store, version: Version) -> list[TrainedModel]:
    """Return the models that were trained on the version, oldest first."""
    query = select(_models).where(_models.c.version == version.number).order_by(_models.c.number)
    with reading(store) as connection:
        return [
            TrainedModel(row.folder, row.report_sha256, json.loads(row.summary), row.trained_us)
            for row in connection.execute(query)
        ]
