"""How much to believe what people said: every measure of a store's rankings in one report."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from math import isfinite
from typing import Any

import numpy as np

from label_data.intervals import Estimate
from label_data.quality import findings
from label_data.quality.agreement import (
    Agreement,
    Ceiling,
    agreement,
    agreement_by_annotator,
    agreement_by_category,
    agreement_by_policy,
    agreement_by_two,
    human_ceiling,
    meetings,
)
from label_data.quality.bias import (
    Leanings,
    Pull,
    length_leanings,
    markup_leanings,
    place_ranks,
    position_leanings,
    pull,
)
from label_data.quality.consistency import Transitivity, gathering_tests, gold_accuracy, self_consistency, transitivity
from label_data.quality.effort import Outcomes, Speed, StraightLine, outcomes, speeds, straight_lines
from label_data.quality.findings import Finding
from label_data.quality.judgements import Judgements, judgements
from label_data.quality.leaderboard import Leaderboard, leaderboard
from label_data.quality.reliability import Reliability, annotator_weights, dawid_skene
from label_data.records import Group, Ranking

FORMAT = 1
"""Raised when the JSON changes so that old readers would misread it."""


@dataclass(frozen=True, slots=True)
class Quality:
    """The report. Under "" stands what is said of all annotators together."""

    counts: Mapping[str, int]
    left_out: Counter[str]
    findings: tuple[Finding, ...]
    agreement: Agreement
    ceiling: Ceiling
    """Between what the accuracy of the best model lies, against these annotators."""
    by_annotator: Mapping[str, Agreement]
    by_two: Mapping[tuple[str, str], Agreement]
    by_category: Mapping[str, Agreement]
    by_policy: Mapping[str, Agreement]
    self_consistency: Mapping[str, Agreement]
    gold: Mapping[str, Estimate]
    transitivity: Transitivity
    reliability: Mapping[str, Reliability]
    weights: Mapping[str, float]
    position: Leanings
    places: Mapping[tuple[int, int], Estimate]
    length: Leanings
    markup: Leanings
    pull: Pull
    speeds: Mapping[str, Speed]
    straight_lines: Mapping[str, StraightLine]
    outcomes: Mapping[str, Outcomes]
    leaderboard: Leaderboard

    @property
    def unknown_order(self) -> str:
        """Of how many rankings nobody knows in which order the completions were seen; empty if it is known of all."""
        unknown, rankings = self.counts["rankings of no known order shown"], self.counts["rankings"]
        return (
            f"In which order the completions were seen is not known of {unknown:,} of {rankings:,} rankings; they have "
            "no part in what is said of places and of rankings left as shown."
            if unknown
            else ""
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values; what has no data is null."""
        return {"format": FORMAT, **_json(self)}


def quality(groups: Iterable[Group], seed: int = 0) -> Quality:
    """Return the report on the rankings of these groups, hidden repeats and gold answers among them included.

    Args:
        groups: read once, texts not kept.
        seed: decides the resamples of every interval.
    """
    repeats: list[tuple[Ranking, Ranking]] = []
    gold: list[tuple[Ranking, Ranking]] = []
    return quality_of(judgements(gathering_tests(groups, repeats, gold)), repeats, gold, seed)


def quality_of(
    judged: Judgements,
    repeats: Iterable[tuple[Ranking, Ranking]] = (),
    gold: Iterable[tuple[Ranking, Ranking]] = (),
    seed: int = 0,
) -> Quality:
    """As `quality`, of tables and of tests of annotators (`consistency.gathering_tests`) found already."""
    met = meetings(judged)
    overall, by_annotator = agreement(met, seed), agreement_by_annotator(met, seed)
    annotators = dawid_skene(judged, seed=seed).annotators
    position, length, markup = (
        leanings(judged, seed) for leanings in (position_leanings, length_leanings, markup_leanings)
    )
    pace, lines, ends = speeds(judged, seed), straight_lines(judged, seed), outcomes(judged, seed)
    again, right = self_consistency(repeats, seed), gold_accuracy(gold, seed)
    triples = transitivity(judged, seed)
    found = (
        *findings.about_agreement(overall, by_annotator),
        *findings.about_reliability(annotators),
        *findings.about_consistency(again, right, triples),
        *findings.about_place(position),
        *findings.about_effort(pace, lines),
        *findings.about_outcomes(ends),
        *findings.about_feature(length, "longer"),
        *findings.about_feature(markup, "more marked-up"),
    )
    board = leaderboard(judged, seed)
    return Quality(
        counts=_counts(judged, len(met)),
        left_out=judged.left_out + board.left_out,
        findings=found,
        agreement=overall,
        ceiling=human_ceiling(overall.decided.value),
        by_annotator=by_annotator,
        by_two=agreement_by_two(met, seed),
        by_category=agreement_by_category(met, seed),
        by_policy=agreement_by_policy(met, judged, seed),
        self_consistency=again,
        gold=right,
        transitivity=triples,
        reliability=annotators,
        weights=annotator_weights(annotators),
        position=position,
        places=place_ranks(judged, seed),
        length=length,
        markup=markup,
        pull=pull(judged),
        speeds=pace,
        straight_lines=lines,
        outcomes=ends,
        leaderboard=board,
    )


def _counts(judged: Judgements, met: int) -> dict[str, int]:
    said = judged.pairs["judgement"]
    return {
        "prompts": int(judged.rankings["prompt"].nunique()),
        "rankings": len(judged.rankings),
        "rankings of no known order shown": int((~judged.rankings["order_is_known"]).sum()),
        "annotators": int(judged.rankings["annotator"].nunique()),
        "judged pairs": len(said),
        "tied pairs": int((said == 0).sum()),
        "meetings of two annotators on a pair": met,
    }


def _json(value: Any) -> Any:
    if isinstance(value, Estimate):
        return value.as_dict()
    if is_dataclass(value):
        return {field.name: _json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {_key(key): _json(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple | list):
        return [_json(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _key(key: Any) -> str:
    return " / ".join(map(str, key)) if isinstance(key, tuple) else str(key)
