"""Rewards that are kept as they are found, so that a long evaluation goes on where it was stopped.

A file of JSON lines: first what the rewards are of, then {"key", "reward", "deviation"} for each completion.
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
from reward.model.model import RewardModel
from reward.networks.batches import Input, batches, tokens_at_once
from reward.networks.ranked_network import layout_to_score
from reward.progress import OnProgress


@dataclass(frozen=True, slots=True)
class SavedRewards:
    """Rewards by key, and their standard deviations where the model has any."""

    rewards: dict[str, float]
    deviations: dict[str, float]

    def lines(self) -> Iterator[str]:
        """Yield the rewards as JSON lines."""
        for key, reward in self.rewards.items():
            yield canonical({"key": key, "reward": reward, "deviation": self.deviations.get(key)}) + "\n"


def saved_rewards(
    model: RewardModel,
    inputs: Mapping[str, Input],
    path: Path | None = None,
    about: Mapping[str, Any] | None = None,
    on_progress: OnProgress = lambda done, total, message: None,
) -> SavedRewards:
    """Return the rewards of the inputs, by their keys; what the file holds already is not computed again.

    Args:
        path: a file that every batch is added to; None keeps nothing.
        about: what the rewards are of, as JSON: model, data. A file about something else is refused.
        on_progress: may raise to stop.

    Raises:
        InputError: if the file is about something else, is no such file, or another process writes it.
    """
    with _opened(path, dict(about or {})) as (file, kept):
        missing = {key: one for key, one in inputs.items() if key not in kept.rewards}
        keys, some = list(missing), list(missing.values())
        done = len(inputs) - len(missing)
        on_progress(done, len(inputs), f"{done} rewards kept, {len(missing)} to compute.")
        layout = layout_to_score(model.network)
        for batch in batches(some, tokens_at_once(model.network.device.type, layout), layout):
            rewards, deviations = model.rewards_with_deviations([some[at] for at in batch])
            of_batch = [keys[at] for at in batch]
            found = SavedRewards(
                dict(zip(of_batch, rewards.tolist(), strict=True)),
                {} if deviations is None else dict(zip(of_batch, deviations.tolist(), strict=True)),
            )
            kept.rewards.update(found.rewards)
            kept.deviations.update(found.deviations)
            if file is not None:
                file.write("".join(found.lines()).encode())
                file.flush()
            done += len(batch)
            on_progress(done, len(inputs), f"{done} of {len(inputs)} rewards.")
    return SavedRewards(*({key: of[key] for key in inputs if key in of} for of in (kept.rewards, kept.deviations)))


@contextmanager
def _opened(path: Path | None, about: dict[str, Any]) -> Iterator[tuple[BinaryIO | None, SavedRewards]]:
    """Yield the file, ready to be added to, and what it holds."""
    if path is None:
        yield None, SavedRewards({}, {})
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{path}: another process is writing it. Wait for that to end.") from None
        kept, whole = _read(path, about)
        file.truncate(whole)  # what comes after was half written when the process ended
        if not whole:
            file.write(f"{canonical(about)}\n".encode())
        yield file, kept


def _read(path: Path, about: dict[str, Any]) -> tuple[SavedRewards, int]:
    """Return what the file holds in whole lines, and how many bytes those are."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    lines = content[:whole].splitlines()
    kept = SavedRewards({}, {})
    if not lines:
        return kept, 0
    try:
        if json.loads(lines[0]) != about:
            raise InputError(
                f"{path} holds rewards of another model, or of other data. Remove it, or name another --out."
            )
        for line in map(json.loads, lines[1:]):
            kept.rewards[line["key"]] = line["reward"]
            if line["deviation"] is not None:
                kept.deviations[line["key"]] = line["deviation"]
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a file of kept rewards ({error}). Remove it, or name another --out.") from None
    return kept, whole
