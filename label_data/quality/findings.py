"""Findings: the measures of a quality report that call for action, each with a recommendation.

A finding names an annotator if the measure differs by more than a stated amount, and if chance alone would name
anybody in fewer than one of twenty stores (Bonferroni): the more annotators, the more it takes to name one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from label_data.intervals import Estimate
from label_data.quality.agreement import Agreement
from label_data.quality.bias import Bias, BiasByAnnotator
from label_data.quality.consistency import Transitivity
from label_data.quality.effort import Outcomes, Speed, StraightLining
from label_data.quality.reliability import Reliability
from label_data.sentences import Sentence, say

FALSE_ALARMS = 0.05
"""Share of faultless stores in which a kind of finding may still name somebody."""
FEWEST_MEETINGS = 50
LOWEST_AGREEMENT = 0.63
"""Pairwise agreement in Bai et al. 2022, arXiv:2204.05862, section 2.3: the lowest that has been published."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that needs action."""

    about: str
    """The annotator; empty for all annotators together."""
    measurement: Sentence
    """The measure, with its interval and count."""
    recommendation: Sentence
    """The recommendation."""


def percent(rate: Estimate) -> Sentence:
    """Return a rate as "62% (95% CI 55% to 69%; 180 on 90 prompts)"."""
    counts = {"value": rate.value, "count": rate.count, "prompts": rate.prompts}
    if np.isnan(rate.low):
        return say("label_data.quality.rate_without_interval", **counts)
    return say("label_data.quality.rate", low=rate.low, high=rate.high, **counts)


def decimal(estimate: Estimate) -> Sentence:
    """Return an estimate as "0.650 [0.600 to 0.700]"."""
    if np.isnan(estimate.value):
        return say("label_data.quality.no_data")
    if np.isnan(estimate.low):
        return say("label_data.quality.number_without_interval", value=estimate.value)
    return say("label_data.quality.number", value=estimate.value, low=estimate.low, high=estimate.high)


def agreement_findings(overall: Agreement, by_annotator: Mapping[str, Agreement]) -> Iterator[Finding]:
    """Yield findings on agreement: too little overlap, unclear guidelines, annotators who disagree with the rest."""
    if overall.same.count < FEWEST_MEETINGS:
        yield Finding(
            "",
            say("label_data.quality.few_meetings", count=overall.same.count),
            say("label_data.quality.do_overlap"),
        )
        return
    if overall.decided.high < LOWEST_AGREEMENT:
        yield Finding(
            "",
            say("label_data.quality.low_agreement", share=percent(overall.decided)),
            say("label_data.quality.do_discuss"),
        )
    if overall.alpha_ordered.value - overall.alpha.value > 0.1:
        alphas = {"alpha": decimal(overall.alpha), "ordered": decimal(overall.alpha_ordered)}
        yield Finding("", say("label_data.quality.tie_gap", **alphas), say("label_data.quality.do_explain_ties"))
    for name, own in by_annotator.items():
        if own.alpha.high < overall.alpha.low:
            alphas = {"own": decimal(own.alpha), "overall": decimal(overall.alpha)}
            yield Finding(name, say("label_data.quality.agrees_less", **alphas), say("label_data.quality.do_compare"))


def reliability_findings(annotators: Mapping[str, Reliability]) -> Iterator[Finding]:
    """Yield the annotators who are hardly better than chance."""
    for name, reliability in annotators.items():
        if reliability.right.high < 0.6:
            yield Finding(
                name,
                say("label_data.quality.unreliable", share=percent(reliability.right)),
                say("label_data.quality.do_leave_out"),
            )


def position_findings(position: BiasByAnnotator) -> Iterator[Finding]:
    """Yield who is biased towards a place on the screen."""
    for name, bias in {"": position.overall, **position.by_annotator}.items():
        tests = len(position.by_annotator) if name else 1
        if _is_biased(bias, 0.05, tests):
            yield Finding(
                name,
                say("label_data.quality.earlier_wins", share=percent(bias.rate)),
                say("label_data.quality.do_read"),
            )


def feature_findings(biases: BiasByAnnotator, feature: Sentence) -> Iterator[Finding]:
    """Yield whether all annotators favour a feature ("longer"), and who differs from the others in that."""
    if _is_biased(biases.overall, 0.1, 1):
        yield Finding(
            "",
            say("label_data.quality.feature_wins", feature=feature, share=percent(biases.overall.rate)),
            say("label_data.quality.do_use_as_baseline", feature=feature),
        )
    overall = biases.overall.rate.value
    for name, bias in biases.by_annotator.items():
        if bias.unlike_others < FALSE_ALARMS / len(biases.by_annotator) and abs(bias.rate.value - overall) >= 0.1:
            shares = {"share": percent(bias.rate), "overall": overall}
            yield Finding(
                name,
                say("label_data.quality.prefers_feature", feature=feature, **shares),
                say("label_data.quality.do_settle", feature=feature),
            )


def _is_biased(bias: Bias, least: float, tests: int) -> bool:
    return bias.p < FALSE_ALARMS / tests and abs(bias.rate.value - 0.5) >= least


def effort_findings(speeds: Mapping[str, Speed], lines: Mapping[str, StraightLining]) -> Iterator[Finding]:
    """Yield the annotators who are too fast, and those who leave the order as shown."""
    people = {name: speed for name, speed in speeds.items() if name}
    usual = float(np.median([speed.seconds.value for speed in people.values()])) if people else float("nan")
    for name, speed in people.items():
        if speed.p < FALSE_ALARMS / len(people) and speed.too_fast.value >= 0.01:
            yield Finding(
                name,
                say("label_data.quality.too_fast", share=percent(speed.too_fast)),
                say("label_data.quality.do_relabel"),
            )
        if speed.seconds.high < usual / 3:
            yield Finding(
                name,
                say("label_data.quality.pace", seconds=speed.seconds.value, usual=usual),
                say("label_data.quality.do_check_annotator"),
            )
    for name, line in lines.items():
        if line.p < FALSE_ALARMS / len(lines) and line.unchanged.value - line.expected >= 0.1:
            yield Finding(
                name,
                say("label_data.quality.as_shown", share=percent(line.unchanged), expected=line.expected),
                say("label_data.quality.do_check_order"),
            )
        if line.run_p < FALSE_ALARMS / len(lines):
            yield Finding(
                name,
                say("label_data.quality.same_pattern", times=line.longest_run, p=line.run_p),
                say("label_data.quality.do_check_run"),
            )


def outcome_findings(outcomes: Mapping[str, Outcomes]) -> Iterator[Finding]:
    """Yield the annotators who tie more or less than the others, or skip more."""
    overall = outcomes[""]
    people = {name: own for name, own in outcomes.items() if name}
    for name, own in people.items():
        ties, without, level = own.ties, own.no_order, FALSE_ALARMS / len(people)
        if own.ties_unlike < level and abs(ties.value - overall.ties.value) >= 0.15:
            yield Finding(
                name,
                say("label_data.quality.ties_unlike_others", share=percent(ties), overall=overall.ties.value),
                say("label_data.quality.do_agree_ties"),
            )
        if own.no_order_unlike < level and without.value - overall.no_order.value >= 0.1:
            yield Finding(
                name,
                say("label_data.quality.no_order", share=percent(without), overall=overall.no_order.value),
                say("label_data.quality.do_read_reasons"),
            )


def consistency_findings(
    repeats: Mapping[str, Agreement], gold: Mapping[str, Estimate], transitivity: Transitivity
) -> Iterator[Finding]:
    """Yield who contradicts themselves or the gold rankings, and whether judgements are intransitive."""
    for name, own in repeats.items():
        if name and own.decided.high < 0.75:
            yield Finding(
                name,
                say("label_data.quality.low_self_agreement", share=percent(own.decided)),
                say("label_data.quality.do_discuss_changes"),
            )
    for name, accuracy in gold.items():
        if name and accuracy.high < 0.7:
            yield Finding(
                name,
                say("label_data.quality.gold_wrong", share=percent(accuracy)),
                say("label_data.quality.do_review_gold"),
            )
    if transitivity.intransitive.low > transitivity.by_chance / 2:
        shares = {"share": percent(transitivity.intransitive), "chance": transitivity.by_chance}
        yield Finding("", say("label_data.quality.intransitive", **shares), say("label_data.quality.do_show_three"))
