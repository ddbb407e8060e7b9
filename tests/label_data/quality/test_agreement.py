"""Agreement of annotators, beside values worked out by hand and beside another program's."""

import math

import krippendorff
import numpy as np
import pytest
from scipy.stats import kendalltau

from label_data.quality.agreement import (
    agreement,
    agreement_by_annotator,
    agreement_by_category,
    agreement_by_policy,
    agreement_by_two,
    human_ceiling,
    meetings,
)
from label_data.quality.judgements import judgements
from planted_people import careful, coin, judged, planted

SAMPLE = {
    "one": {"ana": "a>b", "ben": "a>b", "cem": "a>b"},
    "two": {"ana": "a>b", "ben": "b>a", "cem": "a=b"},
    "three": {"ana": "b>a", "ben": "b>a", "cem": "b>a"},
    "four": {"ana": "a=b", "ben": "a=b"},
    "five": {"ana": "a>b"},
}
"""The shape of three annotators' judgements of pairs, some missing."""
VALUES = np.array([[1, 1, -1, 0, 1], [1, -1, -1, 0, np.nan], [1, 0, -1, np.nan, np.nan]])


def found_in(groups):
    return agreement(meetings(judgements(groups)))


def sample():
    return [judged(question, answers) for question, answers in SAMPLE.items()]


def test_pair_agreement_is_the_share_of_meetings_that_say_the_same():
    """Three, nought, three of three meetings agree, and one of one. Per pair each judgement weighs the same:
    (3/2 + 0 + 3/2 + 1) / (3/2 + 3/2 + 3/2 + 1) = 8/11. Both took a side in 3 + 1 + 3 meetings of weight 1/2: 6/7."""
    result = found_in(sample())
    assert result.same.value == pytest.approx(8 / 11)
    assert result.decided.value == pytest.approx(6 / 7)
    assert (result.same.count, result.decided.count, result.same.prompts) == (10, 7, 4)


def test_alpha_is_the_one_worked_out_by_hand():
    """Eleven judgements can meet: of the first better 4, of ties 3, of the second better 4. In both directions 22 of 8,
    6 and 8. Expected disagreement 1 - (8 * 7 + 6 * 5 + 8 * 7) / (22 * 21) = 320 / 462, observed 3/11:
    alpha = 1 - (3/11) / (320/462) = 0.60625."""
    assert found_in(sample()).alpha.value == pytest.approx(0.60625)


@pytest.mark.parametrize("level", ["ordinal", "interval"])
def test_both_alphas_are_those_of_another_program(level):
    """The krippendorff package is given every pair in both directions."""
    both = np.hstack([VALUES, -VALUES])
    result = found_in(sample())
    assert result.alpha.value == pytest.approx(krippendorff.alpha(both, level_of_measurement="nominal"))
    assert result.alpha_ordered.value == pytest.approx(krippendorff.alpha(both, level_of_measurement=level))


def test_agreement_on_rankings_of_four_is_that_of_other_programs():
    groups = planted({name: careful(1.0) for name in ("ana", "ben", "cem")}, prompts=20, completions=4, ties=0.7)
    judged_ = judgements(groups)
    result = agreement(meetings(judged_))
    wide = judged_.once().pivot(index="annotator", columns="unit", values="judgement").to_numpy()
    both = np.hstack([wide, -wide])
    assert result.alpha.value == pytest.approx(krippendorff.alpha(both, level_of_measurement="nominal"))
    assert result.alpha_ordered.value == pytest.approx(krippendorff.alpha(both, level_of_measurement="ordinal"))
    taus = []
    for group in groups:
        levels = []
        for ranking in group.rankings:
            level = {id: number for number, tied in enumerate(ranking.order) for id in tied}
            levels.append([level[completion.id] for completion in group.completions])
        taus += [kendalltau(levels[one], levels[two]).statistic for one, two in ((0, 1), (0, 2), (1, 2))]
    taus = [tau for tau in taus if not math.isnan(tau)]
    assert (result.tau.value, result.tau.count) == (pytest.approx(np.mean(taus)), len(taus))


def test_who_always_says_the_same_agrees_perfectly():
    result = found_in(planted({"ana": careful(0), "ben": careful(0)}, prompts=20, completions=3))
    for number in (result.alpha, result.alpha_ordered, result.same, result.decided, result.tau):
        assert (number.value, number.low, number.high) == (1, 1, 1)


def test_coins_agree_no_more_than_chance():
    result = found_in(planted({"ana": coin(), "ben": coin(), "cem": coin()}, prompts=150, completions=3))
    for number in (result.alpha, result.alpha_ordered, result.tau):
        assert number.low < 0 < number.high and number.high - number.low < 0.3
    assert result.decided.low < 0.5 < result.decided.high


def test_names_of_annotators_make_no_difference():
    """Renamed so that their order turns round."""
    names = dict(zip(("ana", "ben", "cem"), ("z", "y", "x"), strict=True))
    renamed = [
        judged(question, {names[name]: answer for name, answer in answers.items()})
        for question, answers in SAMPLE.items()
    ]
    assert found_in(renamed) == found_in(sample())


def test_which_of_a_pair_is_called_first_makes_no_difference():
    """a and b change their names in one prompt: every coefficient stays."""
    swap = str.maketrans("ab", "ba")
    turned = [
        judged(
            question,
            {name: answer.translate(swap) if question == "two" else answer for name, answer in answers.items()},
        )
        for question, answers in SAMPLE.items()
    ]
    assert found_in(turned) == found_in(sample())


def test_a_prompt_that_is_there_twice_narrows_no_interval():
    """The second time with other white space, so it is another prompt by its id but has the same first turn."""
    groups = planted({"ana": careful(), "ben": careful()}, prompts=30)
    once = found_in(groups)
    copies = []
    for question in range(30):
        answers = {"ana": "a>b", "ben": "a>b" if question % 3 else "b>a"}
        copies.append([judged(f"copied {question}", answers), judged(f"Copied  {question}", answers)])
    single, double = (found_in([copy for pair in copies for copy in pair[:times]]) for times in (1, 2))
    assert (double.same.low, double.same.high, double.same.prompts) == (single.same.low, single.same.high, 30)
    assert once.same.prompts == 30


def test_agreement_that_could_not_have_been_otherwise_is_no_number():
    """Everybody ties everything: nothing is expected to disagree, and 0 of 0 is not 1."""
    result = found_in([judged(f"q{number}", {"ana": "a=b", "ben": "a=b"}) for number in range(6)])
    assert math.isnan(result.alpha.value) and result.same.value == 1 and math.isnan(result.decided.value)


def test_one_annotator_meets_nobody():
    met = meetings(judgements([judged("q", {"ana": "a>b", "ana/2": "b>a"})]))
    assert met.empty and math.isnan(agreement(met).alpha.value) and agreement_by_annotator(met) == {}
    assert meetings(judgements([])).empty


def test_of_three_annotators_the_one_who_flips_coins_is_seen():
    groups = planted({"ana": careful(0.2), "ben": careful(0.2), "cem": coin()}, prompts=100)
    judged_ = judgements(groups)
    met = meetings(judged_)
    by_one, by_two = agreement_by_annotator(met), agreement_by_two(met)
    assert by_one["cem"].alpha.high < by_one["ana"].alpha.low
    assert by_two["ana", "ben"].alpha.low > 0.7
    assert by_two["ana", "cem"].alpha.low < 0 < by_two["ana", "cem"].alpha.high
    assert sum(result.same.count for result in by_two.values()) == len(met) == 300
    assert [by_one[name].same.count for name in ("ana", "ben", "cem")] == [200] * 3


def test_agreement_by_category_and_by_policy_counts_each_meeting_where_it_belongs():
    """Two categories of 20 prompts; three policies, each in two of the three pairs."""
    judged_ = judgements(planted({"ana": careful(), "ben": careful()}, prompts=40, completions=3))
    met = meetings(judged_)
    assert [result.same.count for result in agreement_by_category(met).values()] == [60, 60]
    assert [result.same.count for result in agreement_by_policy(met, judged_).values()] == [80] * 3


@pytest.mark.parametrize("agreed, best", [(0.726, 0.836), (0.773, 0.869), (0.63, 0.755), (1, 1), (0.5, 0.5)])
def test_the_human_ceiling_is_that_of_annotators_alike(agreed, best):
    """p = 0.836: two agree with p² + (1 - p)² = 0.699 + 0.027 = 0.726."""
    result = human_ceiling(agreed)
    assert (result.low, result.high) == (agreed, pytest.approx(best, abs=1e-3))


def test_under_one_half_no_annotator_alike_could_agree_so_there_is_no_upper_end():
    assert math.isnan(human_ceiling(0.4).high)


def test_a_model_that_knows_the_truth_stays_within_the_ceiling():
    """Annotators right with 0.8 whatever the pair: agreement 0.68, and the truth agrees with them at 0.8."""
    chance = np.random.default_rng(0)
    one, other = (chance.random(20_000) < 0.8 for _ in range(2))
    ceiling = human_ceiling(np.mean(one == other))
    assert ceiling.low < np.mean(one) == pytest.approx(ceiling.high, abs=0.01)
