"""Compare two models on the same comparisons, with a paired test."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from label_data.errors import InputError
from label_data.files.whole import check_free, whole_folder
from label_data.intervals import Estimate
from label_data.sentences import say
from reward.evaluation.one_model import (
    WORDS_FILE,
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
from reward.model.folder import pretty_json
from reward.networks.backbones import model_folder
from reward.progress import OnProgress, silent
from reward.report.paired_test import Paired, paired_difference
from reward.report.report import HeldOut, json_values
from reward.report.words import SHUFFLED, Block, Cell, Table, code, markdown, number, paired_verdict

FIRST, SECOND = "A", "B"
"""What the two models are called."""


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """The reports of two checkpoints on the same rankings, and the paired test of their difference."""

    first: Evaluation
    second: Evaluation
    paired: Paired

    def as_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Return the comparison as JSON values; nan becomes null."""
        return json_values(self)

    def as_markdown(self, language: str = "en") -> str:
        """Return the verdict, the measures side by side and the paired test as markdown in a language."""
        paired = self.paired
        blocks: list[Block] = [paired_verdict(paired, FIRST, SECOND)]
        if self.first.held_out is not None and self.second.held_out is not None:
            blocks.append(_side_by_side(self.first.held_out, self.second.held_out))
        blocks += [
            say(
                "reward.evaluation.difference",
                first=FIRST,
                second=SECOND,
                accuracy=_with_interval(paired.accuracy),
                log_loss=_with_interval(paired.log_loss),
                differing=paired.differing,
                first_better=paired.first_better,
                second_better=paired.second_better,
                disagreements=paired.disagreements,
            ),
            say(
                "reward.evaluation.both_models",
                first=FIRST,
                second=SECOND,
                first_model=code(self.first.model),
                first_revision=code(self.first.model_revision),
                second_model=code(self.second.model),
                second_revision=code(self.second.model_revision),
                data=code(self.first.data),
            ),
        ]
        known = [count for count in (self.first.learned_from, self.second.learned_from) if count is not None]
        if known:
            blocks.append(say("reward.evaluation.learned_left_out", count=known[0]))
        if len(known) < 2:
            blocks.append(say("reward.evaluation.learned_unknown"))
        return markdown(blocks, language)


def _side_by_side(first: HeldOut, second: HeldOut) -> Table:
    both = (first, second)
    over_shuffled = say("reward.report.model_minus", predictor=SHUFFLED)
    rows: list[tuple[Cell, ...]] = [
        (say("reward.report.accuracy"), *(_with_interval(each.accuracy) for each in both)),
        (say("reward.evaluation.over_baseline"), *(_with_interval(each.over_baseline) for each in both)),
        (over_shuffled, *(_with_interval(each.over_shuffled) for each in both)),
        (say("reward.report.log_loss"), *(_with_interval(each.log_loss) for each in both)),
        (say("reward.report.brier"), *(_with_interval(each.brier) for each in both)),
        (say("reward.report.ece"), *(number(each.ece) for each in both)),
        (say("reward.report.temperature"), *(number(each.temperature) for each in both)),
        (say("reward.evaluation.length_correlation"), *(number(each.reward_length) for each in both)),
    ]
    return Table(("", FIRST, SECOND), rows)


def _with_interval(estimate: Estimate) -> str:
    return f"{estimate.value:z.3f} [{estimate.low:z.3f}, {estimate.high:z.3f}]"


def margins(rewards: ModelRewards) -> np.ndarray:
    """Return the model's margin on every comparison, shape (comparisons,)."""
    own = rewards.own.rewards
    return np.array([own[comparison.chosen] - own[comparison.rejected] for comparison in rewards.test.comparisons])


def compare_models(
    names: tuple[str, str],
    data: Data,
    out: Path | None = None,
    include_learned: bool = False,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> ModelComparison:
    """Evaluate two checkpoints on the same rankings; write both reports and the paired test to the new folder `out`.

    Prompts that either model was trained on are left out, unless `include_learned`. Arguments and errors are as in
    `evaluate_model`. Also raises InputError if both names are the same.
    """
    if out is not None:
        check_free(out)
    if names[0] == names[1]:
        raise InputError("reward.evaluation.same_model", model=names[0])
    on_progress(0, 0, say("reward.evaluation.opening_both"))
    learned = [learned_from(model_folder(name)) for name in names]
    groups = list(data.groups) if include_learned else without_learned(data.groups, *learned)
    rewards = []
    for name, label in zip(names, ("first", "second"), strict=True):
        model, folder = open_checkpoint(name)  # one at a time: two large networks may not fit in memory together
        save_to = None if out is None else unfinished(out) / f"{label}.jsonl"
        rewards.append(rewards_for(model, name, folder, groups, seed, save_to, on_progress))
    first, second = (
        evaluation_of(of_model, data, groups, known, seed) for of_model, known in zip(rewards, learned, strict=True)
    )
    test = rewards[0].test
    paired = paired_difference(margins(rewards[0]), margins(rewards[1]), test.weights, test.clusters, seed)
    comparison = ModelComparison(first, second, paired)
    if out is not None:
        _write(out, comparison, rewards)
    return comparison


def _write(out: Path, comparison: ModelComparison, rewards: Sequence[ModelRewards]) -> None:
    with whole_folder(out) as folder:
        (folder / REPORT_FILE).write_text(pretty_json(comparison.as_dict()), encoding="utf-8")
        (folder / WORDS_FILE).write_text(comparison.as_markdown() + "\n", encoding="utf-8")
        evaluations = (comparison.first, comparison.second)
        for label, evaluation, of_model in zip(("first", "second"), evaluations, rewards, strict=True):
            (folder / label).mkdir()
            write_evaluation(folder / label, evaluation, of_model)
    shutil.rmtree(unfinished(out))
