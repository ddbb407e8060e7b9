"""What to do about it: the measures of a quality report that ask for something, each in two sentences.

An annotator is named if the measure differs by more than a stated amount and chance alone would give as much in fewer
than one of twenty stores, all annotators together (Bonferroni): the more people, the more it takes to accuse one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from label_data.intervals import Estimate
from label_data.quality.agreement import Agreement
from label_data.quality.bias import Leaning, Leanings
from label_data.quality.consistency import Transitivity
from label_data.quality.effort import Outcomes, Speed, StraightLine
from label_data.quality.reliability import Reliability

SELDOM = 0.05
"""Share of stores without any fault in which a kind of finding may still name somebody."""
LEAST_MEETINGS = 50
LEAST_AGREEMENT = 0.63
"""Share of the same side that Bai et al. 2022, arXiv:2204.05862, section 2.3, had: of what is published the lowest."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to be done."""

    about: str
    """The annotator, or empty for all together."""
    what: str
    """What was found, with interval and count."""
    todo: str


def percent(found: Estimate) -> str:
    """Return a rate as "62 % (55 to 69 %; 180 on 90 prompts)"."""
    ends = (
        "too few prompts for an interval"
        if np.isnan(found.low)
        else f"{100 * found.low:.0f} to {100 * found.high:.0f} %"
    )
    return f"{100 * found.value:.0f} % ({ends}; {found.count:,} on {found.prompts:,} prompts)"


def about_agreement(overall: Agreement, by_annotator: Mapping[str, Agreement]) -> Iterator[Finding]:
    """Yield what agreement asks for: more overlap, clearer guidelines, a word with somebody."""
    if overall.same.count < LEAST_MEETINGS:
        yield Finding(
            "",
            f"Two annotators judged the same pair {overall.same.count:,} times, too few to say whether they agree.",
            "Have part of the prompts ranked by two or more annotators.",
        )
        return
    if overall.decided.high < LEAST_AGREEMENT:
        yield Finding(
            "",
            f"Where two annotators both prefer a side it is the same one in {percent(overall.decided)}.",
            "Discuss some of the contradictions together and make the guidelines clearer before going on.",
        )
    if overall.alpha_ordered.value - overall.alpha.value > 0.1:
        yield Finding(
            "",
            f"Alpha is {overall.alpha}, but {overall.alpha_ordered} if a tie against a preference counts for less.",
            "Say in the guidelines when to tie: people differ over that more than over what is better.",
        )
    for name, mine in by_annotator.items():
        if mine.alpha.high < overall.alpha.low:
            yield Finding(
                name,
                f"Agrees less with the others than they do together: alpha {mine.alpha} against {overall.alpha}.",
                "Look at some contradictions with this person; weigh the rankings by reliability until then.",
            )


def about_reliability(annotators: Mapping[str, Reliability]) -> Iterator[Finding]:
    """Yield who is hardly better than a coin."""
    for name, one in annotators.items():
        if one.right.high < 0.6:
            yield Finding(
                name,
                f"Takes the side that the others' rankings make the right one in only {percent(one.right)}.",
                "Leave these rankings out of training, or weigh them by reliability, until the reason is known.",
            )


def about_place(found: Leanings) -> Iterator[Finding]:
    """Yield who leans to a place on the screen."""
    for name, one in {"": found.overall, **found.by_annotator}.items():
        tested = len(found.by_annotator) if name else 1
        if _leans(one, 0.05, tested):
            yield Finding(
                name,
                f"The completion shown earlier wins {percent(one.rate)}, where places are drawn at random.",
                "Ask for every completion to be read before ranking; leave these rankings out if it goes on.",
            )


def about_feature(found: Leanings, what: str) -> Iterator[Finding]:
    """Yield whether all lean to a feature ("longer"), and who leans unlike the others."""
    if _leans(found.overall, 0.1, 1):
        yield Finding(
            "",
            f"The {what} completion wins {percent(found.overall.rate)}.",
            f'Hold a model\'s accuracy against the rule "{what} wins", and say in the guidelines what that is worth.',
        )
    others = found.overall.rate.value
    for name, one in found.by_annotator.items():
        if one.unlike_others < SELDOM / len(found.by_annotator) and abs(one.rate.value - others) >= 0.1:
            yield Finding(
                name,
                f"Prefers the {what} completion in {percent(one.rate)}, all together in {100 * others:.0f} %.",
                f"Ask why, and settle in the guidelines what {what} is worth.",
            )


def _leans(one: Leaning, least: float, tested: int) -> bool:
    return one.p < SELDOM / tested and abs(one.rate.value - 0.5) >= least


def about_effort(speeds: Mapping[str, Speed], lines: Mapping[str, StraightLine]) -> Iterator[Finding]:
    """Yield who is too fast and who moves nothing."""
    people = {name: one for name, one in speeds.items() if name}
    usual = np.median([one.seconds.value for one in people.values()]) if people else np.nan
    for name, one in people.items():
        if one.p < SELDOM / len(people) and one.too_fast.value >= 0.01:
            yield Finding(
                name,
                f"Judged too fast to have read in {percent(one.too_fast)}.",
                "Send those rankings to somebody else, blind, and ask for more care.",
            )
        if one.seconds.high < usual / 3:
            yield Finding(
                name,
                f"Takes {one.seconds.value:.1f} s for 1,000 characters where {usual:.1f} s are usual.",
                "Check some of this person's rankings by hand before training on them.",
            )
    for name, line in lines.items():
        if line.p < SELDOM / len(lines) and line.unchanged.value - line.expected >= 0.1:
            yield Finding(
                name,
                f"Leaves all as shown in {percent(line.unchanged)}, where {100 * line.expected:.0f} % are expected.",
                "Check some by hand; leave these rankings out if nothing was chosen.",
            )
        if line.run_p < SELDOM / len(lines):
            yield Finding(
                name,
                f"Gave the same pattern up to {line.longest_run} times on end; by chance with p = {line.run_p:.1g}.",
                "Look at that run: it is probably clicking, not judging.",
            )


def about_outcomes(found: Mapping[str, Outcomes]) -> Iterator[Finding]:
    """Yield who ties or skips unlike the others."""
    people = {name: one for name, one in found.items() if name}
    for name, one in people.items():
        ties, without, all_of = one.ties, one.no_order, found[""]
        if one.ties_unlike < SELDOM / len(people) and abs(ties.value - all_of.ties.value) >= 0.15:
            yield Finding(
                name,
                f"Ties {percent(ties)} of the pairs, all together {100 * all_of.ties.value:.0f} %.",
                "Agree on when two completions are a tie.",
            )
        if one.no_order_unlike < SELDOM / len(people) and without.value - all_of.no_order.value >= 0.1:
            yield Finding(
                name,
                f"Gives no order in {percent(without)}, all together in {100 * all_of.no_order.value:.0f} %.",
                "Read the reasons given; the prompts may be outside what this person knows.",
            )


def about_consistency(
    repeats: Mapping[str, Agreement], gold: Mapping[str, Estimate], transitivity: Transitivity
) -> Iterator[Finding]:
    """Yield who contradicts themselves or gold, and whether judgements go round in circles."""
    for name, one in repeats.items():
        if name and one.decided.high < 0.75:
            yield Finding(
                name,
                f"Asked again, gives the same side in only {percent(one.decided)}.",
                "Talk over some of the changed answers: nobody can agree better with others than with themselves.",
            )
    for name, right in gold.items():
        if name and right.high < 0.7:
            yield Finding(
                name,
                f"Orders gold comparisons rightly in only {percent(right)}.",
                "Go through the gold answers together, and check that the gold is right.",
            )
    if transitivity.intransitive.low > transitivity.by_chance / 2:
        yield Finding(
            "",
            f"Of three judged two by two, {percent(transitivity.intransitive)} fit no order; "
            f"coins give {100 * transitivity.by_chance:.0f} %.",
            "Show three or more at once, so that one order has to be given.",
        )
