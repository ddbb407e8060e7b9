"""Export a version to a file: the same rows every time, or an error after any of its rankings was withdrawn."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from label_data.database.engine import Store
from label_data.errors import InputError
from label_data.exchange.exporting import Exported, exported
from label_data.exchange.known_formats import PAIR_WRITERS, WITH_MARGIN, WRITERS
from label_data.formats.pair_rows import TIE, Pair
from label_data.formats.trainers import nemo_rl, trl_sft
from label_data.records import Group
from label_data.sentences import Sentence, say
from label_data.versions.version import Side, Version, VersionGroup, version_groups

TIED_DROPPED = say("label_data.versions.tied_dropped")
AGGREGATED = say("label_data.versions.aggregated")


def export_version(
    store: Store, version: Version, file: Path, format_: str, with_margin: bool = False, side: Side | None = None
) -> Exported:
    """Write the version, or one side of it, in a format of `known_formats.WRITERS`; write the whole file or no file.

    A format of pairs gets the version's comparisons: aggregated, with ties in both directions if the recipe halves
    ties, and with margins if `with_margin`. It cannot hold weights, so these are counted as left out. A format of whole
    orders gets the annotators' rankings, without rankings with a tie if the recipe drops ties. Any other format gets
    the version's whole content. Only formats of pairs contain aggregated comparisons; for other formats `left_out`
    reports that they are missing.

    Raises:
        InputError: if a ranking in the version was withdrawn, the store is damaged, or the file can't be written.
    """
    left_out: Counter[Sentence] = Counter()
    contents = version_groups(store, version, side)
    if with_margin and format_ not in WITH_MARGIN:
        raise InputError("label_data.exchange.no_margin", format=format_, formats=", ".join(sorted(WITH_MARGIN)))
    if format_ in PAIR_WRITERS:
        write = PAIR_WRITERS[format_]
        write = partial(write, with_margin=True) if with_margin else write
        return exported(partial(write, file, _pairs(contents, left_out)), left_out)
    groups: Iterable[Group] = (version_group.group for version_group in contents)
    if version.recipe.aggregate != "raw" and format_ != trl_sft.NAME:
        left_out[AGGREGATED] += 1
    if format_ == nemo_rl.NAME and version.recipe.ties == "drop":
        groups = _without_ties(groups, left_out)
    return exported(partial(WRITERS[format_], file, groups), left_out)


def _pairs(contents: Iterable[VersionGroup], left_out: Counter[Sentence]) -> Iterator[Pair]:
    for version_group in contents:
        prompt = version_group.group.prompt.as_json
        texts = {completion.id: completion.text for completion in version_group.group.completions}
        left_out[TIE] += len(version_group.ties)
        for pair in version_group.comparisons:
            yield Pair(prompt, texts[pair.chosen], texts[pair.rejected], pair.margin, pair.weight)


def _without_ties(groups: Iterable[Group], left_out: Counter[Sentence]) -> Iterator[Group]:
    for group in groups:
        strict = tuple(ranking for ranking in group.rankings if all(len(tied) == 1 for tied in ranking.order))
        left_out[TIED_DROPPED] += len(group.rankings) - len(strict)
        yield replace(group, rankings=strict)
