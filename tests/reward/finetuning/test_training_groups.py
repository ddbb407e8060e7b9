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
SAME_TEXT = Completion(PROMPT.id, "one ")
SHOWN = (A.id, B.id, C.id)


@pytest.fixture(scope="module")
def tokenizer(tiny_backbone_folder):
    return load_tokenizer(tiny_backbone_folder)


def group_of(tokenizer, *rankings, completions=(A, B, C, D), **settings):
    return training_group(Group(PROMPT, completions, rankings), tokenizer, Settings(**settings))


def pairs(group_pairs):
    return [(pair.first, pair.second, pytest.approx(pair.weight)) for pair in group_pairs]


def test_a_ranking_has_weight_one_however_many_comparisons_it_implies(tokenizer):
    """One over three over two, and two over one: positions 0, 1, 2 in the order in which they are first compared."""
    first = Ranking(PROMPT.id, "ann", SHOWN, ((A.id,), (C.id,), (B.id,)), strength=(1, 2))
    second = Ranking(PROMPT.id, "bob", SHOWN, ((B.id,), (A.id,)))
    group = group_of(tokenizer, first, second)
    assert [tokenizer.decode(item.completion) for item in group.inputs] == [
        "one<|end|>\n",
        "three<|end|>\n",
        "two<|end|>\n",
    ]
    assert [(p.first, p.second, p.strength) for p in group.comparisons] == [(0, 1, 1), (0, 2, 3), (1, 2, 2), (2, 0, 0)]
    assert [p.weight for p in group.comparisons] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1])
    assert group.weight == pytest.approx(2)


def test_the_weight_of_an_annotator_scales_their_rankings_and_zero_leaves_them_out(tokenizer):
    first = Ranking(PROMPT.id, "ann", SHOWN, ((A.id,), (B.id,)))
    second = Ranking(PROMPT.id, "bob", SHOWN, ((B.id,), (A.id,)))
    group = group_of(tokenizer, first, second, annotator_weights={"bob": 0.25})
    assert [pair.weight for pair in group.comparisons] == [1, 0.25] and group.weight == 1.25
    assert len(group_of(tokenizer, first, second, annotator_weights={"bob": 0.0}).comparisons) == 1
    assert group_of(tokenizer, second, annotator_weights={"bob": 0.0}) is None


def test_only_davidson_uses_ties_and_every_ranking_still_has_weight_one(tokenizer):
    """One above two and three, which are tied: two comparisons and a tie, a third each."""
    ranking = Ranking(PROMPT.id, "ann", SHOWN, ((A.id,), (B.id, C.id)))
    group = group_of(tokenizer, ranking, loss="davidson")
    assert pairs(group.comparisons) == [(0, 1, 1 / 3), (0, 2, 1 / 3)]
    assert pairs(group.ties) == [(1, 2, 1 / 3)] and group.weight == 1
    assert group_of(tokenizer, ranking).ties == ()


def test_rankings_that_test_their_annotator_are_left_out(tokenizer):
    first = Ranking(PROMPT.id, "ann", SHOWN, ((A.id,), (B.id,)))
    again = Ranking(PROMPT.id, "ann", SHOWN, ((B.id,), (A.id,)), purpose="repeat")
    gold = Ranking(PROMPT.id, "bob", SHOWN, ((B.id,), (A.id,)), purpose="gold")
    assert group_of(tokenizer, first, again, gold) == group_of(tokenizer, first)
    assert group_of(tokenizer, again) is None


def test_the_margin_of_a_pair_has_the_same_effect_as_a_margin_by_strength():
    """Rewards 2 and 1 with a margin of 0.5: -log sigmoid(2 - 1 - 0.5) = 0.4741; by a strength of 2 at 0.25 the same."""
    rewards = torch.tensor([2.0, 1.0])
    for pair, margin in ((Pair(0, 1, 1.0, margin=0.5), 0.0), (Pair(0, 1, 1.0, 2), 0.25)):
        group = TrainingGroup((), (pair,), (), (), 1.0)
        loss = summed_loss(rewards, [replace(group, inputs=(None, None))], Settings(margin=margin, centring=0.0))
        assert loss.item() == pytest.approx(0.4741, abs=1e-4)


def test_no_difference_is_a_tie_of_all_completions_shown(tokenizer):
    ranking = Ranking(PROMPT.id, "ann", SHOWN, outcome="indistinguishable")
    assert len(group_of(tokenizer, ranking, loss="davidson").ties) == 3
    assert group_of(tokenizer, ranking) is None
    assert group_of(tokenizer, Ranking(PROMPT.id, "ann", SHOWN, outcome="all_bad"), loss="davidson") is None


def test_trap_9_equal_texts_are_not_compared_and_stand_once_in_an_order(tokenizer):
    shown = (A.id, SAME_TEXT.id, B.id)
    ranking = Ranking(PROMPT.id, "ann", shown, ((A.id,), (B.id,), (SAME_TEXT.id,)))
    group = group_of(tokenizer, ranking, completions=(A, B, SAME_TEXT))
    assert [(p.first, p.second) for p in group.comparisons] == [(0, 1), (1, 2)]
    assert group.orders == ((1.0, ((0,), (1,))),)
    assert group.weight == pytest.approx(2 / 3)


# The loss of groups


def test_trap_16_the_summed_loss_equals_a_loop():
    """Two groups of rewards (1, 0, -1) and (0, 2): gaps 2 and 1 at weight a half, gap -2 at weight 1."""
    inputs = [group[0] for group in token_groups(5)]
    groups = [
        TrainingGroup(tuple(inputs[:3]), (Pair(0, 2, 0.5), Pair(0, 1, 0.5)), (), (), 1.0),
        TrainingGroup(tuple(inputs[3:]), (Pair(0, 1, 1.0, strength=2),), (), (), 1.0),
    ]
    rewards = torch.tensor([1.0, 0.0, -1.0, 0.0, 2.0])

    def loss(gap):
        return math.log(1 + math.exp(-gap))

    plain = summed_loss(rewards, groups, Settings(centring=0.0)).item()
    assert plain == pytest.approx(0.5 * loss(2) + 0.5 * loss(1) + loss(-2))
    with_margin = summed_loss(rewards, groups, Settings(centring=0.0, margin=0.5)).item()
    assert with_margin == pytest.approx(0.5 * loss(2) + 0.5 * loss(1) + loss(-3))
    with_centring = summed_loss(rewards, groups, Settings(centring=0.1)).item()
    assert with_centring == pytest.approx(plain + 0.1 * (2 / 3 + 2))


def test_trap_21_a_ranking_of_many_completions_counts_as_much_as_a_ranking_of_two(tokenizer):
    """At equal rewards, three comparisons have a total loss of log 2, as one comparison has."""
    many = Ranking(PROMPT.id, "ann", SHOWN, ((A.id,), (C.id,), (B.id,)))
    two = Ranking(PROMPT.id, "ann", SHOWN, ((A.id,), (B.id,)))
    for ranking, completions in ((many, 3), (two, 2)):
        group = group_of(tokenizer, ranking)
        assert summed_loss(torch.zeros(completions), [group], Settings()).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("loss", ["bradley-terry", "plackett-luce", "davidson"])
def test_the_loss_of_groups_is_the_sum_of_their_losses(tokenizer, loss):
    first = group_of(tokenizer, Ranking(PROMPT.id, "ann", SHOWN, ((A.id,), (B.id, C.id))), loss=loss)
    second = group_of(tokenizer, Ranking(PROMPT.id, "ann", SHOWN, ((B.id,), (A.id,))), loss=loss)
    rewards, settings = torch.tensor([0.3, -0.2, 1.0, 0.7, 0.1]), Settings(loss=loss)
    together = summed_loss(rewards, [first, second], settings, 0.5)
    alone = summed_loss(rewards[:3], [first], settings, 0.5) + summed_loss(rewards[3:], [second], settings, 0.5)
    assert together.item() == pytest.approx(alone.item(), rel=1e-6)


def test_the_strength_of_ties_is_that_of_their_share_by_weight(tokenizer):
    """A tie in three pairs of one ranking: a share of 1/3, strength 1."""
    group = group_of(tokenizer, Ranking(PROMPT.id, "ann", SHOWN, ((A.id,), (B.id, C.id))), loss="davidson")
    assert tie_strength_of([group]) == pytest.approx(1)
