"""Backbones so small that training takes seconds, and a store whose rankings follow a hidden rule."""

import random
from pathlib import Path

import pytest

from label_data.database.engine import Store, open_store
from label_data.records import Completion, Group, Ranking, user_prompt
from label_data.store.adding import add_groups
from workers import shared_folder

TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def tiny_backbone_folder(tmp_path_factory) -> Path:
    """The folder of a Llama with 6 layers and random weights, one token per byte, padded with its end token."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-backbone")
    tokens = ["<|none|>", "<|start|>", "<|end|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer_of_bytes = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=[]))
    tokenizer_of_bytes.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer_of_bytes.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer_of_bytes,
        bos_token="<|start|>",
        eos_token="<|end|>",
        pad_token="<|end|>",
        unk_token="<|none|>",
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokens),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4_096,
        initializer_range=0.2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def planted_groups(prompts: int, seed: int = 0) -> list[Group]:
    """Return prompts with three completions of random length: of letters a to e (best), k to o, and v to z (worst)."""
    rng = random.Random(seed)

    def text(letters: str) -> str:
        return "".join(rng.choice(letters) for _ in range(rng.randint(5, 40)))

    groups = []
    for number in range(prompts):
        prompt = user_prompt(f"Question {number}: {text('abcdefgh')}?")
        best, middle, worst = (Completion(prompt.id, text(letters)) for letters in ("abcde", "klmno", "vwxyz"))
        order = ((best.id,), (middle.id,), (worst.id,))
        shown = (middle.id, worst.id, best.id)
        groups.append(Group(prompt, (best, middle, worst), (Ranking(prompt.id, "ann", shown, order),)))
    return groups


@pytest.fixture(scope="session")
def planted_store(tmp_path_factory) -> Store:
    """A store of 120 ranked prompts."""
    store = open_store(tmp_path_factory.mktemp("planted") / "store.db")
    add_groups(store, planted_groups(120))
    return store


@pytest.fixture(scope="session")
def trained(planted_store, tiny_backbone_folder, tmp_path_factory) -> Path:
    """The folder of a reward model trained on the planted store."""
    from reward.head.train import train_reward_model

    with shared_folder(tmp_path_factory, "trained") as folder:
        out = folder / "model"
        if not out.exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("WORKBENCH_DATA", str(tmp_path_factory.mktemp("data")))
                train_reward_model(planted_store, out, str(tiny_backbone_folder))
    return out


@pytest.fixture(scope="session")
def tiny_encoder_folder(tmp_path_factory) -> Path:
    """The folder of a BERT with 2 layers, random weights, 64 positions and one token per letter, without a template."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

    from tiny_networks import tiny_encoder

    folder = tmp_path_factory.mktemp("tiny-encoder")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz"]
    letters = Tokenizer(models.WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="[UNK]"))
    letters.normalizer = normalizers.Lowercase()
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    letters.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters, model_max_length=64, **names)
    network: BertForSequenceClassification = tiny_encoder()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
