"""Prompts and completions to tokens, and tokens to batches in which every prompt is read once.

K completions of one prompt repeat its tokens K times. The network reads the prompt first, keeps its keys and values,
and then reads each completion after them: the same arithmetic as reading every pair whole, for P + K C tokens instead
of K (P + C).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import jinja2
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from label_data.records import InputError, Message

LONGEST_INPUT = 2_048
"""Tokens of prompt and completion together; the start of a longer prompt is trimmed, never its completion."""
BATCH_TOKENS = {"cpu": 1_024, "cuda": 65_536}
"""Tokens to read at once, padding included."""

Messages = Sequence[Message] | Sequence[Mapping[str, str]]
"""A prompt's messages, as records or as {"role", "content"} objects."""


@dataclass(frozen=True, slots=True)
class Input:
    """A prompt and completion as the network reads them: two tokens or more."""

    ids: tuple[int, ...]
    prompt_tokens: int = 1
    """How many of them, at least one and not all, any other completion of the prompt begins with too."""
    trimmed: bool = False
    """Was the start of the prompt left out?"""

    @property
    def prompt(self) -> tuple[int, ...]:
        """The tokens before the completion."""
        return self.ids[: self.prompt_tokens]

    @property
    def completion(self) -> tuple[int, ...]:
        """The tokens after the prompt."""
        return self.ids[self.prompt_tokens :]


def encode(tokenizer: PreTrainedTokenizerBase, messages: Messages, completion: str) -> Input:
    """Return the tokens of the conversation with the completion as the assistant's turn.

    The chat template writes every special token itself, so the tokenizer adds none: one BOS, not two. A conversation
    over LONGEST_INPUT tokens loses its start; a completion longer than that is kept whole, without its prompt.
    """
    turns = [{"role": m.role, "content": m.content} if isinstance(m, Message) else dict(m) for m in messages]
    asked = _tokens(tokenizer, turns, add_generation_prompt=True)
    ids = _tokens(tokenizer, [*turns, {"role": "assistant", "content": completion}], add_generation_prompt=False)
    # Tokens may join across the seam, so the prompt is what both begin with, not what the prompt alone gives.
    pairs = enumerate(zip(asked, ids, strict=False))
    shared = next((place for place, (one, other) in pairs if one != other), min(len(asked), len(ids)))
    cut = max(0, len(ids) - max(LONGEST_INPUT, len(ids) - shared))
    return Input(tuple(ids[cut:]), max(1, min(shared, len(ids) - 1) - cut), trimmed=cut > 0)


def _tokens(tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]], **options: bool) -> list[int]:
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, **options)
    except jinja2.TemplateError as error:
        roles = ", ".join(turn["role"] for turn in turns)
        raise InputError(
            f"The model's chat template refuses a conversation of {roles}: {error}. Use another backbone, "
            "or leave out what it names."
        ) from None
    return tokenizer(text, add_special_tokens=False, verbose=False).input_ids


def batches(inputs: Sequence[Input], tokens: int) -> Iterator[list[int]]:
    """Yield positions in batches that pad little, longest prompts first; a prompt's completions stay together.

    A batch costs its prompts times the longest of them plus its completions times the longest: at most `tokens`, or
    one prompt's completions where they alone cost more.
    """
    families: dict[tuple[int, ...], list[int]] = {}
    for position, one in enumerate(inputs):
        families.setdefault(one.prompt, []).append(position)

    def alike(family: list[int]) -> tuple[int, int, int]:
        # Both lengths pad, so prompts of about one length are put in the order of their completions' length.
        longest = max(len(inputs[position].completion) for position in family)
        return -(inputs[family[0]].prompt_tokens // 32), -longest, family[0]

    batch: list[list[int]] = []
    for family in sorted(families.values(), key=alike):
        if batch and _cost([*batch, family], inputs) > tokens:
            yield [position for some in batch for position in some]
            batch = []
        batch.append(family)
    if batch:
        yield [position for some in batch for position in some]


def _cost(families: Sequence[Sequence[int]], inputs: Sequence[Input]) -> int:
    members = [inputs[position] for family in families for position in family]
    longest_prompt = max(one.prompt_tokens for one in members)
    return len(families) * longest_prompt + len(members) * max(len(one.completion) for one in members)


def padded(inputs: Sequence[Input], pad: int, device: torch.device) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return what the network takes to read every input whole, and each one's last position.

    Ids and attention mask have shape (inputs, longest), padded on the right. The last position comes from the length,
    never from looking for the pad token's id: a text may hold that token.
    """
    ids, mask = _right_padded([one.ids for one in inputs], pad, device)
    return {"input_ids": ids, "attention_mask": mask, "use_cache": False}, mask.sum(1) - 1


def prompts_read(
    network: PreTrainedModel, inputs: Sequence[Input], pad: int
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Read every different prompt once; return what the network takes to read the completions, as `padded` does.

    Prompts are padded on the left and completions on the right, so that neither sees a gap between the two.
    """
    device = network.device
    prompts = list(dict.fromkeys(one.prompt for one in inputs))
    reversed_ids, reversed_mask = _right_padded([prompt[::-1] for prompt in prompts], pad, device)
    ids, mask = reversed_ids.flip(1), reversed_mask.flip(1)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    read = network(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True).past_key_values
    place = {prompt: number for number, prompt in enumerate(prompts)}
    of_input = torch.tensor([place[one.prompt] for one in inputs], device=device)
    read.batch_select_indices(of_input)

    ids, completion_mask = _right_padded([one.completion for one in inputs], pad, device)
    after = mask.sum(1)[of_input]
    arguments = {
        "input_ids": ids,
        "attention_mask": torch.cat([mask[of_input], completion_mask], dim=1),
        "position_ids": after[:, None] + torch.arange(ids.shape[1], device=device),
        "past_key_values": read,
        "use_cache": True,
    }
    return arguments, completion_mask.sum(1) - 1


def _right_padded(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, (torch.arange(longest, device=device) < lengths[:, None]).long()
