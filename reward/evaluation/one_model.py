"""How any checkpoint does on any rankings: the report of training, for a model that may come from anywhere."""

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

from label_data.canonical import content_id
from label_data.database.engine import open_store
from label_data.errors import InputError
from label_data.exchange.importing import import_files
from label_data.files.whole import check_free, whole_folder
from label_data.records import Group
from label_data.store.projects import project_named
from label_data.store.stored_groups import groups as stored_groups
from reward.data.sides import FEWEST_HELD_OUT
from reward.evaluation.saved_rewards import SavedRewards, saved_rewards
from reward.file_names import LEARNED_FILE, REPORT_FILE, UNFINISHED
from reward.head.train import Side, side
from reward.model.folder import pretty
from reward.model.model import RewardModel
from reward.networks.backbones import model_folder, model_revision
from reward.networks.batches import encode
from reward.progress import OnProgress
from reward.report.comparison_rows import comparison_rows, held_out_suspects, write_comparisons
from reward.report.measuring import counts_of, data_hash, measures, other_prompts
from reward.report.plots import CALIBRATION_FILE, STYLE, calibration_plot
from reward.report.report import Counts, HeldOut, held_out_from, json_values
from reward.report.words import held_out_lines, left_out_lines

REWARDS_FILE, WORDS_FILE = "rewards.jsonl", "report.md"
SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything said of one checkpoint on one set of rankings."""

    model: str
    model_revision: str
    data: str
    """The store or file, as it was named."""
    data_sha256: str
    template_sha256: str
    seed: int
    counts: Counts
    """`held_out` counts what the model was judged on; there is no training side here."""
    learned_from: int | None
    """Prompts that were left out because the model learned from them; None if nobody knows what it learned from."""
    not_read: dict[str, int]
    """What a file holds that could not be used -> how often."""
    held_out: HeldOut | None
    """None when there are too few prompts to say anything."""

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values; what is not a number is null."""
        values: dict[str, Any] = json_values(self)
        return values

    def as_markdown(self) -> str:
        """Return the report as markdown."""
        counts = self.counts
        if self.held_out is None:
            lines = [
                f"**Too few prompts to judge the model: {counts.held_out_prompts} with comparisons, and "
                f"{FEWEST_HELD_OUT} are needed.**"
            ]
        else:
            lines = held_out_lines(self.held_out, self.data)
        known = (
            "Nobody knows which prompts this model learned from: some of these may be among them."
            if self.learned_from is None
            else f"{self.learned_from:,} prompts that the model learned from were left out."
        )
        judged = (
            f"Evaluated on {counts.held_out_comparisons:,} comparisons from {counts.held_out_rankings:,} rankings of "
            f"{counts.held_out_prompts:,} prompts."
        )
        unread = [f"Not read, {times:,} x: {reason}." for reason, times in self.not_read.items()]
        made = f"Model {self.model} (revision {self.model_revision}); seed {self.seed}."
        return "\n".join([*lines, "", judged, *left_out_lines(counts), *unread, known, "", made])


def evaluation_from(value: dict[str, Any]) -> Evaluation:
    """Return the report that `Evaluation.as_dict` wrote."""
    made = {"counts": Counts(**value["counts"]), "held_out": held_out_from(value["held_out"])}
    return Evaluation(**{**value, **made})


# What is judged


@dataclass(frozen=True, slots=True)
class Data:
    """Rankings to judge a model by."""

    name: str
    groups: tuple[Group, ...]
    not_read: Counter[str]


@contextmanager
def _store_of(file: Path) -> Iterator[tuple[str, Counter[str]]]:
    """Yield a store made of the file alone: prompts that it names twice become one, as they would in a store."""
    with tempfile.TemporaryDirectory(prefix="rankings-") as folder:
        address = str(Path(folder, "store.db"))
        store = open_store(address)
        try:
            found = import_files(store, [file])
        finally:
            store.dispose()
        yield address, found.left_out


def read_data(address: str, project: str = "") -> Data:
    """Return the rankings of a store (its address), or of a file in any format that is recognised.

    Raises InputError if it is neither, or if a project is named of a file.
    """
    path = Path(address)
    if "://" not in address and path.is_file() and not _is_sqlite(path):
        if project:
            raise InputError(f"{address} is a file, which has no projects. Leave --project out, or name a store.")
        with _store_of(path) as (made, left_out):
            return Data(path.name, _groups(made, None), left_out)
    return Data(path.name if "://" not in address else "the store", _groups(address, project), Counter())


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE


def _groups(address: str, project: str | None) -> tuple[Group, ...]:
    store = open_store(address, create=False)
    try:
        chosen = None if project is None else project_named(store, project).id
        return tuple(stored_groups(store, ranked_only=True, project=chosen))
    finally:
        store.dispose()


def learned_from(folder: Path) -> frozenset[str] | None:
    """Return the hashes of the prompts that a model's folder says it learned from; None if it does not say."""
    path = folder / LEARNED_FILE
    return frozenset(path.read_text(encoding="ascii").split()) if path.is_file() else None


def without_learned(groups: Sequence[Group], *learned: frozenset[str] | None) -> list[Group]:
    """Return the groups whose prompt none of the models learned from, as far as they say."""
    known = frozenset().union(*(some for some in learned if some is not None))
    return [group for group in groups if content_id(group.prompt.first_turn) not in known]


# Judging


@dataclass(frozen=True, slots=True, eq=False)
class ModelRewards:
    """A model's rewards for everything that was compared."""

    model: str
    revision: str
    template_sha256: str
    test: Side
    own: SavedRewards
    """By completion id."""
    shuffled: SavedRewards
    """Of the same completions under other prompts."""
    trimmed: int

    def measures(self, seed: int) -> HeldOut:
        """Return the measures of these rewards."""
        return measures(self.own.rewards, self.shuffled.rewards, self.test, seed)


def open_checkpoint(name: str) -> tuple[RewardModel, Path]:
    """Return the model of a folder or hub name and its folder; InputError if it is no classifier with one label.

    Only safetensors are read, and no code that comes with a model is run.
    """
    folder = model_folder(name)
    return RewardModel.load(folder), folder


def rewards_for(
    model: RewardModel,
    name: str,
    folder: Path,
    groups: Sequence[Group],
    seed: int = 0,
    keep: Path | None = None,
    on_progress: OnProgress = lambda done, total, message: None,
) -> ModelRewards:
    """Return the model's rewards for the groups, their own and under other prompts.

    Args:
        keep: a file in which rewards are kept as they are found, and from which the work goes on.

    Raises:
        InputError: if the groups hold no comparison.
    """
    test = side(groups)
    if not test.comparisons:
        raise InputError("There is no comparison to judge the model by: no ranking places one completion above another")
    own = {
        completion.id: encode(model.tokenizer, group.prompt.messages, completion.text)
        for group in test.groups
        for completion in group.completions
    }
    shuffled = {
        f"{completion.id} under {other.prompt.id}": encode(model.tokenizer, other.prompt.messages, completion.text)
        for group, other in other_prompts(test.groups, seed)
        for completion in group.completions
    }
    revision = model_revision(folder)
    about = {"model": revision, "data": data_hash(test.comparisons), "seed": seed}
    found = saved_rewards(model, {**own, **shuffled}, keep, about, on_progress)

    def of(keys: dict[str, Any]) -> SavedRewards:
        some = (
            {key.partition(" ")[0]: of[key] for key in keys if key in of} for of in (found.rewards, found.deviations)
        )
        return SavedRewards(*some)

    template = hashlib.sha256(model.tokenizer.chat_template.encode()).hexdigest()
    return ModelRewards(name, revision, template, test, of(own), of(shuffled), sum(one.trimmed for one in own.values()))


def evaluate_model(
    model_name: str,
    data: Data,
    out: Path | None = None,
    learned_too: bool = False,
    seed: int = 0,
    on_progress: OnProgress = lambda done, total, message: None,
) -> Evaluation:
    """Judge a checkpoint by the data's rankings; write the report and every reward to the new folder `out`, if any.

    Args:
        model_name: a folder or hub name of a sequence classifier with one label, of this project or not.
        out: until it is there, what was computed is in OUT.unfinished, and the same call goes on from it.
        learned_too: judge it by prompts that it learned from as well.

    Raises:
        InputError: if there is no such model, `out` is taken, or there is nothing to judge by.
    """
    if out is not None:
        check_free(out)
    on_progress(0, 0, "Opening the model.")
    model, folder = open_checkpoint(model_name)
    learned = learned_from(folder)
    groups = list(data.groups) if learned_too else without_learned(data.groups, learned)
    keep = None if out is None else unfinished(out) / REWARDS_FILE
    judged = rewards_for(model, model_name, folder, groups, seed, keep, on_progress)
    found = evaluation_of(judged, data, groups, learned, seed)
    if out is not None:
        with whole_folder(out) as made:
            write_evaluation(made, found, judged)
        shutil.rmtree(unfinished(out))
    return found


def unfinished(out: Path) -> Path:
    """Return where an evaluation keeps its rewards until `out` is there."""
    return out.with_name(out.name + UNFINISHED)


def evaluation_of(
    judged: ModelRewards, data: Data, groups: Sequence[Group], learned: frozenset[str] | None, seed: int
) -> Evaluation:
    """Return the report of the rewards that `rewards_for` gave for these groups."""
    return Evaluation(
        model=judged.model,
        model_revision=judged.revision,
        data=data.name,
        data_sha256=data_hash(judged.test.comparisons),
        template_sha256=judged.template_sha256,
        seed=seed,
        counts=counts_of(groups, side([]), judged.test, judged.trimmed),
        learned_from=None if learned is None else len(data.groups) - len(groups),
        not_read=dict(data.not_read),
        held_out=judged.measures(seed) if judged.test.prompts >= FEWEST_HELD_OUT else None,
    )


def write_evaluation(folder: Path, found: Evaluation, judged: ModelRewards) -> None:
    """Write report, rewards and comparisons into an empty folder: every measure can be computed anew from these."""
    (folder / REPORT_FILE).write_text(pretty(found.as_dict()), encoding="utf-8")
    (folder / WORDS_FILE).write_text(found.as_markdown() + "\n", encoding="utf-8")
    with (folder / REWARDS_FILE).open("w", encoding="utf-8") as file:
        file.writelines(judged.own.lines())
    test, rewards = judged.test, judged.own.rewards
    rows = comparison_rows(test.groups, test.comparisons, test.clusters, rewards, judged.shuffled.rewards)
    write_comparisons(folder, rows, held_out_suspects(test.groups, rewards))
    if found.held_out is not None:
        with matplotlib.rc_context(STYLE):
            calibration_plot(found.held_out, folder / CALIBRATION_FILE)


def read_evaluation(folder: Path) -> Evaluation:
    """Return the report in an evaluation's folder; InputError if there is none."""
    path = folder / REPORT_FILE
    try:
        return evaluation_from(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: this report can't be read ({error}). Name a folder that evaluate made.") from None
