"""Prompts and completions to fill a store with: of the lengths and the markdown that language models write."""

from collections.abc import Iterator
from random import Random

from label_data.records import Completion, Group, user_prompt

TEXT = """
the of and to a in is it that for as with on are this be by from or an at which can has more when than other into time
water light people because some small between first energy example system often number same part cause change large
different means help answer question usually however without heat plant story city river music history language reason
simple careful result price market child school winter machine signal surface method
"""
WORDS = TEXT.split()
MEDIAN_CHARACTERS = 900
"""Of a completion: between the short turns of hh-rlhf and the long ones of today's assistants."""
LEAST, MOST = 60, 6_000
CODE = """```python
def total(numbers: list[float]) -> float:
    return sum(number for number in numbers if number > 0)
```"""
TABLE = "| what | how much |\n| --- | ---: |\n| flour | 200 g |\n| water | 120 ml |\n| salt | 4 g |"
FORMULA = r"$$E = \frac{1}{2} m v^2 + \int_0^t F(s)\,ds$$"


def invented_groups(count: int, completions: int, seed: int = 1) -> Iterator[Group]:
    """Yield prompts with that many completions each, the same for the same seed; lengths are log-normal."""
    random = Random(seed)
    for number in range(count):
        prompt = user_prompt(f"Question {number}: {_sentence(random, random.randint(6, 40))}")
        texts = (f"{_completion(random)}\n\nSo much for answer {place}." for place in range(completions))
        yield Group(prompt, tuple(Completion(prompt.id, text, "invented") for text in texts))


def _completion(random: Random) -> str:
    wanted = min(MOST, max(LEAST, int(MEDIAN_CHARACTERS * random.lognormvariate(0, 0.7))))
    parts: list[str] = []
    while sum(map(len, parts)) < wanted:
        parts.append(_part(random))
    return "\n\n".join(parts)


def _part(random: Random) -> str:
    kind = random.random()
    if kind < 0.04:
        return CODE
    if kind < 0.07:
        return TABLE
    if kind < 0.10:
        return FORMULA
    if kind < 0.25:
        return "\n".join(f"{n}. **{random.choice(WORDS)}**: {_sentence(random, 9)}" for n in range(1, 5))
    return " ".join(_sentence(random, random.randint(6, 24)) for _ in range(random.randint(1, 5)))


def _sentence(random: Random, words: int) -> str:
    return " ".join(random.choices(WORDS, k=words)).capitalize() + "."
