"""Create a version: apply the recipe, split the prompts, hash the result.

A version holds one moment of the store, read in one transaction: on PostgreSQL at REPEATABLE READ, which sees exactly
what was committed before its first query. The highest number of a row cannot mark that moment, since a lower number may
be committed later.
"""

import hashlib
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, insert, select

from label_data.canonical import canonical, content_id
from label_data.comparisons import is_held_out
from label_data.database import schema
from label_data.database.engine import Store, reading, writing
from label_data.errors import InputError
from label_data.quality.consistency import collect_tests
from label_data.quality.judgements import judgements
from label_data.quality.reliability import annotator_weights, dawid_skene
from label_data.quality.report import quality_of
from label_data.records import Comparison, Group, Prompt, Ranking
from label_data.sentences import Sentence, plain, say
from label_data.store.stored_groups import groups_in
from label_data.versions.card import Described, card_of
from label_data.versions.near_duplicates import near_duplicates, texts_of
from label_data.versions.pairs import AnnotatorReliability, Derived, derive
from label_data.versions.recipes import Recipe, Selection
from label_data.versions.version import (
    AT_ONCE,
    HELD_OUT,
    TRAIN,
    Side,
    Version,
    VersionGroup,
    content_of,
    digest_of,
    hashed_line,
    version_in,
    version_named,
)

NAME = re.compile(r"\w[\w.+-]{0,99}")
FORMAT = 1
"""Increased when the manifest changes in a way that old readers would misread."""
_versions, _rows = schema.versions, schema.version_rows


@dataclass(frozen=True, slots=True)
class _Split:
    sides: dict[str, Side]
    """Prompt -> side."""
    families: dict[str, str]
    """Prompt -> id of its family of near-duplicates."""
    earlier_versions: list[str]
    """Names of the versions whose sides the split keeps."""
    moved: list[str]
    """Prompts that move from held out to training."""


def make_version(
    store: Store, name: str, recipe: Recipe, on_progress: Callable[[int], object] = lambda prompts: None
) -> Version:
    """Create a version of this name from the project's current rankings, and return it.

    A prompt keeps its side from an earlier version of the project with the same share, seed and threshold. The one
    exception: if a new prompt joins held-out near-duplicates to training prompts, the held-out prompts move to the
    training side, and the manifest names them (`moved`). `on_progress` gets 1 for each prompt, twice.

    Raises:
        InputError: if the name is taken or invalid, a condition matches nothing, no comparison is left, or a ranking
            was withdrawn while the version was created.
    """
    if not NAME.fullmatch(name):
        raise InputError("label_data.versions.bad_name", name=name)
    with reading(store) as connection:
        _check_free(connection, name)
        recipe = _with_pseudonyms(connection, recipe)
        selection, described = Selection(recipe), Described()
        prompts: list[Prompt] = []

        def kept() -> Iterator[Group]:
            for group in _groups(connection, recipe.project, _prompt_ids(connection, recipe.project)):
                on_progress(1)
                selected = selection.select(group)
                if selected is not None:
                    prompts.append(selected.prompt)
                    described.add(selected)
                    yield selected

        repeats: list[tuple[Ranking, Ranking]] = []
        gold: list[tuple[Ranking, Ranking]] = []
        judged = judgements(collect_tests(kept(), repeats, gold))
        selection.check_seen()
        split = _split(connection, recipe, prompts)
        reliability = None
        if "reliability" in (recipe.aggregate, recipe.weights):
            truth = dawid_skene(judged)
            weights = annotator_weights(truth.annotators)
            reliability = AnnotatorReliability(truth.annotators, truth.tied, weights)
        left_out, counts, digest = selection.left_out, Counter(dict.fromkeys(COUNTED, 0)), digest_of(recipe)
        rows, submissions = [], set()
        second_selection = Selection(recipe)
        for group in _groups(connection, recipe.project, [prompt.id for prompt in prompts]):
            on_progress(1)
            selected = second_selection.select(group)
            if selected is None:
                raise RuntimeError(f"Prompt {group.prompt.id} is no longer what it was a moment ago.")
            version_group = _version_group(selected, split, derive(selected, recipe, reliability, left_out))
            digest.update(hashed_line(version_group))
            content = canonical(content_of(version_group))
            rows.append({"prompt_id": group.prompt.id, "side": version_group.side, "content": content})
            submissions |= {ranking.submission for ranking in selected.rankings}
            _count(version_group, counts)
    if not counts["comparisons"]:
        raise InputError("label_data.versions.empty", rankings=counts["rankings"], reasons=_reasons(left_out))
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
        "follows": split.earlier_versions,
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
            raise InputError("label_data.versions.withdrawn_meanwhile", count=len(withdrawn))
        values = {"name": name, "project": recipe.project, "sha256": sha256, "card": card}
        insertion = insert(_versions).values(manifest=canonical(manifest), made_us=schema.now_us(), **values)
        number = connection.scalar(insertion.returning(_versions.c.number))
        for start in range(0, len(rows), AT_ONCE):
            batch = enumerate(rows[start : start + AT_ONCE], start=start)
            connection.execute(insert(_rows), [{"version": number, "place": place, **row} for place, row in batch])
    return version_named(store, name)


def _reasons(left_out: Counter[str]) -> Sentence:
    """Return the three most frequent reasons, each after a semicolon."""
    reasons = [
        say("label_data.versions.reason", count=count, reason=reason) for reason, count in (+left_out).most_common(3)
    ]
    first, second, third = (*reasons, plain(""), plain(""), plain(""))[:3]
    return say("label_data.versions.reasons", first=first, second=second, third=third)


COUNTED = ("prompts", "completions", "rankings", "demonstrations", "comparisons", "ties", "held-out comparisons")


def _check_free(connection: Connection, name: str) -> None:
    if connection.scalar(select(_versions.c.number).where(_versions.c.name == name)) is not None:
        raise InputError("label_data.versions.name_taken", name=name)


def _with_pseudonyms(connection: Connection, recipe: Recipe) -> Recipe:
    """Return the recipe with pseudonyms in place of annotators' names in its conditions."""
    table = schema.annotators
    pseudonym = {row.folded_name: row.id for row in connection.execute(select(table.c.folded_name, table.c.id))}

    def with_pseudonym(condition: str) -> str:
        match = re.fullmatch(r"(annotator!?=)(.*)", condition, re.DOTALL)
        if match is None:
            return condition
        field, name = str(match[1]), str(match[2])
        return field + str(pseudonym.get(" ".join(name.split()).casefold(), name))

    return replace(recipe, where=tuple(map(with_pseudonym, recipe.where)))


def _prompt_ids(connection: Connection, project: str) -> list[str]:
    """Return the ids of the project's prompts, sorted here because databases sort text differently."""
    return sorted(connection.scalars(select(schema.items.c.prompt_id).where(schema.items.c.project == project)))


def _groups(connection: Connection, project: str, prompts: Sequence[str]) -> Iterator[Group]:
    for start in range(0, len(prompts), AT_ONCE):
        yield from groups_in(connection, prompts[start : start + AT_ONCE], project=project)


def _split(connection: Connection, recipe: Recipe, prompts: Sequence[Prompt]) -> _Split:
    """Put each family of near-duplicates on a side: its earlier side, or else by the hash of one of its first turns.

    The first turn with the smallest hash decides, so a prompt without near-duplicates is on the side that
    `comparisons.is_held_out` gives it.
    """
    families: dict[int, list[Prompt]] = {}
    for family, prompt in zip(near_duplicates(map(texts_of, prompts), recipe.near), prompts, strict=True):
        families.setdefault(family, []).append(prompt)
    earlier_sides, earlier_versions = _earlier_sides(connection, recipe)
    split = _Split({}, {}, earlier_versions, [])
    for members in families.values():
        first = min(members, key=lambda prompt: (hashlib.sha256(prompt.first_turn.encode()).digest(), prompt.id))
        earlier = {earlier_sides[prompt.id] for prompt in members if prompt.id in earlier_sides}
        side: Side = HELD_OUT if is_held_out(Group(first), recipe.held_out, recipe.seed) else TRAIN
        if earlier:  # a prompt that a model may have been trained on never becomes held out
            side = TRAIN if TRAIN in earlier else HELD_OUT
        for prompt in members:
            split.sides[prompt.id] = side
            split.families[prompt.id] = content_id("family", first.first_turn)
            if earlier_sides.get(prompt.id, side) != side:
                split.moved.append(prompt.id)
    split.moved.sort()
    return split


def _earlier_sides(connection: Connection, recipe: Recipe) -> tuple[dict[str, Side], list[str]]:
    """Return each prompt's side in the newest version with the same split settings, and the names of these versions."""
    sides: dict[str, Side] = {}
    names = []
    query = select(_versions).where(_versions.c.project == recipe.project).order_by(_versions.c.number)
    for row in connection.execute(query).all():
        earlier = version_in(row)
        if all(getattr(earlier.recipe, name) == getattr(recipe, name) for name in ("held_out", "near", "seed")):
            names.append(earlier.name)
            side_rows = select(_rows.c.prompt_id, _rows.c.side).where(_rows.c.version == earlier.number)
            sides |= dict(connection.execute(side_rows).all())
    return sides, names


def _version_group(group: Group, split: _Split, derived: Derived) -> VersionGroup:
    """Return the group with its side and family, its comparisons and its ties, both sorted."""

    def sort_key(pair: Comparison) -> tuple[str, str, str, float, str]:
        return pair.chosen, pair.rejected, pair.annotator, pair.weight, canonical([pair.strength, pair.margin])

    ties = sorted(derived.ties, key=lambda tie: (tie.first, tie.second, tie.annotator, tie.weight))
    prompt = group.prompt.id
    comparisons = tuple(sorted(derived.comparisons, key=sort_key))
    return VersionGroup(group, split.sides[prompt], split.families[prompt], comparisons, tuple(ties))


def _count(version_group: VersionGroup, counts: Counter[str]) -> None:
    counts.update(
        {
            "prompts": 1,
            "completions": len(version_group.group.completions),
            "rankings": len(version_group.group.rankings),
            "demonstrations": len(version_group.group.demonstrations),
            "comparisons": len(version_group.comparisons),
            "ties": len(version_group.ties),
            "held-out prompts": int(version_group.side == HELD_OUT),
            "held-out comparisons": len(version_group.comparisons) * (version_group.side == HELD_OUT),
        }
    )


def command_of(name: str, recipe: Recipe) -> str:
    """Return the command that creates a version with this recipe."""
    parts = [f"python -m label_data versions create {name} --project {shlex.quote(recipe.project)}"]
    parts += [f"--where {shlex.quote(condition)}" for condition in recipe.where]
    parts += [f"--held-out {recipe.held_out} --near {recipe.near} --seed {recipe.seed}"]
    parts += [f"--ties {recipe.ties} --aggregate {recipe.aggregate} --weights {recipe.weights}"]
    if recipe.margins:
        parts += ["--margin " + ",".join(f"{step}={margin:g}" for step, margin in enumerate(recipe.margins, start=1))]
    return " ".join(parts)
