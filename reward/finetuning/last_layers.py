"""Train the last layers on cached activations of the frozen layers below them.

The output of layer L - n for a token does not change while the n layers above it are trained. It is saved for every
token of every prompt and completion, in float32, so training reads n layers instead of L. The results are the same as
if those layers were trained inside the whole network, for a fraction of the time and memory.
"""

import hashlib
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from label_data.data_folder import data_folder
from label_data.errors import InputError
from label_data.sentences import say
from reward.finetuning.full_and_lora import network_with_head, set_dropout
from reward.networks.backbones import load_config, model_revision, one_label_config
from reward.networks.batches import Input, arguments_for, batches, tokens_at_once
from reward.networks.lean_layers import use_lean_layers
from reward.networks.ranked_network import RankedNetwork, layout_for, shares_prompts
from reward.progress import OnProgress, silent
from reward.settings import Layout, Settings

CHECKED_INPUTS = 4


class ActivationTable(nn.Module):
    """Replaces the token embeddings of a network: looks up cached activations instead."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.zeros(1, 1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the rows of the table with these numbers, shape (*ids.shape, width)."""
        return nn.functional.embedding(ids, self.table)


class LastLayersNetwork(RankedNetwork):
    """The last layers of a network, with its final norm and head, which read cached activations instead of tokens."""

    def __init__(self, network: PreTrainedModel, pad: int, layout: Layout, cache: "Activations") -> None:
        super().__init__(network, 0, layout)
        self.table = ActivationTable()
        self.real_pad = pad
        self.cache = cache
        network.set_input_embeddings(self.table)

    def forward(self, inputs: Sequence[Input]) -> torch.Tensor:
        """Return the rewards of the inputs, shape (inputs,), from their cached activations."""
        rows: list[NDArray[np.float32]] = []
        places: dict[bytes, range] = {}
        total = 0
        activations = self.cache.read([key for item in inputs for key in self.cache.keys(item)])
        for key, vectors in activations.items():
            places[key] = range(total, total + len(vectors))
            rows.append(vectors)
            total += len(vectors)
        self.table.table = torch.from_numpy(np.concatenate(rows)).to(self.network.device, self.network.dtype)
        # Each token becomes the number of its row, so equal prompts stay equal and are read once, as with tokens.
        renamed: list[Input] = []
        for item in inputs:
            prompt, completion = self.cache.keys(item)
            renamed.append(Input((*places[prompt], *places[completion]), item.prompt_tokens))
        return super().forward(renamed)


class Activations:
    """A cache of the output of a network's first layers for prompts and completions, in an SQLite file.

    The file may be deleted at any time except while a network is trained on it.
    """

    def __init__(self, path: Path, revision: str, layers: int, width: int) -> None:
        self.path = path
        self.name = f"{revision}\nafter layer {layers}, float32\n".encode()
        self.width = width
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._open()) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS activations (text BLOB PRIMARY KEY, vectors BLOB NOT NULL)")

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=60, isolation_level=None)

    def keys(self, item: Input) -> tuple[bytes, bytes]:
        """Return the keys of the activations of the prompt and of the completion."""
        prompt = hashlib.sha256(self.name + _bytes(item.prompt))
        completion = prompt.copy()
        completion.update(b"then" + _bytes(item.completion))
        return prompt.digest(), completion.digest()

    def missing(self, inputs: Sequence[Input]) -> list[Input]:
        """Return the inputs whose prompt or completion is not in the cache."""
        with closing(self._open()) as connection:
            known = {key for (key,) in connection.execute("SELECT text FROM activations")}
        return [item for item in inputs if not known.issuperset(self.keys(item))]

    def read(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the activations of each key, shape (tokens, width), in the order of the keys."""
        activations: dict[bytes, NDArray[np.float32]] = {}
        with closing(self._open()) as connection:
            for key in dict.fromkeys(keys):
                row = connection.execute("SELECT vectors FROM activations WHERE text = ?", (key,)).fetchone()
                if row is None:
                    raise InputError("reward.finetuning.activations_changed", file=self.path)
                activations[key] = np.frombuffer(row[0], dtype="<f4").reshape(-1, self.width)
        return activations

    def add(self, activations: Sequence[tuple[bytes, torch.Tensor]]) -> None:
        """Save activations by their keys, each of shape (tokens, width)."""
        rows = [(key, vectors.float().cpu().numpy().astype("<f4").tobytes()) for key, vectors in activations]
        with closing(self._open()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR IGNORE INTO activations VALUES (?, ?)", rows)
            connection.execute("COMMIT")


def _bytes(ids: Sequence[int]) -> bytes:
    return np.asarray(ids, dtype="<u4").tobytes()


def activations_file() -> Path:
    """Return the default file of the activation cache."""
    return data_folder() / "activations.db"


def last_layers_network(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    settings: Settings,
    inputs: Sequence[Input],
    path: Path | None = None,
    on_progress: OnProgress = silent,
) -> LastLayersNetwork:
    """Return the last layers of the network in the folder with a new head; it can read these inputs and no others.

    Args:
        inputs: all inputs that will be read; activations that are not in the cache are computed, batch by batch.
        path: the file of the cache.

    Raises:
        InputError: if the network has too few layers, its layers can't be separated, or the disk has too little space.
    """
    depth, pad = load_config(folder).num_hidden_layers, tokenizer.pad_token_id
    if settings.last_layers >= depth:
        raise InputError("reward.finetuning.too_few_layers", count=settings.last_layers, depth=depth)
    whole = network_with_head(folder, pad, settings)
    if not shares_prompts(whole) or not hasattr(whole.base_model, "layers"):
        raise InputError("reward.finetuning.layers_not_separable", network=type(whole).__name__)
    frozen = depth - settings.last_layers
    cache = Activations(path or activations_file(), model_revision(folder), frozen, whole.config.hidden_size)
    config = one_label_config(folder, pad, slice(frozen, depth))
    set_dropout(config, settings.dropout)
    config.vocab_size, config.pad_token_id = 1, 0  # the activation table replaces the token embeddings
    last = AutoModelForSequenceClassification.from_config(config).to(whole.device)
    shared = _shared_names(whole, frozen)
    weights = whole.state_dict()
    last.load_state_dict({name: weights[whole_name] for name, whole_name in shared.items()}, strict=False)
    layout = layout_for(last, settings.layout, settings.gradient_checkpointing)
    ranked = LastLayersNetwork(last, pad, layout, cache)
    _compute(whole, pad, frozen, cache, inputs, on_progress)
    _check(ranked, whole, pad, inputs[:CHECKED_INPUTS])
    if settings.gradient_checkpointing:
        last.activation_checkpointing_enable({"use_reentrant": False})
    else:
        use_lean_layers(last)
    return ranked


def whole_network(folder: Path, ranked: LastLayersNetwork, settings: Settings) -> PreTrainedModel:
    """Return the whole network of the folder with the trained last layers, norm and head in it."""
    whole = network_with_head(folder, ranked.real_pad, settings)
    shared = _shared_names(whole, whole.config.num_hidden_layers - settings.last_layers)
    trained = {shared[name]: weight for name, weight in ranked.network.state_dict().items() if name in shared}
    whole.load_state_dict(trained, strict=False)
    return whole


def _shared_names(whole: PreTrainedModel, frozen: int) -> dict[str, str]:
    """Return the names of the shared weights: name in the network of the last layers -> name in the whole network."""
    prefix = f"{whole.base_model_prefix}.layers."
    names: dict[str, str] = {}
    for name in whole.state_dict():
        if name.startswith(prefix):
            number, _, rest = name.removeprefix(prefix).partition(".")
            if int(number) >= frozen:
                names[f"{prefix}{int(number) - frozen}.{rest}"] = name
        elif "embed_tokens" not in name:
            names[name] = name
    return names


@torch.inference_mode()
def _compute(
    whole: PreTrainedModel,
    pad: int,
    frozen: int,
    cache: Activations,
    inputs: Sequence[Input],
    on_progress: OnProgress,
) -> None:
    """Compute the output of layer `frozen` for every input that is not in the cache."""
    missing = list(dict.fromkeys(cache.missing(inputs)))
    needed = sum(len(item.ids) for item in missing) * cache.width * 4  # an upper bound: equal prompts are saved once
    free = shutil.disk_usage(cache.path.parent).free
    if needed > 0.9 * free:
        raise InputError("reward.finetuning.no_space", file=cache.path, needed=needed / 1e9, free=free / 1e9)
    body: Any = whole.base_model  # Any: torch types each attribute as "Tensor or Module"
    outputs: list[torch.Tensor] = []

    def record(_layer: nn.Module, _inputs: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        outputs.append(output if isinstance(output, torch.Tensor) else output[0])

    layers = body.layers
    hook = layers[frozen - 1].register_forward_hook(record)
    body.layers = layers[:frozen]  # the layers above are not needed
    done, total = 0, len(missing)
    try:
        for batch in batches(missing, tokens_at_once(body.device.type, "row"), "row"):
            items = [missing[position] for position in batch]
            arguments, rows, last = arguments_for(body, items, pad, "row")
            body(**arguments)
            cache.add(_slices(items, rows.tolist(), last.tolist(), outputs.pop(), cache))
            done += len(items)
            on_progress(done, total, say("reward.finetuning.activations", done=done, total=total))
    finally:
        hook.remove()
        body.layers = layers


def _slices(
    inputs: Sequence[Input], rows: Sequence[int], last: Sequence[int], hidden: torch.Tensor, cache: Activations
) -> list[tuple[bytes, torch.Tensor]]:
    """Return keys and activations of prompts and completions, from hidden states of shape (rows, tokens, width).

    In a row, a prompt stands directly before the first of its completions.
    """
    slices: dict[bytes, torch.Tensor] = {}
    for row, end, item in sorted(zip(rows, last, inputs, strict=True), key=lambda place: place[:2]):
        prompt, completion = cache.keys(item)
        start = end + 1 - len(item.completion)
        if prompt not in slices:
            slices[prompt] = hidden[row, start - item.prompt_tokens : start]
        slices[completion] = hidden[row, start : end + 1]
    return list(slices.items())


@torch.inference_mode()
def _check(ranked: LastLayersNetwork, whole: PreTrainedModel, pad: int, inputs: Sequence[Input]) -> None:
    """Raise InputError if the last layers alone give other rewards than the whole network."""
    ranked.eval()
    expected = RankedNetwork(whole, pad)(inputs)
    rewards = ranked(inputs)
    if not torch.allclose(rewards, expected, rtol=1e-3, atol=1e-3):
        raise InputError(
            "reward.finetuning.inexact_last_layers",
            network=type(whole).__name__,
            rewards=rewards.tolist(),
            expected=expected.tolist(),
        )
