import math
from itertools import permutations

import pytest
import torch

from reward.finetuning.losses import bradley_terry, centring, davidson, plackett_luce, tie_strength

REWARDS = torch.tensor([1.5, -0.5, 0.25, 0.0], dtype=torch.float64)
CHOSEN, REJECTED = torch.tensor([0, 0, 2, 3]), torch.tensor([1, 2, 1, 0])


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


# Bradley-Terry


def test_bradley_terry_equals_a_loop_over_the_comparisons():
    margin = torch.tensor([0.0, 1.0, 0.5, 2.0], dtype=torch.float64)
    loss = bradley_terry(REWARDS, CHOSEN, REJECTED, margin, smoothing=0.1)
    for row, (chosen, rejected) in enumerate(zip(CHOSEN.tolist(), REJECTED.tolist(), strict=True)):
        gap = REWARDS[chosen].item() - REWARDS[rejected].item() - margin[row].item()
        expected = -0.9 * math.log(sigmoid(gap)) - 0.1 * math.log(1 - sigmoid(gap))
        assert loss[row].item() == pytest.approx(expected, rel=1e-12)


def test_a_gap_of_two_has_loss_0_1269_and_reversed_2_1269():
    """-log sigmoid(2) = log(1 + e^-2) = 0.126928; reversed log(1 + e^2) = 2.126928."""
    loss = bradley_terry(torch.tensor([1.5, -0.5]), torch.tensor([0, 1]), torch.tensor([1, 0]))
    assert loss.tolist() == pytest.approx([0.126928, 2.126928], abs=1e-6)


def test_a_margin_requires_a_larger_gap():
    """A gap of 2 less a margin of 2 is no gap: log 2."""
    loss = bradley_terry(torch.tensor([1.5, -0.5]), torch.tensor([0]), torch.tensor([1]), margin=2.0)
    assert loss.item() == pytest.approx(math.log(2))


def test_equal_rewards_have_loss_log_2_whatever_the_smoothing():
    for smoothing in (0.0, 0.2):
        loss = bradley_terry(torch.zeros(2), torch.tensor([0]), torch.tensor([1]), smoothing=smoothing)
        assert loss.item() == pytest.approx(math.log(2))


def test_the_smoothed_loss_is_lowest_where_the_model_expects_the_assumed_share_of_mistakes():
    """With smoothing 0.1 the best gap is log(0.9 / 0.1) = 2.197; a larger gap has a higher loss."""
    rewards = torch.tensor([math.log(9), 0.0], requires_grad=True)
    bradley_terry(rewards, torch.tensor([0]), torch.tensor([1]), smoothing=0.1).sum().backward()
    assert rewards.grad.tolist() == pytest.approx([0, 0], abs=1e-7)


def test_swapping_the_sides_flips_the_sign_of_the_gradient():
    grads = []
    for chosen, rejected in ((0, 1), (1, 0)):
        rewards = torch.zeros(2, requires_grad=True)
        bradley_terry(rewards, torch.tensor([chosen]), torch.tensor([rejected])).sum().backward()
        grads.append(rewards.grad.tolist())
    assert grads == [[-0.5, 0.5], [0.5, -0.5]]


def test_trap_16_shapes_that_would_broadcast_are_refused():
    rewards, positions = torch.zeros(3), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="one vector of rewards"):
        bradley_terry(rewards[:, None], positions, positions)
    with pytest.raises(ValueError, match="of the same length"):
        bradley_terry(rewards, positions[:, None], positions)
    with pytest.raises(ValueError, match="margin has shape"):
        bradley_terry(rewards, positions, positions, margin=torch.zeros(2, 1))
    with pytest.raises(ValueError, match="tied has shape"):
        davidson(rewards, positions, positions, torch.zeros(1, dtype=torch.bool), 1.0)


# Davidson


def test_davidsons_three_outcomes_sum_to_one():
    for gap in (-3.0, 0.0, 0.7):
        rewards, pair = torch.tensor([gap, 0.0], dtype=torch.float64), torch.tensor([[0, 1, 0], [1, 0, 1]])
        loss = davidson(rewards, *pair, torch.tensor([False, False, True]), tie_strength=0.8)
        assert torch.exp(-loss).sum().item() == pytest.approx(1, rel=1e-12)


def test_davidson_by_hand():
    """With r = (log 4, 0) and strength 1: weights 2, 1/2 and 1 of 3.5, so 4/7, 1/7 and 2/7."""
    rewards, pair = torch.tensor([math.log(4), 0.0]), torch.tensor([[0, 1, 0], [1, 0, 1]])
    loss = davidson(rewards, *pair, torch.tensor([False, False, True]), tie_strength=1.0)
    assert torch.exp(-loss).tolist() == pytest.approx([4 / 7, 1 / 7, 2 / 7], rel=1e-6)


def test_davidson_without_ties_is_bradley_terry():
    none = torch.zeros(4, dtype=torch.bool)
    loss = davidson(REWARDS, CHOSEN, REJECTED, none, tie_strength=0.0)
    assert torch.allclose(loss, bradley_terry(REWARDS, CHOSEN, REJECTED), rtol=1e-12)
    rewards = REWARDS.clone().requires_grad_()
    davidson(rewards, CHOSEN, REJECTED, none, tie_strength=0.0).sum().backward()
    assert torch.isfinite(rewards.grad).all()


def test_a_tie_pulls_rewards_together():
    rewards = torch.tensor([1.0, 0.0], requires_grad=True)
    davidson(rewards, torch.tensor([0]), torch.tensor([1]), torch.tensor([True]), 1.0).sum().backward()
    assert rewards.grad[0] > 0 > rewards.grad[1]


def test_the_tie_strength_of_a_share_of_ties():
    """One pair in three tied: s / (s + 2) = 1/3 gives s = 1."""
    assert tie_strength(1, 3) == pytest.approx(1)
    assert tie_strength(0, 3) == 0
    with pytest.raises(ValueError, match="at least one that is not"):
        tie_strength(3, 3)


# Plackett-Luce


def log_probability_by_hand(rewards, order):
    """Return log P of a full order without ties."""
    total = 0.0
    for place in range(len(order)):
        total += rewards[order[place]] - math.log(sum(math.exp(rewards[later]) for later in order[place:]))
    return total


def test_trap_22_plackett_luce_of_all_full_orders_sums_to_one():
    total = sum(
        math.exp(-plackett_luce(REWARDS, [[completion] for completion in order]).item())
        for order in permutations(range(4))
    )
    assert total == pytest.approx(1, rel=1e-12)


def test_trap_22_the_order_is_best_first_and_not_reversed():
    best_first = [[0], [2], [3], [1]]  # rewards 1.5, 0.25, 0, -0.5
    loss = plackett_luce(REWARDS, best_first).item()
    assert loss == pytest.approx(-log_probability_by_hand(REWARDS.tolist(), [0, 2, 3, 1]), rel=1e-12)
    assert loss == min(
        plackett_luce(REWARDS, [[number] for number in order]).item() for order in permutations(range(4))
    )


def test_trap_22_plackett_luce_of_two_completions_is_bradley_terry():
    expected = bradley_terry(REWARDS, torch.tensor([0]), torch.tensor([1])).item()
    assert plackett_luce(REWARDS, [[0], [1]]).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("order", [[[0, 1], [2, 3]], [[2], [0, 1, 3]], [[0, 2, 3], [1]], [[3], [0, 1], [2]]])
def test_trap_22_a_tied_block_is_the_sum_over_the_orders_within_it(order):
    """P({a, b} over {c, d}) is the sum of P over the four full orders with a and b before c and d, and so on."""
    groups = {place: number for number, group in enumerate(order) for place in group}
    expected = sum(
        math.exp(log_probability_by_hand(REWARDS.tolist(), full))
        for full in permutations(range(4))
        if [groups[place] for place in full] == sorted(groups[place] for place in full)
    )
    assert math.exp(-plackett_luce(REWARDS, order).item()) == pytest.approx(expected, rel=1e-12)


def test_trap_22_a_ranking_of_ties_alone_has_no_loss():
    assert plackett_luce(REWARDS, [[0, 1, 2, 3]]).item() == 0


def test_best_of_four_is_the_cross_entropy_of_a_softmax():
    expected = -torch.log_softmax(REWARDS, dim=0)[2].item()
    assert plackett_luce(REWARDS, [[2], [0, 1, 3]]).item() == pytest.approx(expected, rel=1e-12)


def test_a_partial_order_uses_only_the_ranked_completions():
    assert plackett_luce(REWARDS, [[0], [3]]).item() == pytest.approx(math.log(1 + math.exp(-1.5)), rel=1e-12)


# Laws of all losses


def every_loss(rewards):
    tied = torch.tensor([False, True, False, True])
    return torch.stack(
        [
            bradley_terry(rewards, CHOSEN, REJECTED, 0.3, 0.1).sum(),
            davidson(rewards, CHOSEN, REJECTED, tied, 0.7).sum(),
            plackett_luce(rewards, [[2], [0, 1], [3]]),
        ]
    )


def test_trap_22_a_constant_added_to_all_rewards_changes_no_loss():
    assert torch.allclose(every_loss(REWARDS), every_loss(REWARDS + 7), rtol=1e-12)


def test_losses_stay_finite_at_rewards_of_a_thousand():
    rewards = (REWARDS * 1_000).requires_grad_()
    every_loss(rewards).sum().backward()
    assert torch.isfinite(rewards.grad).all()


def test_gradients_are_those_of_finite_differences():
    assert torch.autograd.gradcheck(every_loss, REWARDS.clone().requires_grad_())


def test_centring_is_the_mean_square():
    """(1.5² + 0.5² + 0.25² + 0) / 4 = 2.5625 / 4."""
    assert centring(REWARDS).item() == pytest.approx(0.640625)
