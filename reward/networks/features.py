"""Features of a frozen backbone: what its network holds at the last token of a completion, kept once computed.

The feature of layer L is the hidden state of the last token after the first L layers and the final norm: what
AutoModelForSequenceClassification reads when its network is cut to L layers. Nothing here is trained.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from label_data.data_folder import data_folder
from label_data.errors import InputError
from label_data.files.full_disk import is_full
from label_data.records import Group
from label_data.settings import PACKAGED_MODEL
from reward.networks.attention import attend_in_families
from reward.networks.backbones import load_config, load_model, load_tokenizer, model_folder, model_revision
from reward.networks.batches import Input, arguments_for, batches, encode, tokens_at_once
from reward.networks.ranked_network import reads_rows_fast, sees_all_before
from reward.progress import OnProgress
from reward.settings import Layout

DEPTHS = (1 / 2, 2 / 3, 5 / 6, 1)
"""Candidate layers as shares of the network: cross-validation chooses, the last is seldom the best."""


@dataclass(frozen=True)
class Backbone:
    """A frozen network and its tokenizer, for one thread at a time.

    The network is loaded when a feature is missing, not before.
    """

    name: str
    folder: Path
    revision: str
    """Hash of weights, settings, tokenizer and chat template."""
    tokenizer: PreTrainedTokenizerBase
    layers: tuple[int, ...]
    """Candidate layers, counted from 1, lowest first."""

    @cached_property
    def network(self) -> PreTrainedModel:
        """The network without any head, in float32."""
        network = load_model(AutoModel, self.folder)
        if not hasattr(network, "layers") or not hasattr(network, "norm"):
            raise InputError(
                f"{self.name}: a {type(network).__name__} keeps its layers in a way this program does not know. "
                f"Use a model of the Llama, Qwen, Mistral or Gemma kind, for example {PACKAGED_MODEL}."
            )
        if sees_all_before(network):
            attend_in_families(network)
        return network

    @cached_property
    def layout(self) -> Layout:
        """How the network reads prompts and completions."""
        return "row" if sees_all_before(self.network) and reads_rows_fast(self.network) else "cache"


def open_backbone(name: str = PACKAGED_MODEL) -> Backbone:
    """Return the backbone of this name; see `backbones.model_folder` for the names."""
    folder = model_folder(name)
    depth = load_config(folder).num_hidden_layers
    layers = tuple(sorted({max(1, round(share * depth)) for share in DEPTHS}))
    return Backbone(name, folder, model_revision(folder), load_tokenizer(folder), layers)


# Tokens to features


@contextmanager
def _last_tokens(
    network: PreTrainedModel, layers: Sequence[int], rows: torch.Tensor, last: torch.Tensor
) -> Iterator[list[torch.Tensor]]:
    """Collect each layer's output at the last tokens, shape (inputs, width) a layer, while the network runs."""
    found: list[torch.Tensor] = []

    def keep(_layer: torch.nn.Module, _inputs: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        hidden = output if isinstance(output, torch.Tensor) else output[0]
        found.append(hidden[rows, last])

    hooks = [network.layers[layer - 1].register_forward_hook(keep) for layer in layers]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@torch.inference_mode()
def compute_features(backbone: Backbone, inputs: Sequence[Input]) -> np.ndarray:
    """Return the features of one batch, shape (inputs, layers, width), float32; prompts that repeat are read once."""
    network, pad = backbone.network, backbone.tokenizer.pad_token_id
    arguments, rows, last = arguments_for(network, inputs, pad, backbone.layout)
    with _last_tokens(network, backbone.layers, rows, last) as found:
        network(**arguments)
    return torch.stack([network.norm(hidden) for hidden in found], dim=1).float().cpu().numpy()


# Features kept


def cache_file() -> Path:
    """Return the file that keeps features; it may be deleted at any time, and is then computed anew."""
    return data_folder() / "features.db"


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
            if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")  # a power cut may cost a batch: it is computed again
            connection.execute(
                "CREATE TABLE IF NOT EXISTS features (input BLOB, layer INTEGER, vector BLOB NOT NULL, "
                "PRIMARY KEY (input, layer)) WITHOUT ROWID"
            )
            yield connection
    except sqlite3.DatabaseError as error:
        if is_full(error):
            raise InputError(
                f"{path}: the disk took no more features ({error}); those kept so far stay. Free some space, and do it "
                "again."
            ) from None
        raise InputError(
            f"{path}: the kept features can't be used ({error}). Delete the file, and try again."
        ) from error


def _key(backbone: Backbone, one: Input) -> bytes:
    ids = np.asarray(one.ids, dtype="<u4").tobytes()
    return hashlib.sha256(f"{backbone.revision}\nlast token after the final norm\n".encode() + ids).digest()


def _kept(connection: sqlite3.Connection, backbone: Backbone, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
    """Return the features, shape (layers, width), of the keys for which every layer is kept."""
    found: dict[bytes, dict[int, np.ndarray]] = {}
    for start in range(0, len(keys), 500):
        some = keys[start : start + 500]
        marks = ",".join("?" * len(some))
        query = f"SELECT input, layer, vector FROM features WHERE input IN ({marks})"
        for key, layer, vector in connection.execute(query, some):
            found.setdefault(key, {})[layer] = np.frombuffer(vector, dtype="<f4")
    wanted = backbone.layers
    return {key: np.stack([of[layer] for layer in wanted]) for key, of in found.items() if of.keys() >= set(wanted)}


def _keep(connection: sqlite3.Connection, backbone: Backbone, keys: Sequence[bytes], features: np.ndarray) -> None:
    rows = [
        (key, layer, vector.astype("<f4").tobytes())
        for key, of in zip(keys, features, strict=True)
        for layer, vector in zip(backbone.layers, of, strict=True)
    ]
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR IGNORE INTO features VALUES (?, ?, ?)", rows)


def input_features(
    backbone: Backbone,
    inputs: Sequence[Input],
    cache: Path | None = None,
    on_progress: OnProgress = lambda done, total, message: None,
) -> np.ndarray:
    """Return the features of the inputs, shape (inputs, layers, width), float32; those not kept yet are computed.

    Every batch is kept as soon as it is done, so work that is stopped goes on where it was.
    """
    keys = [_key(backbone, one) for one in inputs]
    with _opened(cache or cache_file()) as connection:
        known = _kept(connection, backbone, keys)
        missing = [key for key in dict.fromkeys(keys) if key not in known]
        of_key = dict(zip(keys, inputs, strict=True))
        on_progress(0, len(missing), f"Features: {len(known)} kept, {len(missing)} to compute.")
        done = 0
        for batch in _batches(backbone, [of_key[key] for key in missing]):
            these = [missing[position] for position in batch]
            computed = compute_features(backbone, [of_key[key] for key in these])
            _keep(connection, backbone, these, computed)
            known.update(zip(these, computed, strict=True))
            done += len(these)
            on_progress(done, len(missing), f"Features: {done} of {len(missing)} completions.")
    width = next(iter(known.values())).shape[-1] if known else 0
    return np.stack([known[key] for key in keys]) if keys else np.zeros((0, len(backbone.layers), width), np.float32)


def _batches(backbone: Backbone, inputs: Sequence[Input]) -> Iterator[list[int]]:
    if inputs:  # or the network would be loaded for nothing
        yield from batches(inputs, tokens_at_once(backbone.network.device.type, backbone.layout), backbone.layout)


def group_inputs(backbone: Backbone, groups: Sequence[Group]) -> list[Input]:
    """Return the inputs of every completion of the groups, in their order."""
    return [
        encode(backbone.tokenizer, group.prompt.messages, completion.text)
        for group in groups
        for completion in group.completions
    ]


def missing_features(groups: Sequence[Group], backbone: Backbone, cache: Path | None = None) -> int:
    """Return how many different completions of the groups have no features kept yet."""
    keys = {_key(backbone, one) for one in group_inputs(backbone, groups)}
    with _opened(cache or cache_file()) as connection:
        return len(keys) - len(_kept(connection, backbone, list(keys)))


def featurize(
    groups: Sequence[Group],
    backbone: Backbone,
    cache: Path | None = None,
    on_progress: OnProgress = lambda done, total, message: None,
) -> None:
    """Compute and keep the features of the groups' completions, so that training finds them ready."""
    input_features(backbone, group_inputs(backbone, groups), cache, on_progress)
