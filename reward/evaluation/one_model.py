"""Evaluate a checkpoint from any trainer on any rankings, with the same report as after training."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from label_data.canonical import content_id
from label_data.database.engine import open_store
from label_data.errors import InputError
from label_data.exchange.importing import import_files
from label_data.files.whole import check_free, whole_folder
from label_data.records import Group
from label_data.sentences import say
from label_data.store.projects import project_named
from label_data.store.stored_groups import groups as stored_groups
from reward.data.sides import FEWEST_HELD_OUT, Side, side
from reward.evaluation.saved_rewards import SavedRewards, saved_rewards
from reward.file_names import LEARNED_FILE, REPORT_FILE, UNFINISHED
from reward.model.folder import pretty_json
from reward.model.model import RewardModel
from reward.networks.backbones import model_folder, model_revision
from reward.networks.batches import encode
from reward.progress import OnProgress, silent
from reward.report.comparison_rows import comparison_rows, held_out_suspects, write_comparisons
from reward.report.measuring import counts_of, data_hash, measures, other_prompts
from reward.report.plots import CALIBRATION_FILE, calibration_plot, plot_style
from reward.report.report import Counts, HeldOut, from_json, json_values, read_json
from reward.report.words import Block, code, left_out, markdown, verdict
from reward.report.words import measures as measure_blocks

REWARDS_FILE, WORDS_FILE = "rewards.jsonl", "report.md"
SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The report of one checkpoint on one set of rankings."""

    model: str
    model_revision: str
    data: str
    """Name of the store or the file."""
    data_sha256: str
    template_sha256: str
    seed: int
    counts: Counts
    """The `held_out_` counts describe the data that the model was evaluated on; there is no training side."""
    learned_from: int | None
    """Prompts left out because the model was trained on them; None if the model does not record its training data."""
    not_read: dict[str, int]
    """Why records of a file could not be used, in English -> how many."""
    held_out: HeldOut | None
    """None if there are too few prompts for an evaluation."""

    def as_dict(self) -> dict[str, Any]:  # Any: JSON values
        """Return the report as JSON values; nan becomes null."""
        return json_values(self)

    def as_markdown(self, language: str = "en") -> str:
        """Return the report as markdown in a language."""
        counts = self.counts
        blocks: list[Block] = []
        if self.held_out is None:
            blocks.append(say("reward.evaluation.too_few", count=counts.held_out_prompts, needed=FEWEST_HELD_OUT))
        else:
            blocks.append(verdict(self.held_out, is_held_out=False))
            blocks += measure_blocks(self.held_out, say("reward.report.metric_on", data=self.data))
        blocks.append(
            say(
                "reward.evaluation.evaluated_on",
                comparisons=counts.held_out_comparisons,
                rankings=counts.held_out_rankings,
                prompts=counts.held_out_prompts,
            )
        )
        blocks.append(left_out(counts))
        for reason, count in self.not_read.items():
            blocks.append(say("reward.evaluation.not_read", reason=reason, count=count))
        blocks.append(
            say("reward.evaluation.learned_unknown")
            if self.learned_from is None
            else say("reward.evaluation.learned_left_out", count=self.learned_from)
        )
        model = {"model": code(self.model), "revision": code(self.model_revision)}
        blocks.append(say("reward.evaluation.model", **model, seed=self.seed))
        return markdown(blocks, language)


def evaluation_from(values: dict[str, Any]) -> Evaluation:  # Any: JSON values
    """Return the report that `Evaluation.as_dict` wrote."""
    return from_json(values, Evaluation)


def read_evaluation(folder: Path) -> Evaluation:
    """Return the report in an evaluation's folder; InputError if there is none."""
    return read_json(folder / REPORT_FILE, Evaluation)


# The data


@dataclass(frozen=True, slots=True)
class Data:
    """Rankings to evaluate a model on."""

    name: str
    groups: tuple[Group, ...]
    not_read: dict[str, int]
    """Why records of a file could not be used, in English -> how many."""


@contextmanager
def _store_of(file: Path) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield the address of a temporary store with the file's data, so that prompts are merged as in any store."""
    with tempfile.TemporaryDirectory(prefix="rankings-") as folder:
        address = str(Path(folder, "store.db"))
        store = open_store(address)
        try:
            imported = import_files(store, [file])
        finally:
            store.dispose()
        yield address, {str(reason): count for reason, count in imported.left_out.items()}


def read_data(address: str, project: str = "") -> Data:
    """Return the rankings of a store, given its address, or of a file in any format that import recognises.

    Raises InputError if the address is neither, or if it is a file and a project is named.
    """
    path = Path(address)
    if "://" not in address and path.is_file() and not _is_sqlite(path):
        if project:
            raise InputError("reward.evaluation.file_has_no_projects", file=address)
        with _store_of(path) as (store_address, left_out_of_file):
            return Data(path.name, _groups(store_address, None), left_out_of_file)
    name = path.name if "://" not in address else str(say("reward.evaluation.the_store"))
    return Data(name, _groups(address, project), {})


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE


def _groups(address: str, project: str | None) -> tuple[Group, ...]:
    store = open_store(address, create=False)
    try:
        project_id = None if project is None else project_named(store, project).id
        return tuple(stored_groups(store, ranked_only=True, project=project_id))
    finally:
        store.dispose()


def learned_from(folder: Path) -> frozenset[str] | None:
    """Return the hashes of the prompts that the model in a folder was trained on; None if it records none."""
    path = folder / LEARNED_FILE
    return frozenset(path.read_text(encoding="ascii").split()) if path.is_file() else None


def without_learned(groups: Sequence[Group], *learned: frozenset[str] | None) -> list[Group]:
    """Return the groups without the prompts that any of the models was trained on; None is a model without a record."""
    known = frozenset().union(*(hashes for hashes in learned if hashes is not None))
    return [group for group in groups if content_id(group.prompt.first_turn) not in known]


# The evaluation


@dataclass(frozen=True, slots=True, eq=False)
class ModelRewards:
    """A model's rewards for all completions that were compared."""

    model: str
    revision: str
    template_sha256: str
    test: Side
    own: SavedRewards
    """With the completions' own prompts, by completion id."""
    shuffled: SavedRewards
    """With other prompts, by completion id."""
    trimmed: int

    def measures(self, seed: int) -> HeldOut:
        """Return the measures of these rewards."""
        return measures(self.own.rewards, self.shuffled.rewards, self.test, seed)


def open_checkpoint(name: str) -> tuple[RewardModel, Path]:
    """Return the model with a folder or hub name, and its folder; InputError if it is not a classifier with one label.

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
    save_to: Path | None = None,
    on_progress: OnProgress = silent,
) -> ModelRewards:
    """Return the model's rewards for the groups' completions, with their own prompts and with other prompts.

    Args:
        model, name, folder: the model, as `open_checkpoint` returns it.
        groups: the rankings to evaluate it on.
        seed: decides which other prompt each completion is paired with.
        save_to: a file that rewards are saved to as they are computed, and from which a stopped evaluation resumes.
        on_progress: gets the progress; it may raise to stop.

    Raises:
        InputError: if the groups hold no comparison.
    """
    test = side(groups)
    if not test.comparisons:
        raise InputError("reward.evaluation.no_comparison")
    own = {
        completion.id: encode(model.tokenizer, group.prompt.messages, completion.text)
        for group in test.groups
        for completion in group.completions
    }
    shuffled, completion_of = {}, {}
    for group, other in other_prompts(test.groups, seed):
        for completion in group.completions:
            key = f"{completion.id} under {other.prompt.id}"
            shuffled[key] = encode(model.tokenizer, other.prompt.messages, completion.text)
            completion_of[key] = completion.id
    revision = model_revision(folder)
    source = {"model": revision, "data": data_hash(test.comparisons), "seed": seed}
    rewards = saved_rewards(model, {**own, **shuffled}, save_to, source, on_progress)
    return ModelRewards(
        model=name,
        revision=revision,
        template_sha256=hashlib.sha256(str(model.tokenizer.chat_template).encode()).hexdigest(),
        test=test,
        own=rewards.of({key: key for key in own}),
        shuffled=rewards.of(completion_of),
        trimmed=sum(given.trimmed for given in own.values()),
    )


def evaluate_model(
    model_name: str,
    data: Data,
    out: Path | None = None,
    include_learned: bool = False,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> Evaluation:
    """Evaluate a checkpoint on the data's rankings; write the report and all rewards to the new folder `out`, if given.

    Args:
        model_name: a folder or hub name of a sequence classifier with one label, from any trainer.
        data: the rankings to evaluate it on.
        out: until it exists, rewards are saved in OUT.unfinished, and the same call resumes from there.
        include_learned: also evaluate the model on prompts that it was trained on.
        seed: seed of intervals and shuffled prompts.
        on_progress: gets the progress; it may raise to stop.

    Raises:
        InputError: if there is no such model, if `out` exists, or if the data hold no comparison.
    """
    if out is not None:
        check_free(out)
    on_progress(0, 0, say("reward.evaluation.opening"))
    model, folder = open_checkpoint(model_name)
    learned = learned_from(folder)
    groups = list(data.groups) if include_learned else without_learned(data.groups, learned)
    save_to = None if out is None else unfinished(out) / REWARDS_FILE
    rewards = rewards_for(model, model_name, folder, groups, seed, save_to, on_progress)
    evaluation = evaluation_of(rewards, data, groups, learned, seed)
    if out is not None:
        with whole_folder(out) as new_folder:
            write_evaluation(new_folder, evaluation, rewards)
        shutil.rmtree(unfinished(out))
    return evaluation


def unfinished(out: Path) -> Path:
    """Return the folder in which an evaluation saves its rewards until `out` exists."""
    return out.with_name(out.name + UNFINISHED)


def evaluation_of(
    rewards: ModelRewards, data: Data, groups: Sequence[Group], learned: frozenset[str] | None, seed: int
) -> Evaluation:
    """Return the report on the rewards that `rewards_for` returned for these groups."""
    return Evaluation(
        model=rewards.model,
        model_revision=rewards.revision,
        data=data.name,
        data_sha256=data_hash(rewards.test.comparisons),
        template_sha256=rewards.template_sha256,
        seed=seed,
        counts=counts_of(groups, side([]), rewards.test, rewards.trimmed),
        learned_from=None if learned is None else len(data.groups) - len(groups),
        not_read=data.not_read,
        held_out=rewards.measures(seed) if rewards.test.prompts >= FEWEST_HELD_OUT else None,
    )


def write_evaluation(folder: Path, evaluation: Evaluation, rewards: ModelRewards) -> None:
    """Write report, rewards and comparisons into an empty folder; every measure can be recomputed from the files."""
    (folder / REPORT_FILE).write_text(pretty_json(evaluation.as_dict()), encoding="utf-8")
    (folder / WORDS_FILE).write_text(evaluation.as_markdown() + "\n", encoding="utf-8")
    with (folder / REWARDS_FILE).open("w", encoding="utf-8") as file:
        file.writelines(rewards.own.lines())
    test, own = rewards.test, rewards.own.rewards
    rows = comparison_rows(test.groups, test.comparisons, test.clusters, own, rewards.shuffled.rewards)
    write_comparisons(folder, rows, held_out_suspects(test.groups, own))
    if evaluation.held_out is not None:
        with plot_style():
            calibration_plot(evaluation.held_out, folder / CALIBRATION_FILE)
