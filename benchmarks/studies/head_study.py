"""Which features make the best linear head: layers, pooling, a sentence encoder, all together.

    python -m benchmarks.studies.head_study FILE.jsonl... [--encoder FOLDER] [--splits 5] [--prompts 600]
        [--kept FOLDER]

The files are in this project's groups format. Every prompt is read once by the frozen network, each completion after
it, and kept are, for layers a sixth of the network apart, the last token and the mean over the completion's tokens,
after the final norm. The encoder (a folder with a BERT-class network and its tokenizer, such as all-MiniLM-L6-v2) reads
prompt and completion apart and gives the mean over each one's tokens: e(completion) alone, and beside it the product
e(prompt) * e(completion), which is the only one of these that knows whether the two have to do with one another.

For every split by prompt and every set of features a head is fitted as `reward train` does, C by cross-validation
grouped by prompt on the training side. "Chosen" takes the layer, and "chosen of all" the set of features too, by that
cross-validation, so that its accuracy is that of a recipe and not the best of many looks at the held-out side.
"Both" puts features side by side, each standardised; "mean of heads" averages the rewards of two or more. "Ties too"
fits the chosen layer again, under the same C, with every tied pair as half a comparison in either direction.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from transformers import AutoModel, AutoTokenizer

from label_data.comparisons import comparisons, group_comparisons, split_by_prompt
from label_data.formats import groups as groups_format
from label_data.records import Group
from label_data.settings import PACKAGED_MODEL
from reward import metrics
from reward.data.sides import Side, side
from reward.head.fitting import fit_head, fit_weights
from reward.networks.backbones import load_config, load_model, load_tokenizer, model_folder
from reward.networks.batches import BATCH_TOKENS, after_cached_prompts, batches, encode, padded

LONGEST = 256
"""Tokens that the encoder reads of a text: more than it was trained on gains nothing."""
DEPTHS = tuple(number / 6 for number in range(1, 7))
Features = dict[str, np.ndarray]
"""Completion id -> features, shape (layers, width)."""


# Features


@torch.inference_mode()
def decoder_features(folder: Path, groups: Sequence[Group]) -> dict[str, Features]:
    """Return the last token and the mean over the completion of every completion, at each of the layers."""
    tokenizer, network = load_tokenizer(folder), load_model(AutoModel, folder)
    depth = load_config(folder).num_hidden_layers
    layers = [max(1, round(share * depth)) for share in DEPTHS]
    ids = [completion.id for group in groups for completion in group.completions]
    inputs = [
        encode(tokenizer, group.prompt.messages, completion.text)
        for group in groups
        for completion in group.completions
    ]
    features: dict[str, Features] = {"last": {}, "mean": {}}
    hidden: list[torch.Tensor] = []

    def keep(_layer: torch.nn.Module, _inputs: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        hidden.append(output if isinstance(output, torch.Tensor) else output[0])

    done = 0
    for batch in batches(inputs, BATCH_TOKENS["cpu"]):
        batch_inputs = [inputs[index] for index in batch]
        shared = len({text.prompt for text in batch_inputs}) < len(batch_inputs)
        if shared:
            arguments, last = after_cached_prompts(network, batch_inputs, tokenizer.pad_token_id)
        else:
            arguments, last = padded(batch_inputs, tokenizer.pad_token_id, network.device)
        hooks = [network.layers[layer - 1].register_forward_hook(keep) for layer in layers]
        network(**arguments)
        for hook in hooks:
            hook.remove()
        for row, position in enumerate(batch):
            end = int(last[row]) + 1
            start = 0 if shared else batch_inputs[row].prompt_tokens
            states = [network.norm(of_layer[row]) for of_layer in hidden]
            features["last"][ids[position]] = torch.stack([state[end - 1] for state in states]).numpy()
            features["mean"][ids[position]] = torch.stack([state[start:end].mean(0) for state in states]).numpy()
        hidden.clear()
        done += len(batch)
        typer.echo(f"\r{done:,} of {len(inputs):,} completions", nl=False, err=True)
    typer.echo("", err=True)
    return features


@torch.inference_mode()
def encoder_features(folder: Path, groups: Sequence[Group]) -> dict[str, Features]:
    """Return the encoder's embedding of every completion, alone, and beside its product with the prompt's."""
    tokenizer, network = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    def embed(texts: Sequence[str]) -> np.ndarray:
        vectors = []
        for start in range(0, len(texts), 32):
            batch = list(texts[start : start + 32])
            read = tokenizer(batch, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
            states, mask = network(**read).last_hidden_state, read["attention_mask"][..., None]
            vectors.append(torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1)).numpy())
        return np.concatenate(vectors)

    prompts = embed([" ".join(message.content for message in group.prompt.messages) for group in groups])
    features: dict[str, Features] = {"encoder": {}, "encoder with prompt": {}}
    completions = embed([completion.text for group in groups for completion in group.completions])
    place = 0
    for group, prompt in zip(groups, prompts, strict=True):
        for completion in group.completions:
            vector = completions[place]
            features["encoder"][completion.id] = vector[None]
            features["encoder with prompt"][completion.id] = np.concatenate([vector, vector * prompt])[None]
            place += 1
    return features


# Heads


def differences(features: Features, evaluated: Side) -> np.ndarray:
    """Return features of chosen less rejected, shape (comparisons, layers, width)."""
    return np.stack(
        [features[comparison.chosen] - features[comparison.rejected] for comparison in evaluated.comparisons]
    )


def tied(features: Features, evaluated: Side) -> tuple[np.ndarray, np.ndarray]:
    """Return features of the first less the second of each tied pair, and weights: those of a ranking's comparisons."""
    rows, weights = [], []
    for ranking in (ranking for group in evaluated.groups for ranking in group.rankings if not ranking.tests_annotator):
        compared = comparisons(ranking)
        for first, second in (pair for block in ranking.order for pair in combinations(block, 2)):
            rows.append(features[first] - features[second])
            weights.append(compared[0].weight if compared else 0.0)
    return np.array(rows), np.array(weights)


def judged(features: dict[str, Features], train: Side, test: Side, seed: int) -> dict[str, dict[str, Any]]:
    """Return, by name of the recipe, the margins on the held-out side, and what cross-validation said of it."""
    results: dict[str, dict[str, Any]] = {}
    scaled: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, vectors in features.items():
        learned, held_out = differences(vectors, train), differences(vectors, test)
        for layer in range(learned.shape[1]):
            head = fit_head(learned[:, [layer]], train.weights, train.clusters, seed)
            label = f"{name}, layer {layer + 1} of {learned.shape[1]}" if learned.shape[1] > 1 else name
            results[label] = {
                "margins": held_out[:, layer] @ head.weights,
                "validated": head.cross_validated,
                "set": name,
                "layer": layer,
                "regularisation": head.regularisation,
                "rows": (learned[:, layer], held_out[:, layer]),
            }
    for name in features:
        best = min((entry for entry in results.values() if entry["set"] == name), key=lambda entry: entry["validated"])
        results[f"{name}, chosen"] = {**best, "set": "chosen"}
        halves, of_halves = tied(features[name], train)
        if len(halves):
            ties = halves[:, best["layer"]]
            rows = np.concatenate([best["rows"][0], ties, -ties])
            weights = np.concatenate([train.weights, of_halves / 2, of_halves / 2])
            fitted = fit_weights(rows, weights, [best["regularisation"]])[0]
            results[f"{name}, chosen, ties too"] = {
                "margins": best["rows"][1] @ fitted,
                "validated": np.inf,
                "set": "ties",
            }
        spread = np.sqrt(np.mean(best["rows"][0] ** 2, axis=0)) + 1e-9
        scaled[name] = tuple(rows / spread for rows in best["rows"])
    for names in (("last", "mean"), ("last", "encoder"), ("last", "mean", "encoder with prompt")):
        if not set(names) <= features.keys():
            continue
        learned, held_out = (np.concatenate([scaled[name][index] for name in names], axis=1) for index in (0, 1))
        head = fit_head(learned[:, None], train.weights, train.clusters, seed)
        results[f"{' + '.join(names)}, both"] = {
            "margins": held_out @ head.weights,
            "validated": head.cross_validated,
            "set": "both",
        }
        total = sum(results[f"{name}, chosen"]["margins"] for name in names) / len(names)
        results[f"{' + '.join(names)}, mean of heads"] = {"margins": total, "validated": np.inf, "set": "mean"}
    chosen = min(
        (entry for entry in results.values() if entry["set"] in ("chosen", "both")),
        key=lambda entry: entry["validated"],
    )
    results["chosen of all"] = {**chosen, "set": "all"}
    return results


def main(
    files: Annotated[list[Path], typer.Argument(help="rankings in this project's groups format")],
    backbone: str = PACKAGED_MODEL,
    encoder: Annotated[Path | None, typer.Option(help="folder of a BERT-class network with its tokenizer")] = None,
    splits: Annotated[int, typer.Option(help="seeds of the split by prompt")] = 5,
    prompts: Annotated[int, typer.Option(help="prompts to take of a file, at most; 0 takes all")] = 0,
    kept: Annotated[Path, typer.Option(help="folder that keeps features between runs")] = Path("runs/head_study"),
) -> None:
    """Print, for each file, a table of recipes with accuracy and log-loss over the splits."""
    kept.mkdir(parents=True, exist_ok=True)
    for file in files:
        groups = [replace(group, demonstrations=()) for group in groups_format.read(file) if group_comparisons(group)]
        groups = groups[:prompts] if prompts else groups
        features = features_kept(kept, decoder_features, model_folder(backbone), groups)
        if encoder is not None:
            features |= features_kept(kept, encoder_features, encoder, groups)
        rows: dict[str, list[tuple[float, float, float]]] = {}
        for seed in range(splits):
            train, test = (side(part) for part in split_by_prompt(groups, 0.2, seed))
            for name, result in judged(features, train, test, seed).items():
                right, loss = (
                    metric(result["margins"], test.weights) for metric in (metrics.accuracy, metrics.log_loss)
                )
                rows.setdefault(name, []).append((right, loss, result["validated"]))
        typer.echo(f"\n{file.name}: {len(groups):,} prompts, mean over {splits} splits (and its standard error)\n")
        typer.echo("| features | held-out accuracy | held-out log-loss | cross-validated log-loss |")
        typer.echo("| --- | ---: | ---: | ---: |")
        for name, of_splits in rows.items():
            typer.echo(f"| {name} | " + " | ".join(summary(of_splits)) + " |")


def summary(of_splits: Sequence[tuple[float, float, float]]) -> tuple[str, str, str]:
    """Return accuracy and log-loss with standard errors over the splits, and the cross-validated log-loss."""
    values = np.array(of_splits)
    right, loss, validated = values.mean(0)
    error = values[:, :2].std(0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.zeros(2)
    cross = f"{validated:.4f}" if np.isfinite(validated) else ""
    return f"{right:.3f} ({error[0]:.3f})", f"{loss:.4f} ({error[1]:.4f})", cross


def features_kept(
    kept: Path, compute: Callable[[Path, Sequence[Group]], dict[str, Features]], network: Path, groups: Sequence[Group]
) -> dict[str, Features]:
    """Return what `compute` makes of the groups' completions, made once."""
    ids = [completion.id for group in groups for completion in group.completions]
    named = json.dumps([compute.__name__, network.name, [group.prompt.id for group in groups], ids])
    path = kept / f"{sha256(named.encode()).hexdigest()[:16]}.npz"
    if not path.exists():
        computed = compute(network, groups)
        np.savez(path, **{key: np.stack([vectors[id] for id in ids]) for key, vectors in computed.items()})
    with np.load(path) as stored:
        return {key: dict(zip(ids, stored[key], strict=True)) for key in stored.files}


if __name__ == "__main__":
    typer.run(main)
