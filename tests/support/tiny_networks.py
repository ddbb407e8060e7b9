"""Networks of a few thousand weights with one label, and groups of random tokens with rankings for them."""

import random
from itertools import combinations

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    MistralConfig,
    MistralForSequenceClassification,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForSequenceClassification,
)
from transformers.models.llama import modeling_llama
from transformers.models.qwen2 import modeling_qwen2

from reward.finetuning.training_groups import Pair, TrainingGroup
from reward.networks.batches import Input

DECODERS = {
    "llama": (LlamaConfig, LlamaForSequenceClassification),
    "qwen2": (Qwen2Config, Qwen2ForSequenceClassification),
    "mistral": (MistralConfig, MistralForSequenceClassification),
}
PAD = 0


def tiny_decoder(
    kind: str = "llama", dtype: torch.dtype = torch.float32, layers: int = 2, **options
) -> PreTrainedModel:
    """Return a decoder with random weights, the same every time; large ones, so that attention does something."""
    torch.manual_seed(0)
    config, network = DECODERS[kind]
    small = {
        "vocab_size": 100,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.3,
        "num_labels": 1,
        "pad_token_id": PAD,
    }
    return network(config(**small | options)).to(dtype)


def tiny_encoder(**options) -> PreTrainedModel:
    """Return an encoder with random weights, the same every time."""
    torch.manual_seed(0)
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=100,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=64,
            initializer_range=0.3,
            num_labels=1,
            pad_token_id=PAD,
            **options,
        )
    )


def all_in_float64(patch) -> None:
    """Let the norms compute in the precision of what they get: stock ones drop to float32, which hides differences."""

    def forward(self, hidden):
        return self.weight * hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)

    patch.setattr(modeling_llama.LlamaRMSNorm, "forward", forward)
    patch.setattr(modeling_qwen2.Qwen2RMSNorm, "forward", forward)


def token_groups(groups: int, seed: int = 1, longest_prompt: int = 20) -> list[list[Input]]:
    """Return prompts of 1 to `longest_prompt` tokens, each with two to five completions of 1 to 9."""
    chance = random.Random(seed)
    return [
        [Input((*prompt, *_tokens(chance, chance.randint(1, 9))), len(prompt)) for _ in range(chance.randint(2, 5))]
        for prompt in (_tokens(chance, chance.randint(1, longest_prompt)) for _ in range(groups))
    ]


def random_training_groups(groups: int, seed: int = 1) -> list[TrainingGroup]:
    """Return groups in each of which the completion with the higher last token, of 3 to 12, is the better one."""
    found, chance = [], random.Random(seed)
    for inputs in token_groups(groups, seed):
        last = chance.sample(range(3, 13), len(inputs))
        ended = [Input((*one.ids, token), one.prompt_tokens) for one, token in zip(inputs, last, strict=True)]
        order = sorted(range(len(inputs)), key=lambda at, last=last: -last[at])
        pairs = list(combinations(order, 2))
        compared = tuple(Pair(one, other, 1 / len(pairs)) for one, other in pairs)
        found.append(TrainingGroup(tuple(ended), compared, (), ((1.0, tuple((at,) for at in order)),), 1.0))
    return found


def _tokens(chance: random.Random, length: int) -> tuple[int, ...]:
    return tuple(chance.randrange(3, 100) for _ in range(length))
