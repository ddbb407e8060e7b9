"""The rewards behind a report: a row per held-out comparison, and the suspect rankings among them.

Both are files in the model's folder, and can be read without the model. A suspect ranking is a held-out ranking that
the model contradicts; its file is still called disagreements.jsonl.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from label_data.canonical import canonical
from label_data.comparisons import comparisons
from label_data.errors import InputError
from label_data.records import Comparison, Completion, Group, Ranking
from reward.file_names import COMPARISONS_FILE, SUSPECTS_FILE
from reward.report.paired_test import Paired, paired_difference

MOST_SUSPECTS = 100
"""Most suspect rankings in a folder, for people to look at. The rewards of all comparisons are in the other file."""

Row = dict[str, Any]  # Any: texts and numbers of a JSON line
"""One line of COMPARISONS_FILE."""


@dataclass(frozen=True, slots=True)
class HeldOutSuspect:
    """A held-out ranking that the model contradicts, with the pair that it contradicts most confidently."""

    prompt_id: str
    messages: tuple[dict[str, str], ...]
    chosen: str
    """Text of the completion that the annotator placed higher."""
    rejected: str
    reward_chosen: float
    reward_rejected: float
    annotator: str
    submission: str
    """Id of the ranking in the store."""

    @property
    def probability(self) -> float:
        """The probability that the model gives to the annotator's choice: sigmoid of the margin, below a half."""
        return float(np.exp(-np.logaddexp(0.0, self.reward_rejected - self.reward_chosen)))


def comparison_rows(
    groups: Sequence[Group],
    comparisons: Sequence[Comparison],
    clusters: Sequence[str] | np.ndarray,
    rewards: Mapping[str, float],
    shuffled: Mapping[str, float],
) -> Iterator[Row]:
    """Yield a row per comparison: the record, its prompt's cluster and category, and rewards and lengths of both texts.

    Args:
        groups: the prompts and completions.
        comparisons: the comparisons that the model was evaluated on.
        clusters: the cluster of each comparison; see `reward.data.sides.Side`.
        rewards, shuffled: by completion id, with the completion's own prompt and with another prompt.
    """
    group_of = {group.prompt.id: group for group in groups}
    length = {completion.id: len(completion.folded) for group in groups for completion in group.completions}
    for comparison, cluster in zip(comparisons, clusters, strict=True):
        category = group_of[comparison.prompt_id].prompt.category
        row = asdict(comparison) | {"cluster": str(cluster), "category": category}
        for side, completion in (("chosen", comparison.chosen), ("rejected", comparison.rejected)):
            row |= {
                f"reward_{side}": rewards[completion],
                f"shuffled_{side}": shuffled.get(completion),
                f"characters_{side}": length[completion],
            }
        yield row


def held_out_suspects(groups: Sequence[Group], rewards: Mapping[str, float]) -> list[HeldOutSuspect]:
    """Return the rankings that the rewards contradict, most confidently contradicted first, up to MOST_SUSPECTS.

    Each ranking appears once, with its pair of lowest margin: a ranking of nine completions has 36 pairs, so a single
    mistake could otherwise fill the list.
    """
    suspects = []
    for group in groups:
        completions = {completion.id: completion for completion in group.completions}
        for ranking in group.rankings:
            pair = None if ranking.tests_annotator else _most_contradicted(ranking, completions, rewards)
            if pair is not None:
                suspects.append(
                    HeldOutSuspect(
                        prompt_id=group.prompt.id,
                        messages=tuple(group.prompt.as_dicts),
                        chosen=completions[pair.chosen].text,
                        rejected=completions[pair.rejected].text,
                        reward_chosen=rewards[pair.chosen],
                        reward_rejected=rewards[pair.rejected],
                        annotator=ranking.annotator,
                        submission=ranking.submission,
                    )
                )
    return sorted(suspects, key=lambda suspect: suspect.reward_chosen - suspect.reward_rejected)[:MOST_SUSPECTS]


def _most_contradicted(
    ranking: Ranking, completions: Mapping[str, Completion], rewards: Mapping[str, float]
) -> Comparison | None:
    """Return the ranking's pair of lowest margin, or None if none is negative. Pairs of equal texts don't count."""
    contradicted = [
        comparison
        for comparison in comparisons(ranking)
        if completions[comparison.chosen].folded != completions[comparison.rejected].folded
        and rewards[comparison.chosen] < rewards[comparison.rejected]
    ]
    return min(contradicted, key=lambda pair: rewards[pair.chosen] - rewards[pair.rejected], default=None)


def write_comparisons(folder: Path, rows: Iterator[Row], suspects: Sequence[HeldOutSuspect]) -> None:
    """Write the comparisons and the suspect rankings into a model's folder."""
    with (folder / COMPARISONS_FILE).open("w", encoding="utf-8") as file:
        file.writelines(f"{canonical(row)}\n" for row in rows)
    with (folder / SUSPECTS_FILE).open("w", encoding="utf-8") as file:
        file.writelines(f"{canonical(asdict(suspect))}\n" for suspect in suspects)


def read_held_out_suspects(folder: Path) -> list[HeldOutSuspect] | None:
    """Return the suspect rankings in a model's folder; None if the model is too old to have any file of them."""
    rows = _read_rows(folder / SUSPECTS_FILE)
    return None if rows is None else [HeldOutSuspect(**row | {"messages": tuple(row["messages"])}) for row in rows]


def paired_folders(first: Path, second: Path, seed: int = 0) -> Paired | None:
    """Return the difference between two models on the comparisons that both were evaluated on.

    None if a folder holds no comparisons, or if the two have none in common. The files hold held-out prompts only, so
    none of them was used to train either model.
    """
    of_first, of_second = _by_key(first), _by_key(second)
    common = [key for key in of_first if key in of_second]
    if not common:
        return None
    return paired_difference(
        _margins([of_first[key] for key in common]),
        _margins([of_second[key] for key in common]),
        np.array([of_first[key]["weight"] for key in common]),
        [of_first[key]["cluster"] for key in common],
        seed,
    )


def _margins(rows: Sequence[Row]) -> np.ndarray:
    return np.array([row["reward_chosen"] - row["reward_rejected"] for row in rows])


def _by_key(folder: Path) -> dict[tuple[str, str, str, str], Row]:
    rows = _read_rows(folder / COMPARISONS_FILE) or []
    return {(row["prompt_id"], row["chosen"], row["rejected"], row["annotator"]): row for row in rows}


def _read_rows(path: Path) -> list[Row] | None:
    if not path.exists():
        return None
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise InputError("reward.report.comparisons_unreadable", file=path, error=error) from None
