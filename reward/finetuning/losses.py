"""Losses of a reward model, computed from one vector of rewards and the positions in it that annotators compared.

Every loss is a negative log-likelihood in nats, and does not change when a constant is added to the rewards of one
prompt. Nothing is averaged here: the caller knows the whole step, so it weights and averages.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def bradley_terry(
    rewards: Tensor, chosen: Tensor, rejected: Tensor, margin: Tensor | float = 0.0, smoothing: float = 0.0
) -> Tensor:
    """Return the loss of each comparison under Bradley-Terry, shape (comparisons,).

        m = r[chosen] - r[rejected] - margin
        loss = -(1 - smoothing) log sigmoid(m) - smoothing log sigmoid(-m)

    Args:
        rewards: shape (completions,), log-odds.
        chosen, rejected: positions in `rewards`, shape (comparisons,).
        margin: reward margin required of each comparison, at least 0, shape (comparisons,) or a number.
        smoothing: assumed probability that the annotator meant the opposite, at least 0 and below 0.5.

    Returns:
        Shape (comparisons,). Equal rewards without a margin have loss log 2 = 0.693, whatever the smoothing.

    Raises:
        ValueError: if the shapes do not match; otherwise (n, 1) minus (n,) would silently become (n, n).

    Source: Bradley and Terry 1952, eq. 1, as in Ouyang et al. 2022, arXiv:2203.02155, eq. 1. Margin: Touvron et al.
    2023, arXiv:2307.09288, eq. 2. Smoothing: Mitchell 2023, "A note on DPO with noisy preferences".
    """
    _check_vectors(rewards, chosen, rejected)
    if isinstance(margin, Tensor) and margin.shape != chosen.shape:
        raise ValueError(f"margin has shape {tuple(margin.shape)}, but there are {len(chosen)} comparisons.")
    gap = rewards[chosen] - rewards[rejected] - margin
    return -(1 - smoothing) * logsigmoid(gap) - smoothing * logsigmoid(-gap)


def davidson(rewards: Tensor, first: Tensor, second: Tensor, tied: Tensor, tie_strength: float) -> Tensor:
    """Return the loss of each comparison or tie under Davidson's extension of Bradley-Terry, shape (pairs,).

        m = r[first] - r[second],  Z = exp(m/2) + exp(-m/2) + tie_strength
        P(first chosen) = exp(m/2) / Z,  P(tied) = tie_strength / Z

    Args:
        rewards: shape (completions,), log-odds.
        first, second: positions in `rewards`, shape (pairs,); the first was chosen, or the two were tied.
        tied: whether each pair was tied, shape (pairs,), bool.
        tie_strength: at least 0. With 0 this is Bradley-Terry without ties, and `tied` must be False for every pair.

    Source: Davidson 1970, JASA 65, with strengths exp(r).
    """
    _check_vectors(rewards, first, second)
    if tied.shape != first.shape:
        raise ValueError(f"tied has shape {tuple(tied.shape)}, but there are {len(first)} pairs.")
    half = (rewards[first] - rewards[second]) / 2
    log_tie = torch.full_like(half, math.log(tie_strength) if tie_strength > 0 else -math.inf)
    outcomes = torch.stack([half, -half, log_tie])
    return torch.logsumexp(outcomes, dim=0) - torch.where(tied, log_tie, half)


def tie_strength(ties: float, pairs: float) -> float:
    """Return the tie strength with which Davidson's model ties two equal rewards with probability ties / pairs.

        P(tied | equal rewards) = s / (s + 2) = ties / pairs

    Raises ValueError if all pairs were tied, because the strength would be infinite.
    """
    if not 0 <= ties < pairs:
        raise ValueError(f"{ties} of {pairs} pairs are tied; a tie strength needs at least one that is not.")
    return 2 * ties / (pairs - ties)


def plackett_luce(rewards: Tensor, order: Sequence[Sequence[int]]) -> Tensor:
    """Return the loss of one ranking under Plackett-Luce, a scalar: the best is chosen, then the best of the rest.

        P(a over b over c) = exp(r_a) / (exp(r_a) + exp(r_b) + exp(r_c)) · exp(r_b) / (exp(r_b) + exp(r_c))

    Completions in one group are tied: the probability is the exact sum over all orders within the group, so the
    probabilities of all rankings of one shape sum to 1. The last group adds no loss. With two completions the loss is
    that of Bradley-Terry.

    Args:
        rewards: shape (completions,), log-odds.
        order: groups of positions in `rewards`, best first, without the completions that were not ranked.

    Source: Plackett 1975, Applied Statistics 24; the sum over ties: Kalbfleisch and Prentice 1973, Biometrika 60.
    """
    left = [position for group in order for position in group]
    loss = rewards.new_zeros(())
    for group in order[:-1]:
        after = left[len(group) :]
        loss = loss - _block_first(rewards[list(group)], rewards[after])
        left = after
    return loss


def _block_first(block: Tensor, rest: Tensor) -> Tensor:
    """Return the log-probability that all of `block` are chosen, in any order, before any of `rest`.

        f({}) = 1,  f(S) = sum over i in S of f(S - i) · exp(r_i) / (sum of exp(r) over all but S - i)

    where S - i is S without i. This sums over the 2^n subsets of the block instead of its n! orders.
    """
    by_subset = [block.new_zeros(())]  # number k is the subset of the members whose bits are set in k
    for members in range(1, 2 ** len(block)):
        ways = []
        for member in range(len(block)):
            if members >> member & 1:
                before = members ^ (1 << member)
                open_ = [other for other in range(len(block)) if not before >> other & 1]
                choice = block[member] - torch.logsumexp(torch.cat([block[open_], rest]), dim=0)
                ways.append(by_subset[before] + choice)
        by_subset.append(torch.logsumexp(torch.stack(ways), dim=0))
    return by_subset[-1]


def centring(rewards: Tensor) -> Tensor:
    """Return the mean squared reward of one prompt's completions, a scalar, which keeps rewards near 0.

    The other losses depend only on differences of rewards, so without this term the level of the rewards may drift,
    which would affect the training of a policy on them.

    Source: Eisenstein et al. 2023, arXiv:2312.09244, for all completions of a prompt.
    """
    return rewards.square().mean()


def _check_vectors(rewards: Tensor, first: Tensor, second: Tensor) -> None:
    if rewards.ndim != 1 or first.ndim != 1 or first.shape != second.shape:
        raise ValueError(
            f"rewards have shape {tuple(rewards.shape)} and the positions {tuple(first.shape)} and "
            f"{tuple(second.shape)}; give one vector of rewards and two vectors of positions of the same length."
        )
