"""Reliability of annotators: planted ones are found, and another program finds the same."""

import math

import numpy as np
import pandas as pd
import pytest

from label_data.comparisons import comparisons
from label_data.quality.judgements import judgements
from label_data.quality.reliability import annotator_weights, dawid_skene, weighted
from planted_people import careful, coin, judged, planted


def flipping(share):
    """A judge who sees the truth and turns every `share`-th order round."""
    return lambda chance, quality, place, length: quality if chance.random() > share else -quality


@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")
def test_without_a_prior_it_is_the_model_of_another_program(monkeypatch):
    """crowd-kit's Dawid-Skene, given every pair in both directions: its confusions are then the same on both sides.

    Compared after forty rounds of both, since each program has its own idea of when to stop.
    """
    from crowdkit.aggregation import DawidSkene

    people = {"ana": careful(0.3), "ben": careful(0.8), "cem": careful(1.5), "dan": careful(0.3)}
    found_in = judgements(planted(people, prompts=60, ties=0.6))
    table = found_in.once()
    both = [
        pd.DataFrame(
            {"task": side + table["unit"].astype(str), "worker": table["annotator"], "label": turn * table["judgement"]}
        )
        for side, turn in (("a", 1), ("b", -1))
    ]
    theirs = DawidSkene(n_iter=40, tol=-math.inf).fit(pd.concat(both, ignore_index=True).astype({"worker": str}))
    monkeypatch.setattr("label_data.quality.reliability.ROUNDS", 40)
    monkeypatch.setattr("label_data.quality.reliability.TOLERANCE", -math.inf)
    ours = dawid_skene(found_in, prior=0)
    for name, one in ours.annotators.items():
        errors = theirs.errors_.loc[name]
        assert one.tie == pytest.approx(errors.loc[0, 1], abs=1e-6)
        assert one.true_tie == pytest.approx(errors.loc[0, 0], abs=1e-6)
        assert one.right.value == pytest.approx(errors.loc[1, 1] / (errors.loc[1, 1] + errors.loc[-1, 1]), abs=1e-6)
    probable = theirs.probas_.loc["a" + pd.Series(range(60)).astype(str)]
    assert ours.pairs["better"].to_numpy() == pytest.approx(probable[1].to_numpy(), abs=1e-6)


def test_planted_flips_are_found_within_the_interval():
    """Flip rates 0, 0.1, 0.3 and 0.5 over 400 prompts: reliabilities 1, 0.9, 0.7 and 0.5."""
    shares = {"ana": 0.0, "ben": 0.1, "cem": 0.3, "dan": 0.5}
    result = dawid_skene(judgements(planted({name: flipping(share) for name, share in shares.items()}, prompts=400)))
    for name, share in shares.items():
        right = result.annotators[name].right
        assert right.value == pytest.approx(1 - share, abs=0.06)
        assert (right.count, right.prompts) == (400, 400) and right.low <= right.value <= right.high


def test_the_truth_is_found_better_than_by_counting_votes():
    """Two who flip half of what they say against two who flip a tenth: votes are tied where the careful agree."""
    people = {"ana": flipping(0.1), "ben": flipping(0.1), "cem": flipping(0.5), "dan": flipping(0.5)}
    groups = [*planted(people, prompts=400), *planted({"eve": flipping(0)}, prompts=1, seed=1)]
    found_in = judgements(groups)
    truth = judgements(planted({name: flipping(0) for name in people}, prompts=400)).once()
    message = found_in.once()
    votes = message[message["annotator"] != "eve"].groupby("unit")["judgement"].sum().to_numpy()
    right = truth.groupby("unit")["judgement"].first().to_numpy()
    result = dawid_skene(found_in).pairs.iloc[:400]
    sides = np.sign((result["better"] - result["worse"]).to_numpy())
    assert np.mean(sides == right) > np.mean((np.sign(votes) * right + 1) / 2) + 0.05


def test_names_make_no_difference_and_neither_does_which_is_called_first():
    answers = {f"q{n}": ("a>b" if n % 3 else "b>a", "a>b", "a=b" if n % 4 == 0 else "a>b") for n in range(24)}
    swap = str.maketrans("ab", "ba")

    def right(names, turned=()):
        groups = [
            judged(
                question,
                {
                    name: one.translate(swap) if question in turned else one
                    for name, one in zip(names, message, strict=True)
                },
            )
            for question, message in answers.items()
        ]
        result = dawid_skene(judgements(groups)).annotators
        return [result[name].right.value for name in names]

    plain = right(("ana", "ben", "cem"))
    assert right(("z", "y", "x")) == pytest.approx(plain, abs=1e-4)
    assert right(("ana", "ben", "cem"), turned=("q1", "q2", "q5")) == pytest.approx(plain, abs=1e-4)


def test_who_shares_no_pair_with_anybody_is_taken_as_told_and_has_no_interval():
    alone = [judged(f"alone {number}", {"eve": "a>b"}) for number in range(8)]
    result = dawid_skene(judgements([*planted({"ana": flipping(0.2), "ben": flipping(0.2)}, prompts=50), *alone]))
    eve = result.annotators["eve"].right
    assert eve.count == 0 and math.isnan(eve.low)


def test_nothing_judged_gives_nobody():
    result = dawid_skene(judgements([judged("q", {"ana": "skip"})]))
    assert result.annotators == {} and result.pairs.empty and math.isnan(result.tied)


def test_a_coin_weighs_next_to_nothing_and_the_average_annotator_one():
    people = {"ana": careful(0.1), "ben": careful(0.1), "cem": coin()}
    result = dawid_skene(judgements(planted(people, prompts=300)))
    weights = annotator_weights(result.annotators)
    assert weights["cem"] < 0.25 and weights["ana"] > 1.2
    assert np.mean(list(weights.values())) == pytest.approx(1)


def test_a_comparison_takes_its_annotators_weight():
    (group,) = planted({"ana": careful()}, prompts=1, completions=3)
    result = [weighted(comparison, {"ana": 0.5}) for comparison in comparisons(group.rankings[0])]
    assert [comparison.weight for comparison in result] == pytest.approx([1 / 6] * 3)
    assert weighted(result[0], {}) == result[0]
    assert annotator_weights({}) == {}
