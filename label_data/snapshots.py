"""Versions of a project's data: what was trained on or published can be had again, byte for byte, on any machine.

A version is rows in the store, not a folder beside it: so it is in every copy and backup, `check` looks at it, and no
two people can have different ones by the same name. A row names by id what it holds of one prompt (ids of prompts and
completions are hashes of their content, rankings are append-only), with the comparisons and weights that its recipe
made; triggers keep rows from being changed. A text is stored once, however many versions have it.

The hash is that of the recipe and of all rows with their texts, sorted by content hashes and written as canonical
JSON, so the number, order and time of anything in a database is no part of it. It is computed again whenever a version
is read whole, and what is read is refused if it differs.

What a version is made of is one moment of the store, read in one transaction: on PostgreSQL at REPEATABLE READ, which
sees exactly what was committed before its first query. The highest number of a row would be no such mark, since a
lower number may be committed later; here nothing is told by its number.
"""

import hashlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select

from label_data import schema
from label_data.comparisons import is_held_out
from label_data.consistency import gathering_tests
from label_data.contents import groups_in
from label_data.database import Store, reading, writing
from label_data.formats.groups import line_of
from label_data.judgements import judgements
from label_data.near_duplicates import near_duplicates, texts_of
from label_data.quality import quality_of
from label_data.recipes import Recipe, Selection, recipe_from
from label_data.records import Comparison, Group, InputError, Prompt, Ranking, canonical, content_id
from label_data.reliability import annotator_weights, dawid_skene
from label_data.version_card import Described, card_of
from label_data.version_pairs import Compared, Tie, Voices, compared

Side = Literal["train", "held_out"]
TRAIN, HELD_OUT = "train", "held_out"
NAME = re.compile(r"\w[\w.+-]{0,99}")
FORMAT = 1
"""Raised when the manifest changes so that old readers would misread it."""
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


# Making


@dataclass(frozen=True, slots=True)
class _Split:
    sides: dict[str, Side]
    """Prompt -> side."""
    families: dict[str, str]
    follows: list[str]
    moved: list[str]


def make_version(
    store: Store, name: str, recipe: Recipe, on_progress: Callable[[int], object] = lambda prompts: None
) -> Version:
    """Freeze what the recipe makes of the project's current rankings as a version of this name, and return it.

    A prompt keeps the side that it has in an earlier version of the project with the same share, seed and threshold;
    only where new prompts tie near-duplicates together that were held out with some that were trained on, the former
    come to the training side, and the manifest names them (`moved`). `on_progress` gets 1 for each prompt, twice.

    Raises:
        InputError: if the name is taken or none, a condition fits nothing, nothing is left, or a ranking was withdrawn
            while the version was made.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"A version can't be called {name!r}. Use letters, digits and . _ + -, up to 100 of them.")
    with reading(store) as connection:
        _check_free(connection, name)
        recipe = _with_pseudonyms(connection, recipe)
        selection, described = Selection(recipe), Described()
        prompts: list[Prompt] = []

        def kept() -> Iterator[Group]:
            for group in _groups(connection, recipe.project, _prompt_ids(connection, recipe.project)):
                on_progress(1)
                found = selection.of(group)
                if found is not None:
                    prompts.append(found.prompt)
                    described.add(found)
                    yield found

        repeats: list[tuple[Ranking, Ranking]] = []
        gold: list[tuple[Ranking, Ranking]] = []
        judged = judgements(gathering_tests(kept(), repeats, gold))
        selection.check_seen()
        split = _split(connection, recipe, prompts)
        voices = None
        if "reliability" in (recipe.aggregate, recipe.weights):
            truth = dawid_skene(judged)
            voices = Voices(truth.annotators, truth.tied, annotator_weights(truth.annotators))
        left_out, counts, digest = selection.left_out, Counter(dict.fromkeys(COUNTED, 0)), _digest(recipe)
        rows, submissions = [], set()
        again = Selection(recipe)
        for group in _groups(connection, recipe.project, [prompt.id for prompt in prompts]):
            on_progress(1)
            found = again.of(group)
            if found is None:
                raise RuntimeError(f"Prompt {group.prompt.id} is no longer what it was a moment ago.")
            one = _frozen(found, split, compared(found, recipe, voices, left_out))
            digest.update(_line(one))
            rows.append({"prompt_id": one.group.prompt.id, "side": one.side, "content": canonical(content_of(one))})
            submissions |= {ranking.submission for ranking in found.rankings}
            _count(one, counts)
    if not counts["comparisons"]:
        raise InputError(
            f"Nothing is left to learn from: {counts['rankings']:,} rankings give no comparison"
            + "".join(f"; {times:,} {reason}" for reason, times in (+left_out).most_common(3))
            + ". Rank first, or ask for less."
        )
    sha256, measured = digest.hexdigest(), quality_of(judged, repeats, gold)
    counts["annotators"] = len(described.annotators)
    counts["families of near-duplicates"] = len(set(split.families.values()))
    manifest = {
        "format": FORMAT,
        "name": name,
        "recipe": recipe.as_dict(),
        "sha256": sha256,
        "command": command_of(name, recipe),
        "counts": dict(sorted(counts.items())),
        "left_out": dict(sorted((+left_out).items())),
        "largest_family": max(Counter(split.families.values()).values(), default=0),
        "follows": split.follows,
        "moved": split.moved,
        "agreement": {
            measure: getattr(measured.agreement, measure).as_dict() for measure in ("alpha", "same", "decided", "tau")
        },
        **described.as_dict(),
    }
    card = card_of(manifest, measured)
    with writing(store) as connection:
        _check_free(connection, name)
        withdrawn = submissions & set(connection.scalars(select(schema.retractions.c.submission)))
        if withdrawn:
            raise InputError(
                f"{len(withdrawn):,} rankings were withdrawn meanwhile, so the version was not kept. Make it again."
            )
        values = {"name": name, "project": recipe.project, "sha256": sha256, "card": card}
        made = insert(_versions).values(manifest=canonical(manifest), made_us=schema.now_us(), **values)
        number = connection.scalar(made.returning(_versions.c.number))
        for start in range(0, len(rows), AT_ONCE):
            some = enumerate(rows[start : start + AT_ONCE], start=start)
            connection.execute(insert(_rows), [{"version": number, "place": place, **row} for place, row in some])
    return version_named(store, name)


COUNTED = ("prompts", "completions", "rankings", "demonstrations", "comparisons", "ties", "held-out comparisons")


def _check_free(connection: Connection, name: str) -> None:
    if connection.scalar(select(_versions.c.number).where(_versions.c.name == name)) is not None:
        raise InputError(f"There is a version {name!r} already, and a version never changes. Give this one a new name.")


def _with_pseudonyms(connection: Connection, recipe: Recipe) -> Recipe:
    """Return the recipe with annotators whom conditions name by their name named by their pseudonym."""
    table = schema.annotators
    pseudonym = {row.folded_name: row.id for row in connection.execute(select(table.c.folded_name, table.c.id))}

    def named(condition: str) -> str:
        found = re.fullmatch(r"(annotator!?=)(.*)", condition, re.DOTALL)
        return condition if found is None else found[1] + pseudonym.get(" ".join(found[2].split()).casefold(), found[2])

    return replace(recipe, where=tuple(map(named, recipe.where)))


def _prompt_ids(connection: Connection, project: str) -> list[str]:
    """Return the project's prompts, sorted here: what SQL sorts by is the database's business."""
    return sorted(connection.scalars(select(schema.items.c.prompt_id).where(schema.items.c.project == project)))


def _groups(connection: Connection, project: str, prompts: Sequence[str]) -> Iterator[Group]:
    for start in range(0, len(prompts), AT_ONCE):
        yield from groups_in(connection, prompts[start : start + AT_ONCE], project=project)


def _split(connection: Connection, recipe: Recipe, prompts: Sequence[Prompt]) -> _Split:
    """Put each family of near-duplicates on a side: that which it had, else by the hash of one of its first turns.

    The one is that with the smallest hash of its own, so that a prompt without near-duplicates is on the side on which
    `comparisons.is_held_out` puts it.
    """
    families: dict[int, list[Prompt]] = {}
    for family, prompt in zip(near_duplicates(map(texts_of, prompts), recipe.near), prompts, strict=True):
        families.setdefault(family, []).append(prompt)
    before, follows = _sides_before(connection, recipe)
    split = _Split({}, {}, follows, [])
    for family in families.values():
        first = min(family, key=lambda prompt: (hashlib.sha256(prompt.first_turn.encode()).digest(), prompt.id))
        had = {before[prompt.id] for prompt in family if prompt.id in before}
        side = HELD_OUT if is_held_out(Group(first), recipe.held_out, recipe.seed) else TRAIN
        if had:  # what a model may have learned from never becomes held out
            side = TRAIN if TRAIN in had else HELD_OUT
        for prompt in family:
            split.sides[prompt.id] = side
            split.families[prompt.id] = content_id("family", first.first_turn)
            if before.get(prompt.id, side) != side:
                split.moved.append(prompt.id)
    split.moved.sort()
    return split


def _sides_before(connection: Connection, recipe: Recipe) -> tuple[dict[str, Side], list[str]]:
    """Return the side of each prompt in the newest of the versions split alike that has it, and their names."""
    found: dict[str, Side] = {}
    names = []
    query = select(_versions).where(_versions.c.project == recipe.project).order_by(_versions.c.number)
    for row in connection.execute(query).all():
        earlier = _version(row)
        if all(getattr(earlier.recipe, name) == getattr(recipe, name) for name in ("held_out", "near", "seed")):
            names.append(earlier.name)
            sides = select(_rows.c.prompt_id, _rows.c.side).where(_rows.c.version == earlier.number)
            found |= dict(connection.execute(sides).all())
    return found, names


def _frozen(group: Group, split: _Split, found: Compared) -> VersionGroup:
    """Return the group as the version has it, comparisons and ties in an order of their own."""

    def place(one: Comparison) -> tuple[str, str, str, float, str]:
        return one.chosen, one.rejected, one.annotator, one.weight, canonical([one.strength, one.margin])

    ties = sorted(found.ties, key=lambda one: (one.first, one.second, one.annotator, one.weight))
    prompt = group.prompt.id
    comparisons = tuple(sorted(found.comparisons, key=place))
    return VersionGroup(group, split.sides[prompt], split.families[prompt], comparisons, tuple(ties))


def _count(one: VersionGroup, counts: Counter[str]) -> None:
    counts.update(
        {
            "prompts": 1,
            "completions": len(one.group.completions),
            "rankings": len(one.group.rankings),
            "demonstrations": len(one.group.demonstrations),
            "comparisons": len(one.comparisons),
            "ties": len(one.ties),
            "held-out prompts": int(one.side == HELD_OUT),
            "held-out comparisons": len(one.comparisons) * (one.side == HELD_OUT),
        }
    )


def command_of(name: str, recipe: Recipe) -> str:
    """Return the command that makes a version of this recipe."""
    said = [f"python -m label_data snapshot {name} --project {shlex.quote(recipe.project)}"]
    said += [f"--where {shlex.quote(condition)}" for condition in recipe.where]
    said += [f"--held-out {recipe.held_out} --near {recipe.near} --seed {recipe.seed}"]
    said += [f"--ties {recipe.ties} --aggregate {recipe.aggregate} --weights {recipe.weights}"]
    if recipe.margins:
        said += ["--margin " + ",".join(f"{step}={margin:g}" for step, margin in enumerate(recipe.margins, start=1))]
    return " ".join(said)


# Bytes


def _digest(recipe: Recipe) -> Any:
    return hashlib.sha256(f"{canonical(recipe.as_dict())}\n".encode())


def _line(one: VersionGroup) -> bytes:
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
        return [_version(row) for row in connection.execute(select(_versions).order_by(_versions.c.number))]


def version_named(store: Store, name: str) -> Version:
    """Return the version of this name; InputError, with the names there are, if there is none."""
    with reading(store) as connection:
        row = connection.execute(select(_versions).where(_versions.c.name == name)).first()
        if row is not None:
            return _version(row)
        names = ", ".join(connection.scalars(select(_versions.c.name).order_by(_versions.c.number)))
    has = f"It has {names}" if names else "It has none: python -m label_data snapshot NAME makes one"
    raise InputError(f"There is no version {name!r} in this store. {has}.")


def _version(row: Row[Any]) -> Version:
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
        digest = _digest(version.recipe)
        for one in _all_of(connection, version):
            digest.update(_line(one))
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
        "Make a new one with python -m label_data snapshot."
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
                version = _version(row)
                digest = _digest(version.recipe)
                for one in _all_of(connection, version):
                    digest.update(_line(one))
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
