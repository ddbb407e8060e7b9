"""Fine-tune a reward model on a store's rankings and write its folder and report, in one run or resumed.

During training everything is in OUT.unfinished: the rankings as they were at the start, the settings, checkpoints and
the log. The folder stays until OUT is complete, so a run that was stopped or killed can resume from it.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NoReturn

import torch
from accelerate import PartialState
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from label_data.canonical import canonical
from label_data.comparisons import split_by_prompt
from label_data.database.engine import Store
from label_data.errors import InputError
from label_data.files.whole import check_free, whole_folder
from label_data.formats import groups as groups_format
from label_data.records import Group
from label_data.sentences import say
from label_data.store.stored_groups import groups as stored_groups
from label_data.versions.version import content_of, group_from_content
from reward.data.sides import FEWEST_HELD_OUT, Side, check_enough, side
from reward.data.versions import TrainingVersion, check_settings_for_version, training_version
from reward.file_names import LOG_FILE, SETTINGS_FILE, UNFINISHED
from reward.finetuning.full_and_lora import LoraNetwork, effective_dropout, trainable_network
from reward.finetuning.last_layers import LastLayersNetwork, last_layers_network, whole_network
from reward.finetuning.trainer import FEWEST_VALIDATION, fit
from reward.finetuning.training_groups import TrainingGroup, training_group, version_training_group
from reward.model.folder import EvaluatedSide, pretty_json, register_with_version, write_model
from reward.model.model import RewardModel
from reward.networks.backbones import load_config, load_tokenizer, model_folder, model_revision, template_sha256
from reward.networks.batches import Input, encode_completions
from reward.networks.ranked_network import RankedNetwork
from reward.progress import OnProgress, silent
from reward.report.ceiling import human_agreement
from reward.report.measuring import counts_of, data_hash, measures, other_prompts
from reward.report.report import Report, Tuning
from reward.settings import Settings

DATA_FILE, VERSION_FILE = "rankings.jsonl.gz", "version.json"
"""In the folder of an unfinished run: its rankings, and the version of the data that they are from, if any."""


def unfinished_folder(out: Path) -> Path:
    """Return the folder of the unfinished run whose model will be in `out`."""
    return out.with_name(out.name + UNFINISHED)


def fine_tune(
    store: Store,
    out: Path,
    settings: Settings,
    on_progress: OnProgress = silent,
    project: str | None = None,
    version: str = "",
) -> Report | None:
    """Fine-tune on the store's rankings, write the model and its report to the new folder `out`, and return the report.

    If torchrun or accelerate launch starts several processes, each trains on its share and only the first returns a
    report; the others return None.

    Args:
        out: a folder that does not exist yet (or is empty). It appears complete at the end, or not at all.
        settings: with any method but "head".
        on_progress: gets (done, total, message). It may raise to stop; `resume_fine_tuning` continues from there.
        project: id of the project whose rankings to use; by default the rankings of all projects.
        version: name of a version of the data to use instead, with its split, weights and margins. The store then
            records the model with the version.

    Raises:
        InputError: if `out` is taken or has an unfinished run, or there are too few rankings to train on.
    """
    with _processes().main_process_first():
        if _processes().is_main_process:
            _prepare(store, out, settings, project, version)
    report = _run(out, False, on_progress)
    if report is not None and version:
        register_with_version(store, report, out)
    return report


def resume_fine_tuning(out: Path, on_progress: OnProgress = silent) -> Report | None:
    """Resume the unfinished run of `out`, with its own settings and rankings; return the same as `fine_tune`.

    If the run uses a version of the data, the store does not record the model: call `register_with_version` for that.

    Raises InputError if there is no unfinished run.
    """
    check_free(out)
    return _run(out, True, on_progress)


def end_process() -> NoReturn:
    """End this process, one of several, after its part of the training.

    It exits at once, without Python's shutdown, during which torch 2.13 aborts a process in which a thread of gloo
    releases a tensor (pytorch issue 190489), and torchrun then ends the other processes while they write the report.
    Closing the process group would stop these threads, but with FSDP the cache of DTensor operations keeps the group
    open.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


# The folder of an unfinished run


def _prepare(store: Store, out: Path, settings: Settings, project: str | None, version: str) -> None:
    """Write rankings, version and settings into the new folder of the unfinished run."""
    check_free(out)
    folder = unfinished_folder(out)
    if folder.exists():
        raise InputError("reward.finetuning.unfinished_run", folder=folder, out=out)
    data = None
    if version:
        check_settings_for_version(settings)
        data = training_version(store, version)
        groups = data.groups
        check_enough(data.sides[0], data.held_out)
    else:
        groups = list(stored_groups(store, ranked_only=True, project=project))
        train, _ = split_by_prompt(groups, settings.held_out, settings.seed)
        check_enough(side(train), settings.held_out)
    with whole_folder(folder) as new:
        groups_format.write(new / DATA_FILE, groups)
        if data is not None:
            _write_version(new / VERSION_FILE, data)
        # The learning rate is saved here, because another version of the workbench with other defaults may resume this
        # run.
        values = asdict(replace(settings, learning_rate=settings.rate)) | {"project": project}
        (new / SETTINGS_FILE).write_text(pretty_json(values), encoding="utf-8")


def _write_version(file: Path, version: TrainingVersion) -> None:
    """Write what the version adds to its rankings: comparisons, sides and weights."""
    prompts = {row.group.prompt.id: content_of(row) for row in version.rows}
    content = {
        "name": version.name,
        "sha256": version.sha256,
        "held_out": version.held_out,
        "twins": version.equal_texts,
        "prompts": prompts,
    }
    file.write_text(canonical(content), encoding="utf-8")


def _read_version(folder: Path, groups: Sequence[Group]) -> TrainingVersion | None:
    """Return the version of the data that the run in this folder uses, or None if it uses no version."""
    file = folder / VERSION_FILE
    if not file.exists():
        return None
    content = json.loads(file.read_text(encoding="utf-8"))
    rows = tuple(group_from_content(group, content["prompts"][group.prompt.id]) for group in groups)
    return TrainingVersion(content["name"], content["sha256"], content["held_out"], content["twins"], rows)


def read_settings(folder: Path) -> tuple[Settings, str | None]:
    """Return the settings and the project of the unfinished run in this folder.

    Raises InputError if there is no run, or its settings can't be read.
    """
    file = folder / SETTINGS_FILE
    if not file.exists():
        raise InputError("reward.finetuning.no_run", folder=folder)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        project = values.pop("project", None)
        if "top_layers" in values:  # the name in runs of earlier versions
            values["last_layers"] = values.pop("top_layers")
        return Settings(**{**values, "report_to": tuple(values["report_to"])}), project
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError("reward.finetuning.unreadable_settings", file=file, error=error, folder=folder) from None


# A run


@dataclass(frozen=True, slots=True)
class _Data:
    """The data of a run: both sides of its split, and the training side as the trainer reads it."""

    groups: list[Group]
    version: TrainingVersion | None
    train: Side
    test: Side
    fitted: list[TrainingGroup]
    """The training prompts without the validation prompts."""
    validation: list[TrainingGroup]


def _read_data(folder: Path, settings: Settings, tokenizer: PreTrainedTokenizerBase) -> _Data:
    groups = list(groups_format.read(folder / DATA_FILE))
    version = _read_version(folder, groups)
    seed = settings.seed + 1
    parts: list[list[TrainingGroup | None]]
    if version is None:
        train_groups, test_groups = split_by_prompt(groups, settings.held_out, settings.seed)
        train, test = side(train_groups), side(test_groups)
        group_parts = split_by_prompt(train_groups, settings.validation, seed)
        parts = [[training_group(group, tokenizer, settings) for group in part] for part in group_parts]
    else:
        train, test = version.sides
        row_parts = version.split_validation(settings.validation, seed)
        parts = [[version_training_group(row, tokenizer, settings) for row in part] for part in row_parts]
    fitted, validation = ([group for group in part if group is not None] for part in parts)
    if len(validation) < FEWEST_VALIDATION:  # too few for early stopping, so train on them
        fitted, validation = fitted + validation, []
    return _Data(groups, version, train, test, fitted, validation)


def _processes() -> PartialState:
    return PartialState(cpu=not torch.cuda.is_available())


def _run(out: Path, resume: bool, on_progress: OnProgress) -> Report | None:
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"  # every process checks the layout on the whole network
    folder = unfinished_folder(out)
    settings, project = read_settings(folder)
    on_progress(0, 0, say("reward.networks.opening"))
    with _processes().main_process_first():
        base = model_folder(settings.backbone)
    tokenizer = load_tokenizer(base)
    on_progress(0, 0, say("reward.finetuning.encoding"))
    data = _read_data(folder, settings, tokenizer)
    train, test, version = data.train, data.test, data.version
    with _processes().main_process_first():  # the first process computes activations, and the others find them
        ranked = _network(base, tokenizer, settings, data, on_progress)
    trained_weights = sum(weight.numel() for weight in ranked.parameters() if weight.requires_grad)
    dropout = effective_dropout(ranked)
    result = fit(ranked, data.fitted, data.validation, settings, folder, resume, on_progress)
    if not _processes().is_main_process:
        return None

    on_progress(0, 0, say("reward.finetuning.evaluating"))
    if result.divided:  # this process holds only a part of the weights
        ranked = _network(base, tokenizer, settings, data, on_progress)
        ranked.load_state_dict(result.weights)
    model = RewardModel(_plain(base, ranked, settings).eval(), tokenizer)
    enough = test.prompts >= FEWEST_HELD_OUT
    own = encode_completions(tokenizer, [(group, group) for group in (*train.groups, *test.groups)])
    trimmed = sum(item.trimmed for item in own.values())
    evaluated = _evaluated(model, own, test, settings, enough)
    report = Report(
        base_model=settings.backbone,
        base_revision=model_revision(base),
        layer=model.network.config.num_hidden_layers,
        layers=load_config(base).num_hidden_layers,
        regularisation=None,
        cross_validated=None,
        seed=settings.seed,
        held_out_share=settings.held_out if version is None else version.held_out,
        data_sha256=data_hash([*train.comparisons, *test.comparisons]),
        template_sha256=template_sha256(tokenizer),
        counts=counts_of(data.groups, train, test, trimmed, None if version is None else version.equal_texts),
        held_out=measures(evaluated.rewards, evaluated.shuffled, test, settings.seed, train) if enough else None,
        curve=(),
        tuning=Tuning(
            method=settings.method,
            loss=settings.loss,
            learning_rate=settings.rate,
            prompts_per_step=settings.groups_per_step,
            steps=result.steps,
            planned_steps=result.planned,
            best_step=result.best_step,
            validation_prompts=len(data.validation),
            validation_log_loss=result.best_log_loss,
            trained_weights=trained_weights,
            weights=sum(weight.numel() for weight in model.network.parameters()),
            dropout=dropout,
            layout=result.layout,
            fallback="" if result.fallback is None else result.fallback.as_json,
            precision=result.precision,
        ),
        human=human_agreement(data.groups, settings.seed),
        version="" if version is None else version.name,
        version_sha256="" if version is None else version.sha256,
    )
    on_progress(0, 0, say("reward.model.writing"))
    checked = [own[pair.chosen] for pair in (test if enough else train).comparisons[:4]]
    expected = model.rewards(checked).tolist()
    write_model(out, model, report, train, evaluated, checked, expected, project, settings, folder / LOG_FILE)
    shutil.rmtree(folder)
    return report


# Networks, by method


def _network(
    base: Path, tokenizer: PreTrainedTokenizerBase, settings: Settings, data: _Data, on_progress: OnProgress
) -> RankedNetwork:
    if settings.method != "last-layers":
        return trainable_network(base, tokenizer, settings)
    inputs = [item for group in (*data.fitted, *data.validation) for item in group.inputs]
    return last_layers_network(base, tokenizer, settings, inputs, on_progress=on_progress)


def _plain(base: Path, ranked: RankedNetwork, settings: Settings) -> PreTrainedModel:
    """Return the trained network as transformers loads it: whole, and without adapters."""
    if isinstance(ranked, LastLayersNetwork):
        return whole_network(base, ranked, settings)
    return ranked.merged() if isinstance(ranked, LoraNetwork) else ranked.network


# Rewards of the held-out side


def _evaluated(
    model: RewardModel, own: Mapping[str, Input], test: Side, settings: Settings, with_shuffled: bool
) -> EvaluatedSide:
    """Return the held-out side with its rewards, and with rewards under other prompts if asked for."""
    ids = [completion.id for group in test.groups for completion in group.completions]
    others = other_prompts(test.groups, settings.seed) if with_shuffled else []
    rewards = _rewards(model, {id: own[id] for id in ids})
    return EvaluatedSide(test, rewards, _rewards(model, encode_completions(model.tokenizer, others)))


def _rewards(model: RewardModel, inputs: Mapping[str, Input]) -> dict[str, float]:
    if not inputs:
        return {}
    return dict(zip(inputs, model.rewards(list(inputs.values())).tolist(), strict=True))
