"""What a model said of every comparison that it was judged by: kept in its folder, and read again without the model."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from label_data.canonical import canonical
from label_data.comparisons import comparisons
from label_data.errors import InputError
from label_data.records import Comparison, Group, Ranking
from reward.file_names import COMPARISONS_FILE, SUSPECTS_FILE
from reward.report.paired_test import Paired, paired

MOST_SUSPECTS = 100
"""Rankings that a folder keeps to be looked at; the margins of all comparisons are in the other file."""


@dataclass(frozen=True, slots=True)
class HeldOutSuspect:
    """A ranking that the model contradicts, by the pair of it that it contradicts most surely."""

    prompt_id: str
    messages: tuple[dict[str, str], ...]
    chosen: str
    """Text of the completion that the annotator placed higher."""
    rejected: str
    reward_chosen: float
    reward_rejected: float
    annotator: str
    submission: str
    """Of the ranking, in the store."""

    @property
    def probability(self) -> float:
        """What the model gives to the order that the annotator chose: sigmoid of the margin, below a half."""
        return float(np.exp(-np.logaddexp(0.0, self.reward_rejected - self.reward_chosen)))


def comparison_rows(
    groups: Sequence[Group],
    compared: Sequence[Comparison],
    clusters: Sequence[str],
    rewards: Mapping[str, float],
    shuffled: Mapping[str, float],
) -> Iterator[dict[str, Any]]:
    """Yield a row a comparison: who said what, how much it counts, and both rewards, as they are and shuffled.

    Args:
        clusters: of each comparison; see `reward.head.train.Side`.
        rewards, shuffled: by completion id, under the completion's own prompt and under another.
    """
    group_of = {group.prompt.id: group for group in groups}
    length = {completion.id: len(completion.folded) for group in groups for completion in group.completions}
    for one, cluster in zip(compared, clusters, strict=True):
        row = asdict(one) | {"cluster": str(cluster), "category": group_of[one.prompt_id].prompt.category}
        for which in ("chosen", "rejected"):
            completion = getattr(one, which)
            row |= {
                f"reward_{which}": rewards[completion],
                f"shuffled_{which}": shuffled.get(completion),
                f"characters_{which}": length[completion],
            }
        yield row


def held_out_suspects(groups: Sequence[Group], rewards: Mapping[str, float]) -> list[HeldOutSuspect]:
    """Return the rankings that the rewards contradict, the most surely contradicted first, up to MOST_SUSPECTS.

    Each ranking is there once, with the pair whose margin is lowest: a ranking of nine has thirty-six pairs, and those
    of one slip would hide all others.
    """
    found = []
    for group in groups:
        texts = {completion.id: completion for completion in group.completions}
        for ranking in group.rankings:
            pair = None if ranking.tests_annotator else _most_contradicted(ranking, texts, rewards)
            if pair is not None:
                found.append(
                    HeldOutSuspect(
                        prompt_id=group.prompt.id,
                        messages=tuple(group.prompt.as_dicts),
                        chosen=texts[pair.chosen].text,
                        rejected=texts[pair.rejected].text,
                        reward_chosen=rewards[pair.chosen],
                        reward_rejected=rewards[pair.rejected],
                        annotator=ranking.annotator,
                        submission=ranking.submission,
                    )
                )
    return sorted(found, key=lambda one: one.reward_chosen - one.reward_rejected)[:MOST_SUSPECTS]


def _most_contradicted(
    ranking: Ranking, completions: Mapping[str, Any], rewards: Mapping[str, float]
) -> Comparison | None:
    """Return the ranking's pair of the lowest margin, or None if no margin is below 0; equal texts have none."""
    contradicted = [
        one
        for one in comparisons(ranking)
        if completions[one.chosen].folded != completions[one.rejected].folded
        and rewards[one.chosen] < rewards[one.rejected]
    ]
    return min(contradicted, key=lambda one: rewards[one.chosen] - rewards[one.rejected], default=None)


def write_comparisons(folder: Path, rows: Iterator[dict[str, Any]], contradicted: Sequence[HeldOutSuspect]) -> None:
    """Write both files into the folder of a model."""
    with (folder / COMPARISONS_FILE).open("w", encoding="utf-8") as file:
        file.writelines(f"{canonical(row)}\n" for row in rows)
    with (folder / SUSPECTS_FILE).open("w", encoding="utf-8") as file:
        file.writelines(f"{canonical(asdict(one))}\n" for one in contradicted)


def read_held_out_suspects(folder: Path) -> list[HeldOutSuspect] | None:
    """Return what `disagreements` found when the model was trained; None if it was trained before any were kept."""
    rows = _rows(folder / SUSPECTS_FILE)
    return None if rows is None else [HeldOutSuspect(**row | {"messages": tuple(row["messages"])}) for row in rows]


def paired_folders(first: Path, second: Path, seed: int = 0) -> Paired | None:
    """Return the difference between two models on the comparisons that both were judged by.

    None if one of them kept none, or they have none in common. What either learned from is not among them: a model
    keeps the comparisons of its held-out prompts alone.
    """
    one, other = _by_key(first), _by_key(second)
    common = [key for key in one if key in other]
    if not common:
        return None
    margins = [
        np.array([of[key]["reward_chosen"] - of[key]["reward_rejected"] for key in common]) for of in (one, other)
    ]
    weights = np.array([one[key]["weight"] for key in common])
    return paired(*margins, weights, [one[key]["cluster"] for key in common], seed)


def _by_key(folder: Path) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    rows = _rows(folder / COMPARISONS_FILE) or []
    return {(row["prompt_id"], row["chosen"], row["rejected"], row["annotator"]): row for row in rows}


def _rows(path: Path) -> list[dict[str, Any]] | None:
    if not path.exists():
        return None
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read ({error}). Train the model again.") from None
