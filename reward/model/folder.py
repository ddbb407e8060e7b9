"""Write a reward model and its report to a folder that appears complete or not at all."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version as version_of
from pathlib import Path

import numpy as np

from label_data.canonical import content_id
from label_data.database.engine import Store
from label_data.files.whole import check_free, whole_folder
from label_data.versions.version import record_model, versions
from reward.data.sides import Side
from reward.file_names import LEARNED_FILE, PROVENANCE_FILE, REPORT_FILE
from reward.model.model import RewardModel
from reward.networks.batches import LONGEST_INPUT, Input
from reward.report.card import model_card
from reward.report.comparison_rows import comparison_rows, held_out_suspects, write_comparisons
from reward.report.plots import write_plots
from reward.report.report import Report
from reward.settings import Settings

PACKAGES = ("numpy", "scikit-learn", "torch", "transformers")
"""Packages whose versions are saved with the model."""


@dataclass(frozen=True, slots=True)
class EvaluatedSide:
    """The held-out side and the model's rewards for it."""

    side: Side
    rewards: Mapping[str, float]
    """By completion id, for at least the completions of this side."""
    shuffled: Mapping[str, float]
    """Rewards under another prompt; empty if there are too few prompts to evaluate."""


def write_model(
    out: Path,
    model: RewardModel,
    report: Report,
    train: Side,
    evaluated: EvaluatedSide,
    inputs: Sequence[Input],
    expected: Sequence[float],
    project: str | None = None,
    settings: Settings | None = None,
    log: Path | None = None,
) -> None:
    """Write model, report, plots and card to the new folder `out`, which appears complete or not at all.

    Args:
        train: the training side; hashes of its prompts' first turns are saved, so an evaluation can leave them out.
        evaluated: the held-out side; all its margins are saved, and its most suspect rankings.
        inputs, expected: a few inputs with their rewards in training; the saved model must give the same rewards.
        project, settings: saved in `workbench.json`.
        log: a file to copy into the folder.

    Raises:
        InputError: if `out` was taken meanwhile.
        RuntimeError: if the saved model gives other rewards.
    """
    try:
        with whole_folder(out) as folder:
            model.save(folder)
            (folder / REPORT_FILE).write_text(pretty_json(report.as_dict()), encoding="utf-8")
            made_from = provenance(report) | {"project": project} | ({"settings": asdict(settings)} if settings else {})
            (folder / PROVENANCE_FILE).write_text(pretty_json(made_from), encoding="utf-8")
            learned = {content_id(group.prompt.first_turn) for group in train.groups}
            (folder / LEARNED_FILE).write_text("".join(f"{digest}\n" for digest in sorted(learned)), "ascii")
            test = evaluated.side
            rows = comparison_rows(
                test.groups, test.comparisons, test.clusters.tolist(), evaluated.rewards, evaluated.shuffled
            )
            write_comparisons(folder, rows, held_out_suspects(test.groups, evaluated.rewards))
            plots = write_plots(report, folder)
            (folder / "README.md").write_text(model_card(report, plots, LONGEST_INPUT), encoding="utf-8")
            if log is not None:
                shutil.copyfile(log, folder / log.name)
            rewards = RewardModel.load(folder).rewards(inputs)
            if not np.allclose(rewards, expected, rtol=1e-4, atol=1e-3):
                raise RuntimeError(f"The saved model gives rewards {rewards}, but training gave {expected}.")
    except FileExistsError:
        check_free(out)
        raise


def provenance(report: Report) -> dict[str, object]:
    """Return what is needed to train this model again: hashes of data, template and base model, seed, versions."""
    return {
        "format": 1,
        "data_sha256": report.data_sha256,
        "template_sha256": report.template_sha256,
        "base_model": report.base_model,
        "base_revision": report.base_revision,
        "seed": report.seed,
        "held_out_share": report.held_out_share,
        **({"version": report.version, "version_sha256": report.version_sha256} if report.version else {}),
        "versions": {name: version_of(name) for name in PACKAGES},
    }


def pretty_json(value: object) -> str:
    """Return the value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def register_with_version(store: Store, report: Report, folder: Path) -> bool:
    """Record in the store that the model in this folder was trained on its version of the data.

    Returns False if the store does not have the version. The version is identified by its hash, because another store
    may have a different version of the same name.
    """
    matching = (version for version in versions(store) if version.sha256 == report.version_sha256)
    trained_on = next(matching, None)
    if trained_on is None:
        return False
    accuracy = None if report.held_out is None else round(report.held_out.accuracy.value, 4)
    summary = {
        "method": "head" if report.tuning is None else report.tuning.method,
        "base model": report.base_model,
        "accuracy": accuracy,
        "seed": report.seed,
    }
    digest = hashlib.sha256((folder / REPORT_FILE).read_bytes()).hexdigest()
    record_model(store, trained_on, str(folder.resolve()), digest, summary)
    return True
