"""Two models on the same comparisons: is one better, or is that chance? Every comparison is its own control.

A prompt is what chance draws: what is said of one prompt, by whomever, stands or falls together.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from label_data.errors import InputError
from label_data.files.whole import check_free, whole_folder
from label_data.intervals import Estimate
from reward.evaluation.one_model import (
    Data,
    Evaluation,
    ModelRewards,
    evaluation_of,
    learned_from,
    open_checkpoint,
    rewards_for,
    unfinished,
    without_learned,
    write_evaluation,
)
from reward.file_names import REPORT_FILE
from reward.model.folder import pretty
from reward.networks.backbones import model_folder
from reward.progress import OnProgress
from reward.report.paired_test import Paired, paired
from reward.report.report import json_values

WORDS_FILE = "report.md"


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """Two checkpoints on the same rankings."""

    first: Evaluation
    second: Evaluation
    paired: Paired

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON values; what is not a number is null."""
        return {"first": self.first.as_dict(), "second": self.second.as_dict(), "paired": json_values(self.paired)}

    def as_markdown(self) -> str:
        """Return the two beside one another, and the verdict, as markdown."""
        found, said = self.paired, self.paired.accuracy
        lines = [verdict(self), ""]
        if self.first.held_out is not None and self.second.held_out is not None:
            both = (self.first.held_out, self.second.held_out)
            lines += ["| | first | second |", "| --- | ---: | ---: |"]
            for name, values in (
                ("accuracy", [f"{_text(one.accuracy)}" for one in both]),
                ("model less its best baseline", [_text(one.over_baseline) for one in both]),
                ("model less prompts shuffled", [_text(one.over_shuffled) for one in both]),
                ("log-loss", [_text(one.log_loss) for one in both]),
                ("Brier score", [_text(one.brier) for one in both]),
                ("calibration error (ECE)", [f"{one.ece:.3f}" for one in both]),
                ("temperature that would fit best", [f"{one.temperature:.3f}" for one in both]),
                ("correlation of reward and length", [f"{one.reward_length:z.3f}" for one in both]),
            ):
                lines.append(f"| {name} | {' | '.join(values)} |")
            lines.append("")
        lines += [
            f"First less second: accuracy {_text(said)}, log-loss {_text(found.log_loss)} (95 % intervals resample "
            f"prompts), over {said.count:,} comparisons of {said.prompts:,} prompts. p = {found.p:.4g} by "
            f"turning signs over {found.differing:,} prompts on which they differ: the first is ahead on "
            f"{found.first_better:,}, the second on {found.second_better:,}. They order {found.disagreements:,} "
            "comparisons differently.",
            "",
            f"First: {self.first.model} (revision {self.first.model_revision}). Second: {self.second.model} (revision "
            f"{self.second.model_revision}). Data: {self.first.data}. Prompts that either learned from were left out, "
            "as far as the models say.",
        ]
        return "\n".join(lines)


def verdict(both: ModelComparison) -> str:
    """Return one sentence: is one of the two better, as far as these comparisons can tell?"""
    said = both.paired.accuracy
    points = f"{100 * abs(said.value):.1f} points"
    if both.paired.p < 0.05 and (said.low > 0 or said.high < 0):
        which = "first" if said.value > 0 else "second"
        return f"**The {which} model is better**, by {points} of accuracy (p = {both.paired.p:.4g})."
    return (
        f"**Neither model is better as far as these comparisons can tell**: {points} of accuracy lie between them "
        f"(p = {both.paired.p:.4g})."
    )


def _text(one: Estimate) -> str:
    return f"{one.value:z.3f} [{one.low:z.3f}, {one.high:z.3f}]"


def margins(judged: ModelRewards) -> np.ndarray:
    """Return the margins of everything compared, shape (comparisons,)."""
    rewards = judged.own.rewards
    return np.array([rewards[one.chosen] - rewards[one.rejected] for one in judged.test.comparisons])


def compare_models(
    names: tuple[str, str],
    data: Data,
    out: Path | None = None,
    learned_too: bool = False,
    seed: int = 0,
    on_progress: OnProgress = lambda done, total, message: None,
) -> ModelComparison:
    """Judge two checkpoints by the same rankings; write both reports and the paired test to the new folder `out`.

    Prompts that either of them learned from are left out, unless `learned_too`. See `checkup.check_up`.
    """
    if out is not None:
        check_free(out)
    if names[0] == names[1]:
        raise InputError(f"{names[0]} is named twice. Name two models.")
    on_progress(0, 0, "Opening the models.")
    learned = [learned_from(model_folder(name)) for name in names]
    groups = list(data.groups) if learned_too else without_learned(data.groups, *learned)
    judged = []
    for name, which in zip(names, ("first", "second"), strict=True):
        model, folder = open_checkpoint(name)  # one at a time: two large networks need not fit together
        keep = None if out is None else unfinished(out) / f"{which}.jsonl"
        judged.append(rewards_for(model, name, folder, groups, seed, keep, on_progress))
    first, second = (evaluation_of(one, data, groups, known, seed) for one, known in zip(judged, learned, strict=True))
    test = judged[0].test
    both = ModelComparison(first, second, paired(*map(margins, judged), test.weights, test.clusters, seed))
    if out is not None:
        _write(out, both, judged)
    return both


def _write(out: Path, both: ModelComparison, judged: Sequence[ModelRewards]) -> None:
    with whole_folder(out) as made:
        (made / REPORT_FILE).write_text(pretty(both.as_dict()), encoding="utf-8")
        (made / WORDS_FILE).write_text(both.as_markdown() + "\n", encoding="utf-8")
        for name, checkup, one in zip(("first", "second"), (both.first, both.second), judged, strict=True):
            (made / name).mkdir()
            write_evaluation(made / name, checkup, one)
    shutil.rmtree(unfinished(out))
