"""What training on one ranking costs, against completions K, prompt P and completion C in tokens: measured and counted.

    python -m benchmarks.reward_cost --out cost.svg [--layers 4] [--repeats 3] [--quick]

One gradient over a ranking's K rewards, on the packaged network cut to a few of its layers (a layer costs what any
other does), in two ways that take turns: each pair of completions read as a row of its own, as trainers of pairs do,
and all in one row with prompt and completions once. The line is the formula, K (K - 1) (P + C) / (P + K C) times the
tokens; a point is the ratio of the medians. Points are under the line by what does not grow with the tokens.
"""

import time
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Annotated

import matplotlib.pyplot as plt
import torch
import typer

from label_data.settings import PACKAGED_MODEL
from reward.finetuning.full_and_lora import network_with_head
from reward.networks.backbones import load_tokenizer, model_folder
from reward.networks.batches import Input
from reward.networks.ranked_network import RankedNetwork
from reward.settings import Settings

USUAL = {"K": 4, "P": 100, "C": 100}
TRIED = {"K": (2, 3, 4, 6, 9), "P": (10, 50, 100, 200, 400, 800), "C": (20, 50, 100, 200, 400)}
PAIRS_AT_ONCE = 2
"""As the best settings of TRL found on a CPU: what pads least."""


def formula(sizes: dict[str, int]) -> float:
    """Return how many times the tokens pairs take."""
    k, p, c = sizes["K"], sizes["P"], sizes["C"]
    return k * (k - 1) * (p + c) / (p + k * c)


def seconds(ranked: RankedNetwork, sizes: dict[str, int], repeats: int) -> tuple[float, float]:
    """Return the medians of both ways: pairs, and one row."""
    chance = torch.Generator().manual_seed(0)
    prompt, *completions = (
        torch.randint(5, 40_000, (length,), generator=chance).tolist()
        for length in (sizes["P"], *[sizes["C"]] * sizes["K"])
    )
    inputs = [Input((*prompt, *completion), len(prompt)) for completion in completions]
    pairs = list(combinations(range(len(inputs)), 2))
    taken: dict[str, list[float]] = {"pairs": [], "row": []}
    for turn in range(repeats + 1):
        start = time.perf_counter()
        ranked.layout = "plain"
        for offset in range(0, len(pairs), PAIRS_AT_ONCE):
            inputs_of_batch = [inputs[number] for pair in pairs[offset : offset + PAIRS_AT_ONCE] for number in pair]
            rewards = ranked(inputs_of_batch)
            (-torch.nn.functional.logsigmoid(rewards[::2] - rewards[1::2]).sum()).backward()
        between = time.perf_counter()
        ranked.layout = "row"
        rewards = ranked(inputs)
        first, other = torch.tensor(pairs).T
        (-torch.nn.functional.logsigmoid(rewards[first] - rewards[other]).sum()).backward()
        if turn:  # the first warms both
            taken["pairs"].append(between - start)
            taken["row"].append(time.perf_counter() - between)
        ranked.zero_grad()
    return median(taken["pairs"]), median(taken["row"])


def main(
    out: Annotated[Path, typer.Option(help="the plot, .svg or .png")],
    layers: Annotated[int, typer.Option(help="layers of the network to measure")] = 4,
    repeats: int = 3,
    quick: Annotated[bool, typer.Option("--quick", help="the least of everything: shows that it works")] = False,
) -> None:
    """Measure along K, P and C with the other two as usual; draw, and print a table."""
    folder = model_folder(PACKAGED_MODEL)
    tokenizer = load_tokenizer(folder)
    network = network_with_head(folder, tokenizer.pad_token_id, Settings(method="full"))
    network.model.layers = network.model.layers[: 1 if quick else layers]
    ranked = RankedNetwork(network.train(), tokenizer.pad_token_id)
    figure, plots = plt.subplots(1, len(TRIED), figsize=(11, 3.6), layout="constrained", sharey=True)
    print("| K | P | C | pairs, s | one row, s | ratio | tokens |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for axes, (name, values) in zip(plots, TRIED.items(), strict=True):
        tried = values[:2] if quick else values
        result = []
        for value in tried:
            sizes = USUAL | {name: value}
            pairs, row = seconds(ranked, sizes, 1 if quick else repeats)
            result.append(pairs / row)
            print(
                f"| {sizes['K']} | {sizes['P']} | {sizes['C']} | {pairs:.2f} | {row:.2f} | {pairs / row:.1f} "
                f"| {formula(sizes):.1f} |",
                flush=True,
            )
        line = range(min(tried), max(tried) + 1)
        axes.plot(
            line, [formula(USUAL | {name: value}) for value in line], color="#808080", label="tokens, by the formula"
        )
        axes.plot(tried, result, "o", color="#3b82c4", label="seconds, measured")
        others = ", ".join(f"{other} = {value}" for other, value in USUAL.items() if other != name)
        axes.set(xlabel=f"{name} ({others})", yscale="log")
        axes.set_yticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
    plots[0].set_ylabel("pairs cost, in what one row does")
    plots[0].legend(frameon=False)
    figure.savefig(out)


if __name__ == "__main__":
    typer.run(main)
