"""Features of a frozen backbone: its hidden states at the last token of a completion, computed once and cached.

The feature of layer L is the hidden state of the last token after the first L layers and the final norm. The head of
AutoModelForSequenceClassification reads the same vector in a network cut to L layers. Nothing here is trained.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from label_data.data_folder import data_folder
from label_data.errors import InputError
from label_data.files.full_disk import is_full
from label_data.records import Group
from label_data.sentences import say
from label_data.settings import PACKAGED_MODEL
from reward.networks.attention import attend_in_families
from reward.networks.backbones import load_config, load_model, load_tokenizer, model_folder, model_revision
from reward.networks.batches import Input, arguments_for, batches, encode, tokens_at_once
from reward.networks.ranked_network import reads_rows_fast, sees_all_before
from reward.progress import OnProgress, silent
from reward.settings import Layout

DEPTHS = (1 / 2, 2 / 3, 5 / 6, 1)
"""Depths of the candidate layers, as shares of the network. Cross-validation chooses; the last is seldom the best."""


@dataclass(frozen=True)
class Backbone:
    """A frozen network and its tokenizer, for one thread at a time.

    The network is loaded only when a feature is not in the cache.
    """

    name: str
    folder: Path
    revision: str
    """Hash of weights, configuration, tokenizer and chat template."""
    tokenizer: PreTrainedTokenizerBase
    layers: tuple[int, ...]
    """Candidate layers, counted from 1, lowest first."""

    @cached_property
    def network(self) -> PreTrainedModel:
        """The network without a head, in float32."""
        network = load_model(AutoModel, self.folder)
        if not hasattr(network, "layers") or not hasattr(network, "norm"):
            raise InputError(
                "reward.networks.unknown_layers",
                name=self.name,
                network=type(network).__name__,
                packaged=PACKAGED_MODEL,
            )
        if sees_all_before(network):
            attend_in_families(network)
        return network

    @cached_property
    def layout(self) -> Layout:
        """The fastest layout that is exact for this network."""
        return "row" if sees_all_before(self.network) and reads_rows_fast(self.network) else "cache"


def open_backbone(name: str = PACKAGED_MODEL) -> Backbone:
    """Return the backbone of this name; see `backbones.model_folder` for the names."""
    folder = model_folder(name)
    depth = load_config(folder).num_hidden_layers
    layers = tuple(sorted({max(1, round(share * depth)) for share in DEPTHS}))
    return Backbone(name, folder, model_revision(folder), load_tokenizer(folder), layers)


# Tokens to features


# The network is Any here and below, because torch types each attribute as "Tensor or Module".
@contextmanager
def _last_tokens(
    network: Any, layers: Sequence[int], rows: torch.Tensor, last: torch.Tensor
) -> Iterator[list[torch.Tensor]]:
    """Collect each layer's output at the last tokens, shape (inputs, width) per layer, while the network runs."""
    collected: list[torch.Tensor] = []

    def collect(_layer: torch.nn.Module, _inputs: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        hidden = output if isinstance(output, torch.Tensor) else output[0]
        collected.append(hidden[rows, last])

    hooks = [network.layers[layer - 1].register_forward_hook(collect) for layer in layers]
    try:
        yield collected
    finally:
        for hook in hooks:
            hook.remove()


@torch.inference_mode()
def compute_features(backbone: Backbone, inputs: Sequence[Input]) -> NDArray[np.float32]:
    """Return the features of one batch, shape (inputs, layers, width); equal prompts are read once."""
    network: Any = backbone.network
    pad = backbone.tokenizer.pad_token_id
    arguments, rows, last = arguments_for(network, inputs, pad, backbone.layout)
    with _last_tokens(network, backbone.layers, rows, last) as outputs:
        network(**arguments)
    features: NDArray[np.float32] = (
        torch.stack([network.norm(hidden) for hidden in outputs], dim=1).float().cpu().numpy()
    )
    return features


# The cache


def cache_file() -> Path:
    """Return the default file of the feature cache. It may be deleted at any time; features are then recomputed."""
    return data_folder() / "features.db"


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
            if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")  # a power cut may lose a batch, which is then recomputed
            connection.execute(
                "CREATE TABLE IF NOT EXISTS features (input BLOB, layer INTEGER, vector BLOB NOT NULL, "
                "PRIMARY KEY (input, layer)) WITHOUT ROWID"
            )
            yield connection
    except sqlite3.DatabaseError as error:
        if is_full(error):
            raise InputError("reward.networks.cache_disk_full", file=path, error=error) from None
        raise InputError("reward.networks.cache_unreadable", file=path, error=error) from error


def _key(backbone: Backbone, item: Input) -> bytes:
    ids = np.asarray(item.ids, dtype="<u4").tobytes()
    return hashlib.sha256(f"{backbone.revision}\nlast token after the final norm\n".encode() + ids).digest()


def _read(
    connection: sqlite3.Connection, backbone: Backbone, keys: Sequence[bytes]
) -> dict[bytes, NDArray[np.float32]]:
    """Return the features, shape (layers, width), of the keys for which the cache has every layer."""
    by_layer: dict[bytes, dict[int, NDArray[np.float32]]] = {}
    for start in range(0, len(keys), 500):
        part = keys[start : start + 500]
        marks = ",".join("?" * len(part))
        query = f"SELECT input, layer, vector FROM features WHERE input IN ({marks})"
        for key, layer, vector in connection.execute(query, part):
            by_layer.setdefault(key, {})[layer] = np.frombuffer(vector, dtype="<f4")
    features: dict[bytes, NDArray[np.float32]] = {}
    for key, vectors in by_layer.items():
        if vectors.keys() >= set(backbone.layers):
            features[key] = np.stack([vectors[layer] for layer in backbone.layers])
    return features


def _write(
    connection: sqlite3.Connection, backbone: Backbone, keys: Sequence[bytes], features: NDArray[np.float32]
) -> None:
    rows = [
        (key, layer, vector.astype("<f4").tobytes())
        for key, vectors in zip(keys, features, strict=True)
        for layer, vector in zip(backbone.layers, vectors, strict=True)
    ]
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR IGNORE INTO features VALUES (?, ?, ?)", rows)


def input_features(
    backbone: Backbone,
    inputs: Sequence[Input],
    cache: Path | None = None,
    on_progress: OnProgress = silent,
) -> NDArray[np.float32]:
    """Return the features of the inputs, shape (inputs, layers, width); features not in the cache are computed.

    Every batch is written to the cache as soon as it is computed, so stopped work can resume.
    """
    keys = [_key(backbone, item) for item in inputs]
    with _opened(cache or cache_file()) as connection:
        known = _read(connection, backbone, keys)
        missing = [key for key in dict.fromkeys(keys) if key not in known]
        input_of = dict(zip(keys, inputs, strict=True))
        done, total = 0, len(missing)
        on_progress(0, total, say("reward.networks.features_cached", cached=len(known), missing=total))
        for batch in _batches(backbone, [input_of[key] for key in missing]):
            batch_keys = [missing[position] for position in batch]
            computed = compute_features(backbone, [input_of[key] for key in batch_keys])
            _write(connection, backbone, batch_keys, computed)
            known.update(zip(batch_keys, computed, strict=True))
            done += len(batch_keys)
            on_progress(done, total, say("reward.networks.features", done=done, total=total))
    width = next(iter(known.values())).shape[-1] if known else 0
    return np.stack([known[key] for key in keys]) if keys else np.zeros((0, len(backbone.layers), width), np.float32)


def _batches(backbone: Backbone, inputs: Sequence[Input]) -> Iterator[list[int]]:
    if inputs:  # without inputs the network need not be loaded
        yield from batches(inputs, tokens_at_once(backbone.network.device.type, backbone.layout), backbone.layout)


def group_inputs(backbone: Backbone, groups: Sequence[Group]) -> list[Input]:
    """Return the inputs of all completions of the groups, in order."""
    return [
        encode(backbone.tokenizer, group.prompt.messages, completion.text)
        for group in groups
        for completion in group.completions
    ]


def missing_features(groups: Sequence[Group], backbone: Backbone, cache: Path | None = None) -> int:
    """Return how many different completions of the groups have no features in the cache."""
    keys = {_key(backbone, item) for item in group_inputs(backbone, groups)}
    with _opened(cache or cache_file()) as connection:
        return len(keys) - len(_read(connection, backbone, list(keys)))


def cache_features(
    groups: Sequence[Group],
    backbone: Backbone,
    cache: Path | None = None,
    on_progress: OnProgress = silent,
) -> None:
    """Compute and cache the features of the groups' completions, so that training need not compute them."""
    input_features(backbone, group_inputs(backbone, groups), cache, on_progress)
