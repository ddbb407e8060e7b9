"""Many small groups to import."""

from label_data.records import Completion, Group, Ranking, user_prompt


def pairs(first, last):
    """Yield a group of two completions and a ranking for each prompt number from `first` up to `last`."""
    for number in range(first, last):
        prompt = user_prompt(f"Question {number}?")
        completions = tuple(Completion(prompt.id, f"{word} {number}") for word in ("yes", "no"))
        ids = tuple(completion.id for completion in completions)
        yield Group(prompt, completions, (Ranking(prompt.id, "ana", ids, tuple((id,) for id in ids)),))
