import math
from dataclasses import replace

import pytest
import torch

from label_data.records import Completion, Group, Ranking, user_prompt
from reward.finetuning.training_groups import Pair, TrainingGroup, summed_loss, tie_strength_of, training_group
from reward.networks.backbones import load_tokenizer
from reward.settings import Settings
from tiny_networks import token_groups

PROMPT = user_prompt("Which?")
A, B, C, D = (Completion(PROMPT.id, text) for text in ("one", "two", "three", "four"))
TWIN = Completion(PROMPT.id, "one ")
SHOWN = (A.id, B.id, C.id)


@pytest.fixture(scope="module")
def tokenizer(tiny_backbone_folder):
    return load_tokenizer(tiny_backbone_folder)


def judged(tokenizer, *rankings, completions=(A, B, C, D), **settings):
    return training_group(Group(PROMPT, completions, rankings), tokenizer, Settings(**settings))


def pairs(of):
    return [(pair.first, pair.second, pytest.approx(pair.weight)) for pair in of]


def test_a_ranking_weighs_one_however_many_comparisons_it_implies(tokenizer):
    """One over three over two, and two over one: places 0, 1, 2 in the order in which they are first compared."""
    first = Ranking(PROMPT.id, "ann", SHOWN, ((A.id,), (C.id,), (B.id,)), strength=(1, 2))
    second = Ranking(PROMPT.id, "bob", SHOWN, ((B.id,), (A.id,)))
    found = judged(tokenizer, first, second)
    assert [tokenizer.decode(one.completion) for one in found.inputs] == [
        "one<|end|>\n",
        "three<|end|>\n",
        "two<|end|>\n",
    ]
    assert [(p.first, p.second, p.strength) for p in found.comparisons] == [(0, 1, 1), (0, 2, 3), (1, 2, 2), (2, 0, 0)]
    assert [p.weight for p in found.comparisons] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1])
    assert found.weight == pytest.approx(2)


def test_an_annotators_weight_scales_their_rankings_and_zero_leaves_them_out(tokenizer):
    first = Ranking(PROMPT.id, "ann", SHOWN, ((A.id,), (B.id,)))
    second = Ranking(PROMPT.id, "bob", SHOWN, ((B.id,), (A.id,)))
    found = judged(tokenizer, first, second, annotator_weights={"bob": 0.25})
    assert [pair.weight for pair in found.comparisons] == [1, 0.25] and found.weight == 1.25
    assert len(judged(tokenizer, first, second, annotator_weights={"bob": 0.0}).comparisons) == 1
    assert judged(tokenizer, second, annotator_weights={"bob": 0.0}) is None


def test_only_davidson_learns_from_ties_and_every_ranking_still_weighs_one(tokenizer):
    """One above two and three, which are tied: two comparisons and a tie, a third each."""
    ranking = Ranking(PROMPT.id, "ann", SHOWN, ((A.id,), (B.id, C.id)))
    found = judged(tokenizer, ranking, loss="davidson")
    assert pairs(found.comparisons) == [(0, 1, 1 / 3), (0, 2, 1 / 3)]
    assert pairs(found.ties) == [(1, 2, 1 / 3)] and found.weight == 1
    assert judged(tokenizer, ranking).ties == ()


def test_what_tests_its_annotator_teaches_nothing(tokenizer):
    first = Ranking(PROMPT.id, "ann", SHOWN, ((A.id,), (B.id,)))
    again = Ranking(PROMPT.id, "ann", SHOWN, ((B.id,), (A.id,)), purpose="repeat")
    gold = Ranking(PROMPT.id, "bob", SHOWN, ((B.id,), (A.id,)), purpose="gold")
    assert judged(tokenizer, first, again, gold) == judged(tokenizer, first)
    assert judged(tokenizer, again) is None


def test_a_margin_of_a_pair_is_asked_for_as_one_by_strength_is():
    """Rewards 2 and 1 with a margin of 0.5: -log sigmoid(2 - 1 - 0.5) = 0.4741; by a strength of 2 at 0.25 the same."""
    rewards = torch.tensor([2.0, 1.0])
    for pair, margin in ((Pair(0, 1, 1.0, margin=0.5), 0.0), (Pair(0, 1, 1.0, 2), 0.25)):
        group = TrainingGroup((), (pair,), (), (), 1.0)
        found = summed_loss(rewards, [replace(group, inputs=(None, None))], Settings(margin=margin, centring=0.0))
        assert found.item() == pytest.approx(0.4741, abs=1e-4)


def test_no_difference_is_a_tie_of_all_that_was_shown(tokenizer):
    ranking = Ranking(PROMPT.id, "ann", SHOWN, outcome="indistinguishable")
    assert len(judged(tokenizer, ranking, loss="davidson").ties) == 3
    assert judged(tokenizer, ranking) is None
    assert judged(tokenizer, Ranking(PROMPT.id, "ann", SHOWN, outcome="all_bad"), loss="davidson") is None


def test_trap_9_equal_texts_are_not_compared_and_stand_once_in_an_order(tokenizer):
    shown = (A.id, TWIN.id, B.id)
    ranking = Ranking(PROMPT.id, "ann", shown, ((A.id,), (B.id,), (TWIN.id,)))
    found = judged(tokenizer, ranking, completions=(A, B, TWIN))
    assert [(p.first, p.second) for p in found.comparisons] == [(0, 1), (1, 2)]
    assert found.orders == ((1.0, ((0,), (1,))),)
    assert found.weight == pytest.approx(2 / 3)


# The loss of groups


def test_trap_16_the_summed_loss_is_what_a_loop_gives():
    """Two groups of rewards (1, 0, -1) and (0, 2): gaps 2 and 1 at weight a half, gap -2 at weight 1."""
    inputs = [group[0] for group in token_groups(5)]
    groups = [
        TrainingGroup(tuple(inputs[:3]), (Pair(0, 2, 0.5), Pair(0, 1, 0.5)), (), (), 1.0),
        TrainingGroup(tuple(inputs[3:]), (Pair(0, 1, 1.0, strength=2),), (), (), 1.0),
    ]
    rewards = torch.tensor([1.0, 0.0, -1.0, 0.0, 2.0])

    def lost(gap):
        return math.log(1 + math.exp(-gap))

    plain = summed_loss(rewards, groups, Settings(centring=0.0)).item()
    assert plain == pytest.approx(0.5 * lost(2) + 0.5 * lost(1) + lost(-2))
    with_margin = summed_loss(rewards, groups, Settings(centring=0.0, margin=0.5)).item()
    assert with_margin == pytest.approx(0.5 * lost(2) + 0.5 * lost(1) + lost(-3))
    with_centring = summed_loss(rewards, groups, Settings(centring=0.1)).item()
    assert with_centring == pytest.approx(plain + 0.1 * (2 / 3 + 2))


def test_trap_21_a_ranking_of_many_counts_as_one_of_two(tokenizer):
    """Three comparisons at equal rewards lose log 2 in all, as one does."""
    many = Ranking(PROMPT.id, "ann", SHOWN, ((A.id,), (C.id,), (B.id,)))
    two = Ranking(PROMPT.id, "ann", SHOWN, ((A.id,), (B.id,)))
    for ranking, completions in ((many, 3), (two, 2)):
        found = judged(tokenizer, ranking)
        assert summed_loss(torch.zeros(completions), [found], Settings()).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("loss", ["bradley-terry", "plackett-luce", "davidson"])
def test_groups_lose_what_they_lose_alone(tokenizer, loss):
    first = judged(tokenizer, Ranking(PROMPT.id, "ann", SHOWN, ((A.id,), (B.id, C.id))), loss=loss)
    second = judged(tokenizer, Ranking(PROMPT.id, "ann", SHOWN, ((B.id,), (A.id,))), loss=loss)
    rewards, settings = torch.tensor([0.3, -0.2, 1.0, 0.7, 0.1]), Settings(loss=loss)
    together = summed_loss(rewards, [first, second], settings, 0.5)
    alone = summed_loss(rewards[:3], [first], settings, 0.5) + summed_loss(rewards[3:], [second], settings, 0.5)
    assert together.item() == pytest.approx(alone.item(), rel=1e-6)


def test_the_strength_of_ties_is_that_of_their_share_by_weight(tokenizer):
    """A tie in three pairs of one ranking: a share of 1/3, strength 1."""
    found = judged(tokenizer, Ranking(PROMPT.id, "ann", SHOWN, ((A.id,), (B.id, C.id))), loss="davidson")
    assert tie_strength_of([found]) == pytest.approx(1)
