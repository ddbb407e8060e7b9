"""The quality report: every measure of a store's rankings, and the findings that call for action."""

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
    BiasByAnnotator,
    FeatureEffects,
    feature_effects,
    length_bias,
    markup_bias,
    mean_rank_by_place,
    position_bias,
)
from label_data.quality.consistency import Transitivity, collect_tests, gold_accuracy, self_agreement, transitivity
from label_data.quality.effort import Outcomes, Speed, StraightLining, outcomes, speeds, straight_lining
from label_data.quality.findings import Finding
from label_data.quality.judgements import Judgements, judgements
from label_data.quality.leaderboard import Leaderboard, leaderboard
from label_data.quality.reliability import Reliability, annotator_weights, dawid_skene
from label_data.records import Group, Ranking
from label_data.sentences import Sentence, say

FORMAT = 1
"""Increased when the JSON changes in a way that old readers would misread."""


@dataclass(frozen=True, slots=True)
class Quality:
    """The report. In mappings by annotator, "" stands for all annotators together.

    The names of the fields, here and in the records below, are the keys of the JSON report.
    """

    counts: Mapping[str, int]
    left_out: Counter[Sentence]
    findings: tuple[Finding, ...]
    agreement: Agreement
    ceiling: Ceiling
    """Bounds on the accuracy of the best possible model against one of these annotators."""
    by_annotator: Mapping[str, Agreement]
    by_two: Mapping[tuple[str, str], Agreement]
    by_category: Mapping[str, Agreement]
    by_policy: Mapping[str, Agreement]
    self_consistency: Mapping[str, Agreement]
    gold: Mapping[str, Estimate]
    transitivity: Transitivity
    reliability: Mapping[str, Reliability]
    weights: Mapping[str, float]
    position: BiasByAnnotator
    places: Mapping[tuple[int, int], Estimate]
    length: BiasByAnnotator
    markup: BiasByAnnotator
    pull: FeatureEffects
    speeds: Mapping[str, Speed]
    straight_lines: Mapping[str, StraightLining]
    outcomes: Mapping[str, Outcomes]
    leaderboard: Leaderboard

    @property
    def unknown_order(self) -> Sentence | None:
        """How many rankings have an unknown display order, and what that means; None if it is known for all."""
        unknown, rankings = self.counts["rankings of no known order shown"], self.counts["rankings"]
        return say("label_data.quality.unknown_order", unknown=unknown, rankings=rankings) if unknown else None

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values, sentences in English; a measure without data is null."""
        return {"format": FORMAT, **_json(self)}


def quality(groups: Iterable[Group], seed: int = 0) -> Quality:
    """Return the report on the rankings of these groups, hidden repeats and gold rankings included.

    Args:
        groups: read once; texts are not kept.
        seed: decides the resamples of every interval.
    """
    repeats: list[tuple[Ranking, Ranking]] = []
    gold: list[tuple[Ranking, Ranking]] = []
    return quality_of(judgements(collect_tests(groups, repeats, gold)), repeats, gold, seed)


def quality_of(
    judged: Judgements,
    repeats: Iterable[tuple[Ranking, Ranking]] = (),
    gold: Iterable[tuple[Ranking, Ranking]] = (),
    seed: int = 0,
) -> Quality:
    """As `quality`, from tables and from the tests of annotators that `consistency.collect_tests` collected."""
    met = meetings(judged)
    overall, by_annotator = agreement(met, seed), agreement_by_annotator(met, seed)
    annotators = dawid_skene(judged, seed=seed).annotators
    position, length, markup = (bias(judged, seed) for bias in (position_bias, length_bias, markup_bias))
    pace, lines, shares = speeds(judged, seed), straight_lining(judged, seed), outcomes(judged, seed)
    own_agreement, accuracy = self_agreement(repeats, seed), gold_accuracy(gold, seed)
    triples = transitivity(judged, seed)
    board = leaderboard(judged, seed)
    return Quality(
        counts=_counts(judged, len(met)),
        left_out=judged.left_out + board.left_out,
        findings=(
            *findings.agreement_findings(overall, by_annotator),
            *findings.reliability_findings(annotators),
            *findings.consistency_findings(own_agreement, accuracy, triples),
            *findings.position_findings(position),
            *findings.effort_findings(pace, lines),
            *findings.outcome_findings(shares),
            *findings.feature_findings(length, say("label_data.quality.longer")),
            *findings.feature_findings(markup, say("label_data.quality.more_markdown")),
        ),
        agreement=overall,
        ceiling=human_ceiling(overall.decided.value),
        by_annotator=by_annotator,
        by_two=agreement_by_two(met, seed),
        by_category=agreement_by_category(met, seed),
        by_policy=agreement_by_policy(met, judged, seed),
        self_consistency=own_agreement,
        gold=accuracy,
        transitivity=triples,
        reliability=annotators,
        weights=annotator_weights(annotators),
        position=position,
        places=mean_rank_by_place(judged, seed),
        length=length,
        markup=markup,
        pull=feature_effects(judged),
        speeds=pace,
        straight_lines=lines,
        outcomes=shares,
        leaderboard=board,
    )


def _counts(judged: Judgements, met: int) -> dict[str, int]:
    """Return the counts of the report; their names are keys of the JSON report."""
    judgement = judged.pairs["judgement"]
    return {
        "prompts": int(judged.rankings["prompt"].nunique()),
        "rankings": len(judged.rankings),
        "rankings of no known order shown": int((~judged.rankings["order_is_known"]).sum()),
        "annotators": int(judged.rankings["annotator"].nunique()),
        "judged pairs": len(judgement),
        "tied pairs": int((judgement == 0).sum()),
        "meetings of two annotators on a pair": met,
    }


def _json(value: Any) -> Any:
    if isinstance(value, Estimate):
        return value.as_dict()
    if isinstance(value, Sentence):
        return str(value)
    if is_dataclass(value):
        return {field.name: _json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {_key(key): _json(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple | list):
        return [_json(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _key(key: Any) -> str:
    return " / ".join(map(str, key)) if isinstance(key, tuple) else str(key)
