"""Rewards of sixteen completions of a prompt: this project against the text-classification pipeline of transformers.

    python -m benchmarks.reward_serving MODEL [--completions 16] [--repeats 5] [--quick]

MODEL is a folder that `python -m reward train` made. Both sides read the same texts with the same network in float32;
the pipeline pads them to one batch, as whoever serves a reward model with it does. Sides take turns, and the ratio is
that of the medians. `tokens` is the ratio of tokens read, padding included: K (P + C) for P + K C.
"""

import time
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer
from transformers import pipeline

from reward.model.model import RewardModel

WORDS = ("the", "a", "cat", "dog", "runs", "over", "under", "moon", "tea", "why", "how", "never", "blue", "red")
PROMPTS = {"short": 20, "medium": 80, "long": 780}
"""Words of the prompt."""


def main(
    model: Annotated[Path, typer.Argument(help="a folder that train made")],
    completions: int = 16,
    repeats: int = 5,
    quick: Annotated[bool, typer.Option("--quick", help="once each: shows that it works, and no more")] = False,
) -> None:
    """Print seconds of each side and their ratio, by length of the prompt."""
    loaded = RewardModel.load(model)
    tokenizer = loaded.tokenizer
    padded = pipeline("text-classification", model=loaded.network, tokenizer=tokenizer)
    chance = np.random.default_rng(0)
    print("| prompt | pipeline, s | here, s | ratio | tokens | same order |\n| --- | ---: | ---: | ---: | ---: | --- |")
    for name, length in PROMPTS.items():
        turns = [{"role": "user", "content": " ".join(chance.choice(WORDS, length))}]
        texts = [" ".join(chance.choice(WORDS, chance.integers(20, 60))) for _ in range(completions)]
        whole = [
            tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": text}], tokenize=False)
            for text in texts
        ]
        seconds: dict[str, list[float]] = {"pipeline": [], "here": []}
        for number in range(1 if quick else repeats + 1):
            start = time.perf_counter()
            theirs = [
                item["score"] for item in padded(whole, batch_size=completions, padding=True, add_special_tokens=False)
            ]
            between = time.perf_counter()
            ours = loaded.score(turns, texts)
            if number or quick:  # the first time warms both
                seconds["pipeline"].append(between - start)
                seconds["here"].append(time.perf_counter() - between)
        assert np.allclose(theirs, ours, atol=1e-3), (theirs, ours)
        pipeline_time, server_time = (median(seconds[side]) for side in ("pipeline", "here"))
        lengths = [len(ids) for ids in tokenizer(whole, add_special_tokens=False).input_ids]
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        prompt_tokens = len(tokenizer(prompt, add_special_tokens=False).input_ids)
        once = prompt_tokens + completions * (max(lengths) - prompt_tokens)
        same = "yes" if np.argsort(theirs).tolist() == np.argsort(ours).tolist() else "no"
        tokens = completions * max(lengths) / once
        times = f"{pipeline_time:.3f} | {server_time:.3f} | {pipeline_time / server_time:.1f}"
        print(f"| {name}, {prompt_tokens} tokens | {times} | {tokens:.1f} | {same} |")


if __name__ == "__main__":
    typer.run(main)
