"""Reports on a few comparisons, for tests of the wording and plots of reports."""

import numpy as np

from label_data.intervals import Estimate
from reward.report.report import Counts, CurvePoint, Report, held_out_measures

COUNTS = Counts(
    rankings=130,
    without_order=2,
    tied=3,
    twins=1,
    trimmed=4,
    train_prompts=100,
    train_rankings=101,
    train_comparisons=300,
    held_out_prompts=25,
    held_out_rankings=25,
    held_out_comparisons=75,
)


def measures(margins, longer, shuffled=None, weights=None, policies=None):
    """Return the measures of comparisons, one per prompt, whose chosen text is `longer` characters longer."""
    margins, longer = np.asarray(margins, dtype=float), np.asarray(longer, dtype=float)
    zeros = np.zeros_like(margins)
    return held_out_measures(
        chosen=margins,
        rejected=zeros,
        shuffled_margins=zeros if shuffled is None else np.asarray(shuffled, dtype=float),
        chosen_lengths=100 + longer,
        rejected_lengths=100 + zeros,
        weights=np.ones_like(margins) if weights is None else np.asarray(weights, dtype=float),
        clusters=[str(number) for number in range(len(margins))],
        centred_rewards=margins,
        centred_lengths=longer,
        policy_margins=None if policies is None else np.asarray(policies, dtype=float),
    )


def report(held_out, counts=COUNTS):
    return Report(
        base_model="packaged:SmolLM2-135M-Instruct",
        base_revision="0123456789abcdef",
        layer=25,
        layers=30,
        regularisation=0.001,
        cross_validated=0.65,
        seed=0,
        held_out_share=0.2,
        data_sha256="d" * 64,
        template_sha256="e" * 64,
        counts=counts,
        held_out=held_out,
        curve=(CurvePoint(100, Estimate(0.6, 0.5, 0.7, 75, 25), 0.66),) if held_out else (),
    )
