"""Training the last layers alone, over what the frozen rest of the network gives, computed once and kept on disk.

What layer L - n gives of a token does not change while the n layers above it are trained. It is kept for every token of
every prompt and completion, in float32, so that training reads n layers instead of L: the same numbers as training
those layers inside the whole network, for a fraction of the time and memory.
"""

import hashlib
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from label_data.data_folder import data_folder
from label_data.errors import InputError
from reward.finetuning.full_and_lora import set_dropout, with_head
from reward.networks.backbones import load_config, model_revision, one_label_config
from reward.networks.batches import Input, arguments_for, batches, tokens_at_once
from reward.networks.lean_layers import keep_less
from reward.networks.ranked_network import RankedNetwork, layout_for, shares_prompts
from reward.progress import OnProgress
from reward.settings import Layout, Settings

CHECKED_INPUTS = 4


class ActivationTable(nn.Module):
    """Stands where a network looks up the vectors of its tokens, and looks up activations instead."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.zeros(1, 1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the rows of the table that the ids name, shape (*ids.shape, width)."""
        return nn.functional.embedding(ids, self.table)


class TopNetwork(RankedNetwork):
    """The last layers of a network, with its final norm and head, that read activations instead of tokens."""

    def __init__(self, top: PreTrainedModel, pad: int, layout: Layout, kept: "Activations") -> None:
        super().__init__(top, 0, layout)
        self.table = ActivationTable()
        self.real_pad = pad
        self.kept = kept
        top.set_input_embeddings(self.table)

    def forward(self, inputs: Sequence[Input]) -> torch.Tensor:
        """Return the rewards of the inputs, shape (inputs,), from the activations kept of them."""
        rows: list[np.ndarray] = []
        places: dict[bytes, range] = {}
        total = 0
        found = self.kept.read([key for one in inputs for key in self.kept.keys(one)])
        for key, vectors in found.items():
            places[key] = range(total, total + len(vectors))
            rows.append(vectors)
            total += len(vectors)
        self.table.table = torch.from_numpy(np.concatenate(rows)).to(self.network.device, self.network.dtype)
        # Every token is named by its row, so equal prompts stay equal and are read once, as tokens would be.
        renamed = []
        for one in inputs:
            prompt, completion = self.kept.keys(one)
            renamed.append(Input((*places[prompt], *places[completion]), one.prompt_tokens))
        return super().forward(renamed)


class Activations:
    """What a network's first layers give of prompts and completions, in an SQLite file that may be deleted any time."""

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

    def keys(self, one: Input) -> tuple[bytes, bytes]:
        """Return what the prompt's and the completion's activations are kept under."""
        prompt = hashlib.sha256(self.name + _bytes(one.prompt))
        completion = prompt.copy()
        completion.update(b"then" + _bytes(one.completion))
        return prompt.digest(), completion.digest()

    def missing(self, inputs: Sequence[Input]) -> list[Input]:
        """Return the inputs of which something is not kept."""
        with closing(self._open()) as connection:
            known = {key for (key,) in connection.execute("SELECT text FROM activations")}
        return [one for one in inputs if not known.issuperset(self.keys(one))]

    def read(self, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        """Return the activations of each key, shape (tokens, width), float32, in the order of the keys."""
        found = {}
        with closing(self._open()) as connection:
            for key in dict.fromkeys(keys):
                row = connection.execute("SELECT vectors FROM activations WHERE text = ?", (key,)).fetchone()
                if row is None:
                    raise InputError(f"{self.path} was changed while training. Start again with --resume.")
                found[key] = np.frombuffer(row[0], dtype="<f4").reshape(-1, self.width)
        return found

    def keep(self, rows: Sequence[tuple[bytes, torch.Tensor]]) -> None:
        """Keep the activations, each of shape (tokens, width)."""
        found = [(key, vectors.float().cpu().numpy().astype("<f4").tobytes()) for key, vectors in rows]
        with closing(self._open()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR IGNORE INTO activations VALUES (?, ?)", found)
            connection.execute("COMMIT")


def _bytes(ids: Sequence[int]) -> bytes:
    return np.asarray(ids, dtype="<u4").tobytes()


def activations_file() -> Path:
    """Return the file that keeps activations; it may be deleted at any time but while training on it."""
    return data_folder() / "activations.db"


def top_network(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    settings: Settings,
    inputs: Sequence[Input],
    path: Path | None = None,
    on_progress: OnProgress = lambda done, total, message: None,
) -> TopNetwork:
    """Return the last layers of the folder's network with a head, ready to read the inputs and no others.

    Args:
        inputs: all that will be read; the activations that are not kept yet are computed, batch by batch.
        path: where to keep them.

    Raises:
        InputError: if the network has no more layers than that, is of a kind that can't be divided, or the disk is
            too small.
    """
    depth, pad = load_config(folder).num_hidden_layers, tokenizer.pad_token_id
    if settings.top_layers >= depth:
        raise InputError(f"The network has {depth} layers, so fewer than that can be its top. Use --method full.")
    whole = with_head(folder, pad, settings)
    if not shares_prompts(whole) or not hasattr(whole.base_model, "layers"):
        raise InputError(
            f"The layers of a {type(whole).__name__} can't be divided here. Use --method lora or --method full."
        )
    below = depth - settings.top_layers
    kept = Activations(path or activations_file(), model_revision(folder), below, whole.config.hidden_size)
    config = one_label_config(folder, pad, slice(below, depth))
    set_dropout(config, settings.dropout)
    config.vocab_size, config.pad_token_id = 1, 0  # its tokens are looked up in the table of activations
    top = AutoModelForSequenceClassification.from_config(config).to(whole.device)
    top.load_state_dict(_renamed(whole, below), strict=False)
    layout = layout_for(top, settings.layout, settings.gradient_checkpointing)
    found = TopNetwork(top, pad, layout, kept)
    _compute(whole, pad, below, kept, inputs, on_progress)
    _check(found, whole, pad, inputs[:CHECKED_INPUTS])
    if settings.gradient_checkpointing:
        top.activation_checkpointing_enable({"use_reentrant": False})
    else:
        keep_less(top)
    return found


def whole_network(folder: Path, top: TopNetwork, settings: Settings) -> PreTrainedModel:
    """Return the folder's whole network whose last layers, norm and head are those trained."""
    whole = with_head(folder, top.real_pad, settings)
    below = whole.config.num_hidden_layers - settings.top_layers
    names = _renamed(whole, below, names_only=True)
    trained = {names[name]: weight for name, weight in top.network.state_dict().items() if name in names}
    whole.load_state_dict(trained, strict=False)
    return whole


def _renamed(whole: PreTrainedModel, below: int, names_only: bool = False) -> dict[str, object]:
    """Return, by its name in the top network, each weight of the whole one that is in both, or its name there."""
    prefix, found = f"{whole.base_model_prefix}.layers.", {}
    for name, weight in whole.state_dict().items():
        if name.startswith(prefix):
            number, _, rest = name.removeprefix(prefix).partition(".")
            if int(number) >= below:
                found[f"{prefix}{int(number) - below}.{rest}"] = name if names_only else weight
        elif "embed_tokens" not in name:
            found[name] = name if names_only else weight
    return found


@torch.inference_mode()
def _compute(
    whole: PreTrainedModel,
    pad: int,
    below: int,
    kept: Activations,
    inputs: Sequence[Input],
    on_progress: OnProgress,
) -> None:
    missing = list(dict.fromkeys(kept.missing(inputs)))
    needed = sum(len(one.ids) for one in missing) * kept.width * 4  # at most: prompts that repeat are kept once
    free = shutil.disk_usage(kept.path.parent).free
    if needed > 0.9 * free:
        raise InputError(
            f"{kept.path} would take up to {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free. Make room, set "
            "WORKBENCH_DATA to a larger disk, or use --method lora."
        )
    body = whole.base_model
    found: list[torch.Tensor] = []

    def keep(_layer: nn.Module, _inputs: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        found.append(output if isinstance(output, torch.Tensor) else output[0])

    layers = body.layers
    hook = layers[below - 1].register_forward_hook(keep)
    body.layers = layers[:below]  # nothing above is needed
    done = 0
    try:
        for batch in batches(missing, tokens_at_once(body.device.type, "row"), "row"):
            some = [missing[at] for at in batch]
            arguments, rows, last = arguments_for(body, some, pad, "row")
            body(**arguments)
            kept.keep(_slices(some, rows.tolist(), last.tolist(), found.pop(), kept))
            done += len(some)
            on_progress(done, len(missing), f"Activations: {done} of {len(missing)} completions.")
    finally:
        hook.remove()
        body.layers = layers


def _slices(
    inputs: Sequence[Input], rows: Sequence[int], last: Sequence[int], hidden: torch.Tensor, kept: Activations
) -> list[tuple[bytes, torch.Tensor]]:
    """Return keys and activations of prompts and completions; a prompt stands before the first of its completions."""
    found: dict[bytes, torch.Tensor] = {}
    for row, end, one in sorted(zip(rows, last, inputs, strict=True), key=lambda each: each[:2]):
        prompt, completion = kept.keys(one)
        start = end + 1 - len(one.completion)
        if prompt not in found:
            found[prompt] = hidden[row, start - one.prompt_tokens : start]
        found[completion] = hidden[row, start : end + 1]
    return list(found.items())


@torch.inference_mode()
def _check(top: TopNetwork, whole: PreTrainedModel, pad: int, inputs: Sequence[Input]) -> None:
    top.eval()
    plain = RankedNetwork(whole, pad)(inputs)
    found = top(inputs)
    if not torch.allclose(found, plain, rtol=1e-3, atol=1e-3):
        raise InputError(
            f"The layers of a {type(whole).__name__} read alone give rewards {found.tolist()} where the whole network "
            f"gives {plain.tolist()}. Use --method lora or --method full."
        )
