"""What a quality report costs: seconds and memory for many rankings, beside making their records one by one.

    python -m benchmarks.quality_report [--rankings 100000]

Orders of four by forty annotators, three a prompt, five categories and six policies, generated as they are read.
"""

import resource
import sys
import time
from collections.abc import Iterator
from typing import Annotated

import numpy as np
import typer

from label_data.quality.judgements import judgements
from label_data.quality.report import quality_of
from label_data.records import Completion, Group, Ranking, user_prompt

COMPLETIONS, ANNOTATORS, PER_PROMPT = 4, 40, 3


def invented_groups(rankings: int) -> Iterator[Group]:
    """Yield groups with this many rankings in all."""
    chance = np.random.default_rng(0)
    for number in range(rankings // PER_PROMPT):
        prompt = user_prompt(f"question {number}", f"category {number % 5}")
        completions = tuple(
            Completion(
                prompt.id, f"answer {index} " + "word " * int(chance.integers(5, 60)), f"policy {chance.integers(6)}"
            )
            for index in range(COMPLETIONS)
        )
        rankings_ = []
        for annotator in chance.choice(ANNOTATORS, PER_PROMPT, replace=False):
            shown = tuple(completions[index].id for index in chance.permutation(COMPLETIONS))
            level = np.round(np.arange(COMPLETIONS) + 1.5 * chance.normal(size=COMPLETIONS))
            order = [
                tuple(completions[index].id for index in np.flatnonzero(level == value)) for value in sorted(set(level))
            ]
            seconds = float(chance.lognormal(3, 0.6))
            rankings_.append(Ranking(prompt.id, f"annotator {annotator}", shown, tuple(order), seconds=seconds))
        yield Group(prompt, completions, tuple(rankings_))


def peak() -> float:
    """Return the most memory this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def main(rankings: Annotated[int, typer.Option(help="how many rankings")] = 100_000) -> None:
    """Print CPU seconds and peak memory of each step."""
    start = time.process_time()
    for _ in invented_groups(rankings):
        pass
    making = time.process_time() - start
    typer.echo(f"making the records          {making:7.1f} s CPU        {peak():6.0f} MB at most")
    start = time.process_time()
    judged = judgements(invented_groups(rankings))
    tables = time.process_time() - start - making
    typer.echo(f"turning them into tables    {tables:7.1f} s CPU {tables / making:5.2f} x {peak():6.0f} MB")
    start = time.process_time()
    result = quality_of(judged)
    took = time.process_time() - start
    typer.echo(f"every measure               {took:7.1f} s CPU {took / making:5.2f} x {peak():6.0f} MB")
    typer.echo(", ".join(f"{number:,} {name}" for name, number in result.counts.items()))


if __name__ == "__main__":
    typer.run(main)
