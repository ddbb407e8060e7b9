"""Networks of a few thousand weights with one label, and groups of random tokens with rankings."""

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
    """Return a decoder with fixed random weights, large enough for attention to matter."""
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
    """Return an encoder with fixed random weights."""
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
    """Let norms compute in the precision of their input: stock norms drop to float32, which hides differences."""

    def forward(self, hidden):
        return self.weight * hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)

    patch.setattr(modeling_llama.LlamaRMSNorm, "forward", forward)
    patch.setattr(modeling_qwen2.Qwen2RMSNorm, "forward", forward)


def token_groups(groups: int, seed: int = 1, longest_prompt: int = 20) -> list[list[Input]]:
    """Return prompts of 1 to `longest_prompt` tokens, each with two to five completions of 1 to 9."""
    rng = random.Random(seed)
    return [
        [Input((*prompt, *_tokens(rng, rng.randint(1, 9))), len(prompt)) for _ in range(rng.randint(2, 5))]
        for prompt in (_tokens(rng, rng.randint(1, longest_prompt)) for _ in range(groups))
    ]


def random_training_groups(groups: int, seed: int = 1) -> list[TrainingGroup]:
    """Return groups ranked by the last token of each completion, 3 to 12, highest first."""
    training_groups, rng = [], random.Random(seed)
    for inputs in token_groups(groups, seed):
        last = rng.sample(range(3, 13), len(inputs))
        ended = [Input((*tokens.ids, token), tokens.prompt_tokens) for tokens, token in zip(inputs, last, strict=True)]
        order = sorted(range(len(inputs)), key=lambda index, last=last: -last[index])
        pairs = list(combinations(order, 2))
        compared = tuple(Pair(better, worse, 1 / len(pairs)) for better, worse in pairs)
        training_groups.append(
            TrainingGroup(tuple(ended), compared, (), ((1.0, tuple((index,) for index in order)),), 1.0)
        )
    return training_groups


def _tokens(rng: random.Random, length: int) -> tuple[int, ...]:
    return tuple(rng.randrange(3, 100) for _ in range(length))
