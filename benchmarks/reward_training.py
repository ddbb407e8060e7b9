"""Fine-tuning a reward model on K-way rankings: this project against TRL's RewardTrainer, in one run.

    python -m benchmarks.reward_training qa.jsonl [--rankings 32] [--repeats 3] [--widen 9] [--out results.json]
    python -m benchmarks.reward_training --quick

The file is in this project's groups format (`converters/qa_feedback_to_groups.py` makes one, with or without passages;
`python -m label_data export` makes one of any store). Both sides train the same network on the same rankings, as often
over them, with as many rankings in a step of the optimiser; TRL gets every comparison that the rankings imply, as a
pair. Every measurement is a process of its own, and sides take turns, so that a slow minute of the machine meets both.

Beside the ratio of seconds stands the ratio of tokens, which bounds it: TRL reads K (K - 1) (P + C) tokens of a ranking
where P + K C would do. Tuned means the best settings found on a CPU: float32, no gradient checkpointing, batches of 2
with accumulation, which pad least. TRL's own defaults are not run on a CPU: bfloat16 alone makes them 13 times slower.

`--widen 9` makes rankings of nine out of those of four, with completions of other prompts: for speed, not for quality.
`--quick` takes a few steps of a tiny network on generated rankings: it shows that the benchmark works, and no more.
"""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer

from label_data.comparisons import group_comparisons, split_by_prompt
from label_data.formats import groups as groups_format
from label_data.records import Completion, Group, Ranking, user_prompt

SIDES = ("ours", "trl-tuned")
LONGEST_INPUT = 2_048


def widened(groups: Sequence[Group], completions: int, seed: int = 0) -> list[Group]:
    """Return groups of so many completions, those of other prompts among them, in one full order by chance."""
    chance = random.Random(seed)
    texts = [completion.text for group in groups for completion in group.completions]
    widened_groups = []
    for group in groups:
        more = [completion.text for completion in group.completions] + chance.sample(texts, completions)
        sampled = [Completion(group.prompt.id, text) for text in list(dict.fromkeys(more))[:completions]]
        order = tuple((completion.id,) for completion in chance.sample(sampled, len(sampled)))
        ranking = Ranking(group.prompt.id, "generated", tuple(completion.id for completion in sampled), order)
        widened_groups.append(Group(group.prompt, tuple(sampled), (ranking,)))
    return widened_groups


def generated(prompts: int, seed: int = 0) -> list[Group]:
    """Return prompts with four completions in an order that their letters tell, for `--quick`."""
    chance = random.Random(seed)
    groups = []
    for number in range(prompts):
        prompt = user_prompt(f"Question {number}: " + "".join(chance.choices("abcdefgh ", k=60)))
        sampled = [
            Completion(prompt.id, "".join(chance.choices(letters, k=20))) for letters in ("ab", "ijk", "pqr", "xyz")
        ]
        ids = tuple(completion.id for completion in sampled)
        groups.append(
            Group(prompt, tuple(sampled), (Ranking(prompt.id, "generated", ids, tuple((id,) for id in ids)),))
        )
    return groups


# One side, in a process of its own


@dataclass(frozen=True, slots=True)
class Seconds:
    """Of the clock, and of the processor, user and system together."""

    clock: float
    processor: float

    @classmethod
    def now(cls) -> "Seconds":
        return cls(time.perf_counter(), time.process_time())

    @classmethod
    def since(cls, start: "Seconds") -> "Seconds":
        now = cls.now()
        return cls(now.clock - start.clock, now.processor - start.processor)


def train_ours(
    folder: Path, groups: Sequence[Group], options: dict[str, Any], scratch: Path
) -> tuple[Any, Seconds, int]:
    """Return the trained network, what training took, and the tokens of one time over the rankings."""
    from reward.finetuning.full_and_lora import trainable_network
    from reward.finetuning.trainer import RankingTrainer, steps_of, training_arguments
    from reward.finetuning.training_groups import training_group
    from reward.networks.backbones import load_tokenizer
    from reward.settings import Settings

    settings = Settings(
        method="full",
        epochs=options["epochs"],
        groups_per_step=options["per_step"],
        learning_rate=options["rate"],
        centring=0.0,
    )
    tokenizer = load_tokenizer(folder)
    judged = [training for group in groups if (training := training_group(group, tokenizer, settings)) is not None]
    ranked = trainable_network(folder, tokenizer, settings)
    steps = steps_of(len(judged), settings)
    arguments = training_arguments(settings, scratch, len(steps), False, "cpu")
    arguments.save_strategy = "no"  # neither side is timed writing checkpoints
    of_steps = [[judged[index] for index in step] for step in steps]
    trainer = RankingTrainer(ranked, arguments, settings, of_steps, [], 0.0)
    start = Seconds.now()
    trainer.train()
    return ranked.network, Seconds.since(start), trainer.tokens_read // options["epochs"]


def train_trl(
    folder: Path, groups: Sequence[Group], options: dict[str, Any], scratch: Path
) -> tuple[Any, Seconds, int]:
    """Return the same of TRL's RewardTrainer at the best settings found for a CPU."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    from reward.networks.backbones import load_tokenizer

    tokenizer = load_tokenizer(folder)
    rows, sizes = [], []
    for group in groups:
        text = {completion.id: completion.text for completion in group.completions}
        compared = group_comparisons(group)
        sizes.append(len(compared))
        for comparison in compared:
            rows.append(
                {
                    "prompt": group.prompt.as_dicts,
                    "chosen": [{"role": "assistant", "content": text[comparison.chosen]}],
                    "rejected": [{"role": "assistant", "content": text[comparison.rejected]}],
                }
            )
    network = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)
    network.config.pad_token_id = tokenizer.pad_token_id
    pairs_per_step = max(2, round(options["per_step"] * sum(sizes) / len(sizes)))
    config = RewardConfig(
        output_dir=str(scratch),
        per_device_train_batch_size=2,
        gradient_accumulation_steps=max(1, pairs_per_step // 2),
        num_train_epochs=options["epochs"],
        learning_rate=options["rate"],
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": 0.1},
        max_length=LONGEST_INPUT,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
    )
    trainer = RewardTrainer(network, args=config, processing_class=tokenizer, train_dataset=Dataset.from_list(rows))
    start = Seconds.now()
    trainer.train()
    seconds = Seconds.since(start)
    tokens = sum(len(row[name]) for row in trainer.train_dataset for name in ("chosen_ids", "rejected_ids"))
    return network, seconds, tokens


def measure(side: str, task: dict[str, Any]) -> dict[str, Any]:
    """Train one side and judge it on the held-out groups, with the same code for both."""
    from label_data.intervals import mean_with_interval
    from reward import metrics
    from reward.data.sides import side as side_of
    from reward.model.model import RewardModel
    from reward.networks.backbones import load_tokenizer
    from reward.networks.batches import encode

    groups, held_out = (list(groups_format.read(Path(task[name]))) for name in ("train", "held_out"))
    folder = Path(task["network"])
    with tempfile.TemporaryDirectory() as scratch:
        run = train_ours if side == "ours" else train_trl
        network, seconds, tokens = run(folder, groups, task, Path(scratch))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tokenizer, test = load_tokenizer(folder), side_of(held_out)
    pairs = [(group, completion) for group in test.groups for completion in group.completions]
    inputs = [encode(tokenizer, group.prompt.messages, completion.text) for group, completion in pairs]
    rewards = RewardModel(network.eval(), tokenizer).rewards(inputs)
    reward_of = {completion.id: float(reward) for (_, completion), reward in zip(pairs, rewards, strict=True)}
    margins = [reward_of[comparison.chosen] - reward_of[comparison.rejected] for comparison in test.comparisons]
    accuracy, loss = (
        mean_with_interval(measured(margins), test.weights, test.clusters)
        for measured in (metrics.correct, metrics.losses)
    )
    return {
        "side": side,
        "seconds": seconds.clock,
        "processor": seconds.processor,
        "seconds_per_ranking": seconds.clock / len(groups) / task["epochs"],
        "tokens": tokens,
        "peak_gb": peak / 1e6,
        "accuracy": [accuracy.value, accuracy.low, accuracy.high],
        "log_loss": [loss.value, loss.low, loss.high],
        "margins": margins,
    }


# Both sides in turn


def tiny_network(folder: Path) -> None:
    """Write a network of a few thousand weights with a token a byte, for `--quick`."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    names = ["<pad>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    of_bytes = Tokenizer(models.BPE(vocab={name: number for number, name in enumerate(names)}, merges=[]))
    of_bytes.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=of_bytes, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    tokenizer.chat_template = (
        "{% for message in messages %}<s>{{ message['role'] }}\n{{ message['content'] }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
    )
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(names), pad_token_id=0, **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def paired(ours: dict[str, Any], theirs: dict[str, Any], held_out: Sequence[Group]) -> str:
    """Say how the two sides differ on the same held-out comparisons, with intervals that resample prompts."""
    from label_data.intervals import mean_with_interval
    from reward import metrics
    from reward.data.sides import side as side_of

    test = side_of(held_out)
    cells = []
    for name, measured in (("accuracy", metrics.correct), ("log-loss", metrics.losses)):
        here, there = (measured(np.array(run["margins"])) for run in (ours, theirs))
        less = mean_with_interval(here - there, test.weights, test.clusters)
        cells.append(f"{name} {less.value:+.3f} ({less.low:+.3f} to {less.high:+.3f})")
    return f"Here less TRL, on {len(test.comparisons)} comparisons of {test.prompts} prompts: {', '.join(cells)}."


def table(results: Sequence[dict[str, Any]], held_out: Sequence[Group]) -> str:
    """Return the medians of both sides, their ratios, and how the last two differ in quality, as markdown."""
    runs_of = {side: [run for run in results if run["side"] == side] for side in SIDES}
    lines = [
        "| | seconds a ranking | tokens | peak GB | held-out accuracy | log-loss |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for side, runs in runs_of.items():
        last = runs[-1]
        interval = {name: "{:.3f} ({:.3f} to {:.3f})".format(*last[name]) for name in ("accuracy", "log_loss")}
        lines.append(
            f"| {side} | {median(run['seconds_per_ranking'] for run in runs):.3f} | {last['tokens']:,} "
            f"| {median(run['peak_gb'] for run in runs):.2f} | {interval['accuracy']} | {interval['log_loss']} |"
        )
    turns = list(zip(runs_of["ours"], runs_of["trl-tuned"], strict=True))
    ratios = [theirs["seconds"] / ours["seconds"] for ours, theirs in turns]
    of_processor = median(theirs["processor"] / ours["processor"] for ours, theirs in turns)
    bound = runs_of["trl-tuned"][-1]["tokens"] / runs_of["ours"][-1]["tokens"]
    each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    return "\n".join(
        [
            *lines,
            "",
            f"TRL takes {median(ratios):.2f} times as long ({each}), and {of_processor:.2f} times the processor time; "
            f"tokens bound it at {bound:.2f}.",
            paired(turns[-1][0], turns[-1][1], held_out),
        ]
    )


def main(
    file: Annotated[Path | None, typer.Argument(help="rankings in this project's groups format")] = None,
    rankings: Annotated[int, typer.Option(help="how many to train on")] = 32,
    held_out: Annotated[int, typer.Option(help="prompts to judge both sides on, at most")] = 64,
    repeats: Annotated[int, typer.Option(help="how often each side is measured")] = 3,
    epochs: int = 1,
    per_step: Annotated[int, typer.Option(help="rankings in a step of the optimiser, on both sides")] = 8,
    rate: Annotated[float, typer.Option(help="learning rate of both sides")] = 2e-5,
    widen: Annotated[int, typer.Option(help="completions a ranking is widened to; 0 leaves them")] = 0,
    backbone: Annotated[str, typer.Option(help="packaged:…, a folder or a hub name")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="a few steps of a tiny network")] = False,
    out: Annotated[Path | None, typer.Option(help="file for every measurement, as JSON")] = None,
) -> None:
    """Measure both sides in turn, and print medians and ratios."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if quick:
            groups, repeats, rankings, network = generated(30), 1, 16, folder / "network"
            tiny_network(network)
        elif file is None:
            raise typer.BadParameter("Give a file of rankings, or --quick.")
        else:
            from label_data.settings import PACKAGED_MODEL
            from reward.networks.backbones import model_folder

            groups, network = list(groups_format.read(file)), model_folder(backbone or PACKAGED_MODEL)
        groups = [replace(group, demonstrations=()) for group in groups if group_comparisons(group)]
        train, test = split_by_prompt(groups)
        train = widened(train[:rankings], widen) if widen else train[:rankings]
        groups_format.write(folder / "train.jsonl", train)
        groups_format.write(folder / "held_out.jsonl", test[:held_out])
        task = {
            "train": str(folder / "train.jsonl"),
            "held_out": str(folder / "held_out.jsonl"),
            "network": str(network),
            "epochs": epochs,
            "per_step": per_step,
            "rate": rate,
        }
        results = []
        for turn in range(repeats):
            for side in SIDES if turn % 2 == 0 else SIDES[::-1]:
                command = [sys.executable, "-m", "benchmarks.reward_training", "--side", side, json.dumps(task)]
                done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
                if done.returncode:
                    sys.exit(done.stderr)
                results.append(json.loads(done.stdout.splitlines()[-1]))
                typer.echo(f"{side}: {results[-1]['seconds']:.1f} s", err=True)
    comparisons = sum(len(group_comparisons(group)) for group in train)
    typer.echo(
        f"{len(train)} rankings, {comparisons} comparisons, {epochs} time(s) over them, {repeats} run(s) a side.\n"
    )
    typer.echo(table(results, test[:held_out]))
    if out is not None:
        out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        print(json.dumps(measure(sys.argv[2], json.loads(sys.argv[3]))))
    else:
        typer.run(main)
