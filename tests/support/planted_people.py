"""Judgements whose truth is known: written out by hand, or by annotators with planted habits."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from label_data.records import Completion, Group, Ranking, user_prompt

Judge = Callable[[np.random.Generator, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(chance, quality, place shown from 0, characters), the last three one value a completion, to how good each seems."""


def judged(question: str, answers: Mapping[str, str], shown: str = "", category: str = "") -> Group:
    """Return a group from answers such as {"ana": "a>b=c"}; completions are single letters, shown in order or `shown`.

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
            else tuple(tuple(ids[one] for one in tied.split("=")) for tied in answer.split(">"))
        )
        seen = tuple(ids[letter] for letter in shown or ids)
        fields = {"order": order, "outcome": outcome, "submission": f"{question} {number}"}
        rankings.append(Ranking(prompt.id, name.partition("/")[0], seen, **fields))
    return Group(prompt, tuple(completions.values()), tuple(rankings))


def order_untold(group: Group) -> Group:
    """Return the group as a reader makes it of a file that does not tell in which order its completions were seen."""
    told = [replace(one, source="import", shown=tuple(sorted(one.shown)), submission="") for one in group.rankings]
    return replace(group, rankings=tuple(told))


def careful(noise: float = 0.5) -> Judge:
    """Judge quality, with some noise."""
    return lambda chance, quality, place, length: quality + noise * chance.normal(size=len(quality))


def upwards(push: float, noise: float = 0.5) -> Judge:
    """Prefer what is shown earlier, by `push` a place."""
    return lambda chance, quality, place, length: quality - push * place + noise * chance.normal(size=len(quality))


def longwinded(push: float, noise: float = 0.5) -> Judge:
    """Prefer what is longer, by `push` a doubling."""
    return lambda chance, quality, place, length: (
        quality + push * np.log2(length) + noise * chance.normal(size=len(quality))
    )


def coin() -> Judge:
    """Judge nothing at all."""
    return lambda chance, quality, place, length: chance.normal(size=len(quality))


def planted(
    judges: Mapping[str, Judge],
    prompts: int = 200,
    completions: int = 2,
    seed: int = 0,
    ties: float = 0.0,
    seconds: Mapping[str, float] | None = None,
) -> list[Group]:
    """Return groups that every judge ranks, each shown them in an order drawn anew.

    Quality and length are drawn independently. Qualities that seem nearer than about `ties` are tied. Each judge takes
    about `seconds` (30) a ranking, with a spread of a factor of two.
    """
    chance = np.random.default_rng(seed)
    found = []
    for number in range(prompts):
        prompt = user_prompt(f"question {seed} {number}", f"category {number % 2}")
        quality, length = chance.normal(size=completions), chance.integers(20, 200, size=completions)
        texts = [f"{place} " + "x" * int(size) for place, size in enumerate(length)]
        made = [Completion(prompt.id, text, f"policy {place}") for place, text in enumerate(texts)]
        rankings = []
        for name, judge in judges.items():
            place = chance.permutation(completions)
            seems = judge(chance, quality, place, length)
            level = np.round(seems / ties) if ties else seems
            order = [
                tuple(made[at].id for at in np.flatnonzero(level == one)) for one in sorted(set(level), reverse=True)
            ]
            shown = tuple(made[at].id for at in np.argsort(place))
            took = float((seconds or {}).get(name, 30) * 2 ** chance.normal())
            fields = {"seconds": took, "submitted": number, "submission": f"{prompt.id} {name}"}
            rankings.append(Ranking(prompt.id, name, shown, tuple(order), **fields))
        found.append(Group(prompt, tuple(made), tuple(rankings)))
    return found
