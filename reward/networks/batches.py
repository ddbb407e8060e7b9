"""Turn prompts and completions into tokens, and tokens into batches in which every prompt is read once.

Reading K completions of one prompt separately repeats its tokens K times. Reading the prompt once and each completion
after it gives the same rewards with P + K C tokens instead of K (P + C). There are three layouts:

- "row" puts prompts and their completions into one row, in which tokens attend only to tokens before them in the same
  family (see `attention`), or, on a GPU, into several rows with a mask;
- "cache" reads the prompts, keeps their keys and values, and then reads the completions;
- "plain" reads every prompt with every completion. The other two layouts are checked against it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import jinja2
import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from label_data.errors import InputError
from label_data.records import Group, Message
from reward.networks.attention import Family, any_mask, attends_in_families
from reward.settings import Layout

LONGEST_INPUT = 2_048
"""Largest number of tokens of prompt and completion together. Longer prompts lose their start, not the completion."""
BATCH_TOKENS = {"cpu": 1_024, "cuda": 65_536}
"""Tokens to read at once, padding included."""
ROW_TOKENS = 8_192
"""Largest number of tokens to read at once in rows, because a mask takes a byte for each pair of tokens in a row."""

Messages = Sequence[Message] | Sequence[Mapping[str, str]]
"""A prompt's messages, as records or as {"role", "content"} objects."""


@dataclass(frozen=True, slots=True)
class Input:
    """A prompt and completion as the network reads them: at least two tokens."""

    ids: tuple[int, ...]
    prompt_tokens: int = 1
    """Number of leading tokens that all completions of the prompt share; at least one, and fewer than all."""
    trimmed: bool = False
    """Whether tokens were left out to fit LONGEST_INPUT."""

    @property
    def prompt(self) -> tuple[int, ...]:
        """The tokens before the completion."""
        return self.ids[: self.prompt_tokens]

    @property
    def completion(self) -> tuple[int, ...]:
        """The tokens after the prompt."""
        return self.ids[self.prompt_tokens :]


def tokens_at_once(device: str, layout: Layout) -> int:
    """Return the number of tokens to read at once on a device of this type."""
    return min(BATCH_TOKENS[device], ROW_TOKENS) if layout == "row" else BATCH_TOKENS[device]


def encode(tokenizer: PreTrainedTokenizerBase, messages: Messages, completion: str) -> Input:
    """Return the tokens of the conversation with the completion as the assistant's turn.

    The chat template writes all special tokens, so the tokenizer adds none: one BOS, not two. A conversation of more
    than LONGEST_INPUT tokens loses its start; a completion that is longer still is kept whole, without its prompt. An
    encoder has a fixed number of positions: its input keeps the first token, and may lose the end of the completion.
    """
    turns = [{"role": m.role, "content": m.content} if isinstance(m, Message) else dict(m) for m in messages]
    prompt = apply_template(tokenizer, turns, add_generation_prompt=True)
    whole = apply_template(
        tokenizer, [*turns, {"role": "assistant", "content": completion}], add_generation_prompt=False
    )
    return encode_text(tokenizer, whole, prompt)


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str, prompt: str = "") -> Input:
    """Return the tokens of a conversation to which the chat template is already applied, as `encode` does.

    `prompt` is the start of the text, if it is known; it is read once for all texts that begin with it. If it is not
    known, a text of more than LONGEST_INPUT tokens loses its start, wherever its completion begins.

    Raises InputError for a text of fewer than two tokens.
    """
    prompt_ids, ids = (
        tokenizer(string, add_special_tokens=False, verbose=False).input_ids for string in (prompt, text)
    )
    # Tokens may join across the end of the prompt, so the shared start is what both token sequences begin with.
    shared = min(len(prompt_ids), len(ids))
    for position, (prompt_id, id) in enumerate(zip(prompt_ids, ids, strict=False)):
        if prompt_id != id:
            shared = position
            break
    longest = min(LONGEST_INPUT, tokenizer.model_max_length)
    if len(ids) < 2:
        raise InputError("reward.networks.text_too_short")
    if not prompt:
        shared = max(1, len(ids) - longest)
    if tokenizer.cls_token_id is not None and ids[0] == tokenizer.cls_token_id:
        return _for_encoder(ids, shared, longest)
    cut = max(0, len(ids) - max(longest, len(ids) - shared))
    return Input(tuple(ids[cut:]), max(1, min(shared, len(ids) - 1) - cut), trimmed=cut > 0)


def _for_encoder(ids: Sequence[int], shared: int, longest: int) -> Input:
    start = 1 + min(max(0, len(ids) - longest), shared - 1)
    kept = [ids[0], *ids[start:]]
    if len(kept) > longest:
        kept = [*kept[: longest - 1], ids[-1]]
    return Input(tuple(kept), max(1, min(shared - start + 1, len(kept) - 1)), trimmed=len(kept) < len(ids))


def encode_completions(tokenizer: PreTrainedTokenizerBase, pairs: Iterable[tuple[Group, Group]]) -> dict[str, Input]:
    """Return completion id -> tokens, for the completions of each pair's first group under its second group's prompt.

    A group paired with itself gives completions under their own prompt.
    """
    return {
        completion.id: encode(tokenizer, other.prompt.messages, completion.text)
        for group, other in pairs
        for completion in group.completions
    }


def apply_template(tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]], add_generation_prompt: bool) -> str:
    """Return the conversation with the chat template applied.

    Raises InputError if the template does not accept the conversation.
    """
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=add_generation_prompt)
        return cast(str, text)  # its type covers calls with tokenize=True
    except jinja2.TemplateError as error:
        roles = ", ".join(turn["role"] for turn in turns)
        raise InputError("reward.networks.template_refuses", roles=roles, error=error) from None


@dataclass(frozen=True, slots=True)
class _Size:
    """The sizes that determine how many tokens a batch costs."""

    prompts: int
    longest_prompt: int
    completions: int
    longest_completion: int
    longest: int
    read_once: int
    """Number of tokens if every prompt is read once and nothing is padded."""

    @classmethod
    def of(cls, inputs: Sequence[Input]) -> "_Size":
        prompts = {item.prompt for item in inputs}
        completions = [len(item.completion) for item in inputs]
        return cls(
            len(prompts),
            max(map(len, prompts)),
            len(inputs),
            max(completions),
            max(len(item.ids) for item in inputs),
            sum(map(len, prompts)) + sum(completions),
        )

    def with_(self, other: "_Size") -> "_Size":
        return _Size(
            self.prompts + other.prompts,
            max(self.longest_prompt, other.longest_prompt),
            self.completions + other.completions,
            max(self.longest_completion, other.longest_completion),
            max(self.longest, other.longest),
            self.read_once + other.read_once,
        )

    def cost(self, layout: Layout) -> int:
        """Return the number of tokens to read, padding included."""
        if layout == "row":
            return self.read_once
        if layout == "plain":
            return self.completions * self.longest
        return self.prompts * self.longest_prompt + self.completions * self.longest_completion


def group_batches(groups: Sequence[Sequence[Input]], tokens: int, layout: Layout) -> Iterator[list[int]]:
    """Yield positions of groups in batches with little padding, longest prompts first; a group is never divided.

    A batch has at most `tokens` tokens, padding included, unless a single group has more.
    """
    sizes = [_Size.of(group) for group in groups]

    def alike(position: int) -> tuple[int, int, int]:
        # Prompts and completions are both padded, so prompts of similar length are sorted by their completions' length.
        return -(sizes[position].longest_prompt // 32), -sizes[position].longest_completion, position

    batch: list[int] = []
    size: _Size | None = None
    for position in sorted(range(len(groups)), key=alike):
        larger = sizes[position] if size is None else size.with_(sizes[position])
        if batch and larger.cost(layout) > tokens:
            yield batch
            batch, larger = [], sizes[position]
        batch.append(position)
        size = larger
    if batch:
        yield batch


def batches(inputs: Sequence[Input], tokens: int, layout: Layout = "cache") -> Iterator[list[int]]:
    """Yield positions of inputs in batches, as `group_batches` does; a prompt's completions stay together."""
    members = list(_families(inputs).values())
    families = [[inputs[position] for position in family] for family in members]
    for batch in group_batches(families, tokens, layout):
        yield [position for number in batch for position in members[number]]


# Arguments of a network for a batch


def arguments_for(
    network: PreTrainedModel, inputs: Sequence[Input], pad: int, layout: Layout
) -> tuple[dict[str, Any], torch.Tensor, torch.Tensor]:
    """Return the arguments with which a network without a head reads the inputs in this layout.

    Returns:
        The arguments, then the row of every input's last token and its place in the row, both of shape (inputs,).
    """
    if layout == "row" and attends_in_families(network):
        return in_one_row(inputs, network.device)
    if layout == "row":
        return in_rows(inputs, pad, network.device)
    shared = layout == "cache" and len({item.prompt for item in inputs}) < len(inputs)
    arguments, last = after_cached_prompts(network, inputs, pad) if shared else padded(inputs, pad, network.device)
    return arguments, torch.arange(len(inputs), device=network.device), last


def padded(inputs: Sequence[Input], pad: int, device: torch.device) -> tuple[dict[str, Any], torch.Tensor]:
    """Return the arguments with which a network reads every input whole, and the position of each input's last token.

    Ids and attention mask have shape (inputs, longest), padded on the right. The last position is computed from the
    length and not by searching for the pad token, which may occur in a text.
    """
    ids, mask = _right_padded([item.ids for item in inputs], pad, device)
    return {"input_ids": ids, "attention_mask": mask, "use_cache": False}, mask.sum(1) - 1


def after_cached_prompts(
    network: PreTrainedModel, inputs: Sequence[Input], pad: int
) -> tuple[dict[str, Any], torch.Tensor]:  # Any: tensors, flags and a cache
    """Read every different prompt once; return the arguments that read the completions after it, as `padded` does.

    Prompts are padded on the left and completions on the right, so there is no gap between the two.

    Raises RuntimeError if the network does not cache the prompts, for example with gradient checkpointing.
    """
    device = network.device
    prompts = list(dict.fromkeys(item.prompt for item in inputs))
    reversed_ids, reversed_mask = _right_padded([prompt[::-1] for prompt in prompts], pad, device)
    ids, mask = reversed_ids.flip(1), reversed_mask.flip(1)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    read = network(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True).past_key_values
    if read is None or read.get_seq_length() != ids.shape[1]:
        raise RuntimeError(
            f"The network should cache {ids.shape[1]} tokens of its prompts, but cached "
            f"{0 if read is None else read.get_seq_length()}. Completions would be read without their prompts."
        )
    number_of = {prompt: number for number, prompt in enumerate(prompts)}
    prompt_numbers = torch.tensor([number_of[item.prompt] for item in inputs], device=device)
    read.batch_select_indices(prompt_numbers)

    ids, completion_mask = _right_padded([item.completion for item in inputs], pad, device)
    prompt_lengths = mask.sum(1)[prompt_numbers]
    arguments = {
        "input_ids": ids,
        "attention_mask": torch.cat([mask[prompt_numbers], completion_mask], dim=1),
        "position_ids": prompt_lengths[:, None] + torch.arange(ids.shape[1], device=device),
        "past_key_values": read,
        "use_cache": True,
    }
    return arguments, completion_mask.sum(1) - 1


def in_one_row(inputs: Sequence[Input], device: torch.device) -> tuple[dict[str, Any], torch.Tensor, torch.Tensor]:
    """Return the arguments with which a network that attends in families reads the inputs in one row, unpadded."""
    ids: list[int] = []
    positions: list[int] = []
    lengths: list[Family] = []
    last = torch.zeros(len(inputs), dtype=torch.long)
    for prompt, members in _families(inputs).items():
        ids += prompt
        positions += range(len(prompt))
        for number in members:
            completion = inputs[number].completion
            ids += completion
            positions += range(len(prompt), len(prompt) + len(completion))
            last[number] = len(ids) - 1
        lengths.append((len(prompt), tuple(len(inputs[number].completion) for number in members)))
    arguments = {
        "input_ids": torch.tensor([ids], device=device),
        "position_ids": torch.tensor([positions], device=device),
        "attention_mask": any_mask(),
        "families": tuple(lengths),
        "use_cache": False,
    }
    return arguments, torch.zeros_like(last).to(device), last.to(device)


def in_rows(
    inputs: Sequence[Input], pad: int, device: torch.device
) -> tuple[dict[str, Any], torch.Tensor, torch.Tensor]:
    """Return the arguments with which any network with sdpa attention reads the inputs in rows with a mask.

    Rows are as long as the longest prompt with all its completions. Longer rows would need as little padding, but most
    of their attention would be between tokens that must not see each other.

    Returns:
        Ids and positions, shape (rows, longest), and the mask, shape (rows, 1, longest, longest), True where the token
        of a line may attend to the token of a column: tokens before it in its own prompt and its own completion. Then
        the row of every input's last token and its place in the row, both of shape (inputs,).
    """
    families = _families(inputs)
    lengths = {
        prompt: len(prompt) + sum(len(inputs[number].completion) for number in members)
        for prompt, members in families.items()
    }
    packed, longest = _packed(lengths), max(lengths.values())
    shape = len(packed), longest
    ids, positions = np.full(shape, pad), np.zeros(shape, dtype=np.int64)
    family_of = np.full(shape, -1)  # padding attends to padding: attention to no token at all would be nan
    input_of = np.full(shape, -1)  # -1: the prompt, which its whole family sees
    rows, last = np.zeros(len(inputs), dtype=np.int64), np.zeros(len(inputs), dtype=np.int64)
    for row, prompts in enumerate(packed):
        end = 0
        for family, prompt in enumerate(prompts):
            start, end = end, end + len(prompt)
            ids[row, start:end], positions[row, start:end] = prompt, range(len(prompt))
            family_start = start
            for number in families[prompt]:
                completion = inputs[number].completion
                start, end = end, end + len(completion)
                ids[row, start:end] = completion
                positions[row, start:end] = range(len(prompt), len(prompt) + len(completion))
                input_of[row, start:end] = number
                rows[number], last[number] = row, end - 1
            family_of[row, family_start:end] = family
    places = np.arange(longest)
    families_of, own, place = (torch.from_numpy(array).to(device) for array in (family_of, input_of, places))
    same_text = (own[:, :, None] == own[:, None]) | (own == -1)[:, None]
    sees = (place[:, None] >= place) & (families_of[:, :, None] == families_of[:, None]) & same_text
    arguments = {
        "input_ids": torch.from_numpy(ids).to(device),
        "position_ids": torch.from_numpy(positions).to(device),
        "attention_mask": sees[:, None],
        "use_cache": False,
    }
    return arguments, torch.from_numpy(rows).to(device), torch.from_numpy(last).to(device)


def _families(inputs: Sequence[Input]) -> dict[tuple[int, ...], list[int]]:
    """Return prompt -> positions of its inputs."""
    families: dict[tuple[int, ...], list[int]] = {}
    for position, item in enumerate(inputs):
        families.setdefault(item.prompt, []).append(position)
    return families


def _packed(lengths: Mapping[tuple[int, ...], int]) -> list[list[tuple[int, ...]]]:
    """Pack the prompts, of these lengths with their completions, into rows: each into the first row with enough room.

    Rows are as long as the longest prompt with its completions.
    """
    room: list[int] = []
    packed: list[list[tuple[int, ...]]] = []
    for prompt, length in sorted(lengths.items(), key=lambda pair: -pair[1]):
        row = next((index for index, left in enumerate(room) if left >= length), None)
        if row is None:
            row = len(packed)
            packed.append([])
            room.append(max(lengths.values()))
        packed[row].append(prompt)
        room[row] -= length
    return packed


def _right_padded(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, (torch.arange(longest, device=device) < lengths[:, None]).long()
