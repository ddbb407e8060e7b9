"""Save rewards as they are computed, so that a stopped evaluation can resume.

The file holds JSON lines: first the source of the rewards, then {"key", "reward", "deviation"} for each completion.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from label_data.canonical import canonical
from label_data.errors import InputError
from label_data.sentences import say
from reward.model.model import RewardModel
from reward.networks.batches import Input, batches, tokens_at_once
from reward.networks.ranked_network import layout_to_score
from reward.progress import OnProgress, silent

Source = Mapping[str, Any]  # Any: JSON values
"""What the rewards are computed from: the model, the data and a seed."""


@dataclass(frozen=True, slots=True)
class SavedRewards:
    """Rewards by key, and their standard deviations if the model gives any."""

    rewards: dict[str, float]
    deviations: dict[str, float]

    def lines(self) -> Iterator[str]:
        """Yield the rewards as JSON lines."""
        for key, reward in self.rewards.items():
            yield canonical({"key": key, "reward": reward, "deviation": self.deviations.get(key)}) + "\n"

    def of(self, keys: Mapping[str, str]) -> "SavedRewards":
        """Return the rewards of some keys under new keys: `keys` maps each old key to its new one."""
        return SavedRewards(
            {new: self.rewards[old] for old, new in keys.items() if old in self.rewards},
            {new: self.deviations[old] for old, new in keys.items() if old in self.deviations},
        )


def saved_rewards(
    model: RewardModel,
    inputs: Mapping[str, Input],
    path: Path | None = None,
    source: Source | None = None,
    on_progress: OnProgress = silent,
) -> SavedRewards:
    """Return the rewards of the inputs by key; rewards that the file already holds are not computed again.

    Args:
        model: the model that gives the rewards.
        inputs: the inputs by key.
        path: the file to add every batch to; None saves nothing.
        source: what the rewards are computed from. A file with another source is refused.
        on_progress: gets the progress after every batch; it may raise to stop.

    Raises:
        InputError: if the file has another source, is no file of rewards, or is being written by another process.
    """
    with _open(path, dict(source or {})) as (file, saved):
        missing = {key: given for key, given in inputs.items() if key not in saved.rewards}
        keys, values = list(missing), list(missing.values())
        done = len(inputs) - len(missing)
        on_progress(done, len(inputs), say("reward.evaluation.saved", saved=done, missing=len(missing)))
        layout = layout_to_score(model.network)
        for batch in batches(values, tokens_at_once(model.network.device.type, layout), layout):
            rewards, deviations = model.rewards_with_deviations([values[index] for index in batch])
            batch_keys = [keys[index] for index in batch]
            result = SavedRewards(
                dict(zip(batch_keys, rewards.tolist(), strict=True)),
                {} if deviations is None else dict(zip(batch_keys, deviations.tolist(), strict=True)),
            )
            saved.rewards.update(result.rewards)
            saved.deviations.update(result.deviations)
            if file is not None:
                file.write("".join(result.lines()).encode())
                file.flush()
            done += len(batch)
            on_progress(done, len(inputs), say("reward.evaluation.computed", done=done, total=len(inputs)))
    return saved.of({key: key for key in inputs})


@contextmanager
def _open(path: Path | None, source: dict[str, Any]) -> Iterator[tuple[BinaryIO | None, SavedRewards]]:
    """Yield the file, ready to be appended to, and the rewards that it holds."""
    if path is None:
        yield None, SavedRewards({}, {})
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError("reward.evaluation.in_use", file=path) from None
        saved, length = _read(path, source)
        file.truncate(length)  # cut off a line that was half written when the process ended
        if not length:
            file.write(f"{canonical(source)}\n".encode())
        yield file, saved


def _read(path: Path, source: dict[str, Any]) -> tuple[SavedRewards, int]:
    """Return the rewards in the file's whole lines, and the length of those lines in bytes."""
    content = path.read_bytes()
    length = content.rfind(b"\n") + 1
    lines = content[:length].splitlines()
    saved = SavedRewards({}, {})
    if not lines:
        return saved, 0
    try:
        if json.loads(lines[0]) != source:
            raise InputError("reward.evaluation.other_rewards", file=path)
        for line in map(json.loads, lines[1:]):
            saved.rewards[line["key"]] = line["reward"]
            if line["deviation"] is not None:
                saved.deviations[line["key"]] = line["deviation"]
    except InputError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("reward.evaluation.no_rewards", file=path, error=error) from None
    return saved, length
