from math import log

import numpy as np
import pytest

from label_data.records import Completion, Group, Ranking, user_prompt
from reward.data.sides import side
from reward.report.policy_baseline import policy_margins


def a_side(*pairs):
    """Return the side of pairs (policy of the chosen, policy of the rejected), one a prompt."""
    groups = []
    for number, policies in enumerate(pairs):
        prompt = user_prompt(f"Question {number}?")
        chosen, rejected = (
            Completion(prompt.id, f"{place} answer", policy)
            for place, policy in zip(("Better", "Worse"), policies, strict=True)
        )
        order = ((chosen.id,), (rejected.id,))
        groups.append(Group(prompt, (chosen, rejected), (Ranking(prompt.id, "ann", order[0] + order[1], order),)))
    return side(groups)


def test_a_margin_is_the_difference_of_the_policies_strengths():
    """Large wins 3 of 4: with the prior of 0.1 each, the log-odds are log(3.1 / 1.1). Other pairs have margin 0."""
    train = a_side(*[("large", "small")] * 3, ("small", "large"), ("large", "large"), ("large", ""))
    gap = log(3.1 / 1.1)
    test = a_side(("large", "small"), ("small", "large"), ("small", "small"), ("large", "new"), ("", "small"))
    assert policy_margins(train, test) == pytest.approx(np.array([gap, -gap, 0, 0, 0]), abs=1e-6)


def test_without_known_policies_there_is_no_policy_baseline():
    named, unnamed = a_side(("large", "small"), ("large", "small")), a_side(("", ""), ("", ""))
    assert policy_margins(unnamed, unnamed) is None
    assert policy_margins(named, unnamed) is None
    assert policy_margins(unnamed, named) is None
