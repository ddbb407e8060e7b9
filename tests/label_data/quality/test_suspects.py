"""Rankings that a model contradicts, most contradicted first."""

import math

import pytest

from label_data.quality.suspects import rank_suspects, recall, suspect_from, to_relabel
from planted_people import judged


def ranked(*answers):
    groups = [judged(f"q{number}", {"ana": message}) for number, message in enumerate(answers)]
    rewards = {
        completion.id: {"a": 2.0, "b": 1.0, "c": 0.0}[completion.text]
        for group in groups
        for completion in group.completions
    }
    return [group.rankings[0] for group in groups], rewards


def test_disagreement_is_the_mean_loss_of_the_comparisons():
    """Rewards a 2, b 1: for b over a the margin is -1, -log sigmoid(-1) = 1.3133; for a over b 0.3133."""
    rankings, rewards = ranked("a>b", "b>a")
    first, second = rank_suspects(rankings, rewards)
    assert (first.submission, first.opposed, first.comparisons) == ("q1 0", 1, 1)
    assert (first.log_loss, second.log_loss) == pytest.approx((1.3133, 0.3133), abs=1e-4)


def test_an_order_of_three_is_no_more_suspect_for_having_three_comparisons():
    """c > b > a contradicts all three, with margins -1, -2, -1; b > a only one, with -1."""
    rankings, rewards = ranked("a>b>c", "c>b>a", "b>a")
    result = rank_suspects(rankings, rewards)
    assert [one.submission for one in result] == ["q1 0", "q2 0", "q0 0"]
    losses = [math.log1p(math.exp(margin)) for margin in (1, 2, 1)]
    assert result[0].log_loss == pytest.approx(sum(losses) / 3) and result[0].opposed == 3


def test_what_implies_no_comparison_or_has_no_reward_is_no_suspect():
    rankings, rewards = ranked("a=b", "skip", "a>b")
    assert [rank_suspect.submission for rank_suspect in rank_suspects(rankings, rewards)] == ["q2 0"]
    assert rank_suspects(rankings, {}) == []


def test_the_most_suspect_share_is_sent_again_unless_the_model_agrees():
    rankings, rewards = ranked(*["a>b"] * 19, "b>a")
    assert [one.submission for one in to_relabel(rank_suspects(rankings, rewards))] == ["q19 0"]
    assert len(to_relabel(rank_suspects(rankings, rewards), share=0.5)) == 1


def test_recall_is_the_share_of_planted_mistakes_among_the_first():
    """One of two planted is among the first of twenty (5 %)."""
    rankings, rewards = ranked(*["a>b"] * 19, "b>a")
    result = rank_suspects(rankings, rewards)
    assert recall(result, {"q19 0", "q3 0"}) == 0.5 and recall(result, {"q19 0"}) == 1
    assert math.isnan(recall(result, set()))


def test_the_stored_result_of_a_job_of_an_earlier_version_is_read():
    """The JSON keys are those of earlier versions."""
    rankings, rewards = ranked("a>b")
    (suspect,) = rank_suspects(rankings, rewards)
    stored = suspect.as_dict()
    assert {"submission", "prompt_id", "annotator", "disagreement", "contradicted", "comparisons"} == stored.keys()
    assert suspect_from(stored) == suspect
