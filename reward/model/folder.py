"""Write a model and its report to a folder that appears whole or not at all."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from label_data.canonical import content_id
from label_data.database.engine import Store
from label_data.files.whole import check_free, whole_folder
from label_data.versions.version import Version, record_model, versions
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


@dataclass(frozen=True, slots=True)
class JudgedSide:
    """The held-out side and what the model made of it."""

    side: Side
    rewards: Mapping[str, float]
    """By completion id, at least of this side's."""
    shuffled: Mapping[str, float]
    """Under another prompt; empty where there are too few prompts to say anything."""


def write_model(
    out: Path,
    model: RewardModel,
    report: Report,
    train: Side,
    judged: JudgedSide,
    inputs: Sequence[Input],
    expected: Sequence[float],
    project: str | None = None,
    settings: Settings | None = None,
    log: Path | None = None,
) -> None:
    """Write model, report, plots and card to the new folder `out`, which appears whole or not at all.

    Args:
        train: what was learned from; hashes of its prompts' first turns are kept, so that nobody takes them for new.
        judged: what it was judged on; every margin is kept, and the rankings that it contradicts most.
        inputs, expected: a few inputs and the rewards that the report is about: the folder must give the same.
        project, settings: kept in `workbench.json`.
        log: a file to keep beside the model.

    Raises:
        InputError: if something is at `out` by now.
    """
    try:
        with whole_folder(out) as folder:
            model.save(folder)
            (folder / REPORT_FILE).write_text(pretty(report.as_dict()), encoding="utf-8")
            said = provenance(report) | {"project": project} | ({"settings": asdict(settings)} if settings else {})
            (folder / PROVENANCE_FILE).write_text(pretty(said), encoding="utf-8")
            learned = {content_id(group.prompt.first_turn) for group in train.groups}
            (folder / LEARNED_FILE).write_text("".join(f"{one}\n" for one in sorted(learned)), "ascii")
            test = judged.side
            rows = comparison_rows(test.groups, test.comparisons, test.clusters, judged.rewards, judged.shuffled)
            write_comparisons(folder, rows, held_out_suspects(test.groups, judged.rewards))
            plots = write_plots(report, folder)
            (folder / "README.md").write_text(model_card(report, plots, LONGEST_INPUT), encoding="utf-8")
            if log is not None:
                shutil.copyfile(log, folder / log.name)
            found = RewardModel.load(folder).rewards(inputs)
            if not np.allclose(found, expected, rtol=1e-4, atol=1e-3):
                raise RuntimeError(f"The saved model gives rewards {found} where training had {expected}.")
    except FileExistsError:
        check_free(out)
        raise


def provenance(report: Report) -> dict[str, object]:
    """Return what it takes to make this model again: hashes of data, template and base model, seed, versions."""
    return {
        "format": 1,
        "data_sha256": report.data_sha256,
        "template_sha256": report.template_sha256,
        "base_model": report.base_model,
        "base_revision": report.base_revision,
        "seed": report.seed,
        "held_out_share": report.held_out_share,
        **({"version": report.version, "version_sha256": report.version_sha256} if report.version else {}),
        "versions": {name: version(name) for name in PACKAGES},
    }


def pretty(value: object) -> str:
    """Return the value as JSON that a person can read."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def tell_version(store: Store, report: Report, folder: Path) -> bool:
    """Keep in the store that the model in this folder was trained on its version; False if the store has no such one.

    The version is found by its hash: by its name alone it could be another store's.
    """
    found: Version | None = next((one for one in versions(store) if one.sha256 == report.version_sha256), None)
    if found is None:
        return False
    accuracy = None if report.held_out is None else round(report.held_out.accuracy.value, 4)
    summary = {
        "method": "head" if report.tuning is None else report.tuning.method,
        "base model": report.base_model,
        "accuracy": accuracy,
        "seed": report.seed,
    }
    digest = hashlib.sha256((folder / REPORT_FILE).read_bytes()).hexdigest()
    record_model(store, found, str(folder.resolve()), digest, summary)
    return True
