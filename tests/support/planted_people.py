"""Rankings whose truth is known: written out by hand, or written by simulated annotators with planted habits."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from label_data.records import Completion, Group, Ranking, user_prompt

Judge = Callable[[np.random.Generator, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(rng, quality, place shown from 0, characters) -> perceived quality; all but rng have one value per completion."""


def judged(question: str, answers: Mapping[str, str], shown: str = "", category: str = "") -> Group:
    """Return a group from answers such as {"ana": "a>b=c"}; completions are letters, shown in order or as `shown`.

    Names may end in "/2" for a second ranking by the same annotator. "skip" and "bad" give no order.
    """
    letters = sorted(
        {letter for answer in answers.values() if ">" in answer or "=" in answer for letter in answer} - set(">=")
    )
    prompt = user_prompt(question, category)
    completions = {letter: Completion(prompt.id, letter, f"policy {letter}") for letter in letters or "ab"}
    ids = {letter: completion.id for letter, completion in completions.items()}
    rankings = []
    for number, (name, answer) in enumerate(answers.items()):
        outcome = {"skip": "skipped", "bad": "all_bad"}.get(answer, "ranked")
        order = (
            ()
            if outcome != "ranked"
            else tuple(tuple(ids[letter] for letter in tied.split("=")) for tied in answer.split(">"))
        )
        seen = tuple(ids[letter] for letter in shown or ids)
        fields = {"order": order, "outcome": outcome, "submission": f"{question} {number}"}
        rankings.append(Ranking(prompt.id, name.partition("/")[0], seen, **fields))
    return Group(prompt, tuple(completions.values()), tuple(rankings))


def order_untold(group: Group) -> Group:
    """Return the group as read from a file that does not record the order in which completions were shown."""
    imported = [
        replace(ranking, source="import", shown=tuple(sorted(ranking.shown)), submission="")
        for ranking in group.rankings
    ]
    return replace(group, rankings=tuple(imported))


def careful(noise: float = 0.5) -> Judge:
    """Prefer higher quality, with some noise."""
    return lambda rng, quality, place, length: quality + noise * rng.normal(size=len(quality))


def upwards(push: float, noise: float = 0.5) -> Judge:
    """Prefer completions shown earlier, by `push` per place."""
    return lambda rng, quality, place, length: quality - push * place + noise * rng.normal(size=len(quality))


def longwinded(push: float, noise: float = 0.5) -> Judge:
    """Prefer longer completions, by `push` per doubling of length."""
    return lambda rng, quality, place, length: quality + push * np.log2(length) + noise * rng.normal(size=len(quality))


def coin() -> Judge:
    """Rank at random."""
    return lambda rng, quality, place, length: rng.normal(size=len(quality))


def planted(
    judges: Mapping[str, Judge],
    prompts: int = 200,
    completions: int = 2,
    seed: int = 0,
    ties: float = 0.0,
    seconds: Mapping[str, float] | None = None,
) -> list[Group]:
    """Return groups that every simulated annotator ranks, each in a newly drawn order of display.

    Quality and length are drawn independently. Perceived qualities closer than about `ties` are tied. Each annotator
    takes about `seconds` (30 by default) per ranking, with a spread of a factor of two.
    """
    rng = np.random.default_rng(seed)
    groups = []
    for number in range(prompts):
        prompt = user_prompt(f"question {seed} {number}", f"category {number % 2}")
        quality, length = rng.normal(size=completions), rng.integers(20, 200, size=completions)
        texts = [f"{place} " + "x" * int(size) for place, size in enumerate(length)]
        written = [Completion(prompt.id, text, f"policy {place}") for place, text in enumerate(texts)]
        rankings = []
        for name, judge in judges.items():
            place = rng.permutation(completions)
            seems = judge(rng, quality, place, length)
            level = np.round(seems / ties) if ties else seems
            order = [
                tuple(written[index].id for index in np.flatnonzero(level == value))
                for value in sorted(set(level), reverse=True)
            ]
            shown = tuple(written[index].id for index in np.argsort(place))
            took = float((seconds or {}).get(name, 30) * 2 ** rng.normal())
            fields = {"seconds": took, "submitted": number, "submission": f"{prompt.id} {name}"}
            rankings.append(Ranking(prompt.id, name, shown, tuple(order), **fields))
        groups.append(Group(prompt, tuple(written), tuple(rankings)))
    return groups
