"""From a store's rankings to the folder of a fine-tuned reward model and its report, in one go or in several.

While it trains, everything is in OUT.unfinished: the rankings as they were at the start, the settings, checkpoints and
the log. It is there until OUT is, and a run that was stopped, or killed, goes on from it.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
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
from label_data.store.stored_groups import groups as stored_groups
from label_data.versions.version import content_of, thawed
from reward.data.sides import FEWEST_HELD_OUT, Side, check_enough, side
from reward.data.versions import Frozen, check_settings, frozen_version
from reward.file_names import LOG_FILE, SETTINGS_FILE, UNFINISHED
from reward.finetuning.full_and_lora import LoraNetwork, effective_dropout, fine_tunable
from reward.finetuning.last_layers import TopNetwork, top_network, whole_network
from reward.finetuning.lessons import Judged, judge, judge_version
from reward.finetuning.trainer import FEWEST_VALIDATION, fit
from reward.model.folder import JudgedSide, pretty, tell_version, write_model
from reward.model.model import RewardModel
from reward.networks.backbones import load_config, load_tokenizer, model_folder, model_revision
from reward.networks.batches import Input, encode
from reward.networks.ranked_network import RankedNetwork
from reward.progress import OnProgress
from reward.report.ceiling import human_agreement
from reward.report.measuring import counts_of, data_hash, measures, other_prompts
from reward.report.report import Report, Tuning
from reward.settings import Settings

DATA_FILE, VERSION_FILE = "rankings.jsonl.gz", "version.json"


def unfinished_folder(out: Path) -> Path:
    """Return where a run keeps what it needs until `out` is there."""
    return out.with_name(out.name + UNFINISHED)


def tune_reward_model(
    store: Store,
    out: Path,
    settings: Settings,
    on_progress: OnProgress = lambda done, total, message: None,
    project: str | None = None,
    version: str = "",
) -> Report | None:
    """Fine-tune on the store's rankings, write the model with its report to the new folder `out`, return the report.

    Started by torchrun or accelerate launch, every process takes its share, and all but the first return None.

    Args:
        out: a folder that does not exist yet (or is empty); it appears whole, at the end, or not at all.
        settings: with a method other than head.
        on_progress: gets (done, total, message); it may raise to stop, and `resume_tuning` goes on from there.
        project: whose rankings; by default those of all projects.
        version: name of a version of the data that is learned from instead, with its split, weights and margins. The
            store then knows of the model.

    Raises:
        InputError: if `out` is taken or half done, or there are too few rankings to train on.
    """
    with _processes().main_process_first():
        if _processes().is_main_process:
            check_free(out)
            folder = unfinished_folder(out)
            if folder.exists():
                raise InputError(
                    f"{folder} holds a run that did not finish. Go on with it: python -m reward train --resume --out "
                    f"{out}. Or remove it."
                )
            frozen = None
            if version:
                check_settings(settings)
                frozen = frozen_version(store, version)
                groups = frozen.groups
                check_enough(frozen.sides[0], frozen.held_out)
            else:
                groups = list(stored_groups(store, ranked_only=True, project=project))
                train, _ = split_by_prompt(groups, settings.held_out, settings.seed)
                check_enough(side(train), settings.held_out)
            with whole_folder(folder) as made:
                groups_format.write(made / DATA_FILE, groups)
                if frozen is not None:
                    _write_version(made / VERSION_FILE, frozen)
                # by method now: another version of the workbench, whose defaults differ, may go on with this run
                decided = replace(settings, learning_rate=settings.rate)
                said = asdict(decided) | {"project": project}
                (made / SETTINGS_FILE).write_text(pretty(said), encoding="utf-8")
    report = _run(out, False, on_progress)
    if report is not None and version:
        tell_version(store, report, out)
    return report


def resume_tuning(out: Path, on_progress: OnProgress = lambda done, total, message: None) -> Report | None:
    """Go on with the run that was to become `out`, with its own settings and rankings; return as `tune_reward_model`.

    If those are a version of the data, the store that has it is not told: see `versions.tell_version`.

    Raises InputError if there is no such run.
    """
    check_free(out)
    return _run(out, True, on_progress)


def _write_version(file: Path, frozen: Frozen) -> None:
    """Keep what a version says beside its rankings: which are compared, on which side, for how much."""
    said = {one.group.prompt.id: content_of(one) for one in frozen.prompts}
    whole = {"name": frozen.name, "sha256": frozen.sha256, "held_out": frozen.held_out, "twins": frozen.twins}
    file.write_text(canonical({**whole, "prompts": said}), encoding="utf-8")


def _kept_version(folder: Path, groups: Sequence[Group]) -> Frozen | None:
    """Return the version that the run in this folder learns from; None if it learns from rankings as they were."""
    file = folder / VERSION_FILE
    if not file.exists():
        return None
    kept = json.loads(file.read_text(encoding="utf-8"))
    said = kept.pop("prompts")
    return Frozen(prompts=tuple(thawed(group, said[group.prompt.id]) for group in groups), **kept)


def read_settings(folder: Path) -> tuple[Settings, str | None]:
    """Return the settings of the run in this folder, and its project; InputError if it holds none that can be read."""
    file = folder / SETTINGS_FILE
    if not file.exists():
        raise InputError(f"{folder}: there is no run here to go on with. Start one without --resume.")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        project = found.pop("project", None)
        return Settings(**{**found, "report_to": tuple(found["report_to"])}), project
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file}: these are not settings that this version can go on with ({error}). Go on with the version that "
            f"began the run, or remove {folder} and start again without --resume."
        ) from None


def _processes() -> PartialState:
    return PartialState(cpu=not torch.cuda.is_available())


def leave_the_others() -> NoReturn:
    """End this one of several processes, its part of the training being done.

    At once: while Python shuts down, torch 2.13 aborts a process in which a thread of gloo lets go of a tensor then
    (pytorch issue 190489), and torchrun ends the others for it, amid their report. Closing the group would stop these
    threads, but with FSDP it stays open: the cache of DTensor's operations holds it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _run(out: Path, resume: bool, on_progress: OnProgress) -> Report | None:
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"  # every process checks the layout on the whole network
    folder = unfinished_folder(out)
    settings, project = read_settings(folder)
    groups = list(groups_format.read(folder / DATA_FILE))
    on_progress(0, 0, "Opening the model; the packaged one is converted once, in about 40 seconds.")
    with _processes().main_process_first():
        base = model_folder(settings.backbone)
    tokenizer = load_tokenizer(base)
    on_progress(0, 0, "Turning prompts and completions into tokens.")
    frozen = _kept_version(folder, groups)
    if frozen is None:
        learned_from, held_out = split_by_prompt(groups, settings.held_out, settings.seed)
        train, test = side(learned_from), side(held_out)
        parts = split_by_prompt(learned_from, settings.validation, settings.seed + 1)
        fitted, validated = ([judge(one, tokenizer, settings) for one in some] for some in parts)
    else:
        train, test = frozen.sides
        parts = frozen.validation(settings.validation, settings.seed + 1)
        fitted, validated = ([judge_version(one, tokenizer, settings) for one in some] for some in parts)
    fitted, validated = ([one for one in some if one is not None] for some in (fitted, validated))
    if len(validated) < FEWEST_VALIDATION:  # too few to stop by: learn from them
        fitted, validated = fitted + validated, []

    with _processes().main_process_first():  # where activations are computed, the others find them
        ranked = _network(base, tokenizer, settings, [*fitted, *validated], on_progress)
    trained = sum(weight.numel() for weight in ranked.parameters() if weight.requires_grad)
    dropout = effective_dropout(ranked)
    found = fit(ranked, fitted, validated, settings, folder, resume, on_progress)
    if not _processes().is_main_process:
        return None

    on_progress(0, 0, "Reading the held-out prompts with the trained model.")
    if found.divided:  # this process holds a part of the weights only
        ranked = _network(base, tokenizer, settings, [*fitted, *validated], on_progress)
        ranked.load_state_dict(found.weights)
    model = RewardModel(_plain(base, ranked, settings).eval(), tokenizer)
    enough = test.prompts >= FEWEST_HELD_OUT
    own = _inputs(tokenizer, [(group, group) for group in (*train.groups, *test.groups)])
    asked, trimmed = test if enough else train, sum(one.trimmed for one in own.values())
    judged = _judged(model, own, test, settings, enough)
    report = Report(
        base_model=settings.backbone,
        base_revision=model_revision(base),
        layer=model.network.config.num_hidden_layers,
        layers=load_config(base).num_hidden_layers,
        regularisation=None,
        cross_validated=None,
        seed=settings.seed,
        held_out_share=settings.held_out if frozen is None else frozen.held_out,
        data_sha256=data_hash([*train.comparisons, *test.comparisons]),
        template_sha256=hashlib.sha256(tokenizer.chat_template.encode()).hexdigest(),
        counts=counts_of(groups, train, test, trimmed, None if frozen is None else frozen.twins),
        held_out=measures(judged.rewards, judged.shuffled, test, settings.seed, train) if enough else None,
        curve=(),
        tuning=Tuning(
            method=settings.method,
            loss=settings.loss,
            learning_rate=settings.rate,
            prompts_per_step=settings.groups_per_step,
            steps=found.steps,
            planned_steps=found.planned,
            best_step=found.best_step,
            validation_prompts=len(validated),
            validation_log_loss=found.best_log_loss,
            trained_weights=trained,
            weights=sum(weight.numel() for weight in model.network.parameters()),
            dropout=dropout,
            layout=found.layout,
            fallback=found.fallback,
            precision=found.precision,
        ),
        human=human_agreement(groups, settings.seed),
        version="" if frozen is None else frozen.name,
        version_sha256="" if frozen is None else frozen.sha256,
    )
    on_progress(0, 0, "Writing the model and its report.")
    some = [own[one.chosen] for one in asked.comparisons[:4]]
    expected = model.rewards(some).tolist()
    write_model(out, model, report, train, judged, some, expected, project, settings, folder / LOG_FILE)
    shutil.rmtree(folder)
    return report


# Networks, by method


def _network(
    base: Path,
    tokenizer: PreTrainedTokenizerBase,
    settings: Settings,
    judged: Sequence[Judged],
    on_progress: OnProgress,
) -> RankedNetwork:
    if settings.method != "top":
        return fine_tunable(base, tokenizer, settings)
    inputs = [one for group in judged for one in group.inputs]
    return top_network(base, tokenizer, settings, inputs, on_progress=on_progress)


def _plain(base: Path, ranked: RankedNetwork, settings: Settings) -> PreTrainedModel:
    if isinstance(ranked, TopNetwork):
        return whole_network(base, ranked, settings)
    return ranked.whole() if isinstance(ranked, LoraNetwork) else ranked.network


# The report


def _inputs(tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[Group, Group]]) -> dict[str, Input]:
    """Return the completions of the first of each pair under the prompt of the second, by completion id."""
    return {
        completion.id: encode(tokenizer, other.prompt.messages, completion.text)
        for group, other in pairs
        for completion in group.completions
    }


def _judged(
    model: RewardModel, own: dict[str, Input], test: Side, settings: Settings, with_shuffled: bool
) -> JudgedSide:
    others = other_prompts(test.groups, settings.seed) if with_shuffled else []
    shuffled = _inputs(model.tokenizer, others)
    ids = [completion.id for group in test.groups for completion in group.completions]
    rewards, under_another = (
        dict(zip(some, model.rewards([some[id] for id in some]).tolist(), strict=True)) if some else {}
        for some in ({id: own[id] for id in ids}, shuffled)
    )
    return JudgedSide(test, rewards, under_another)
