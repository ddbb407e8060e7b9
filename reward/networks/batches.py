"""Prompts and completions to tokens, and tokens to batches in which every prompt is read once.

K completions of one prompt repeat its tokens K times. Reading the prompt once and each completion after it is the same
arithmetic for P + K C tokens instead of K (P + C). There are two ways: "row" puts prompts and their completions in one
row, whose tokens attend to what they see and nothing else (`attention`), or, on a GPU, in rows with a mask that says
which token sees which; "cache" reads the prompts, keeps their keys and values, and reads the completions after them.
"plain" reads every prompt and completion whole, and is what the other two are checked against.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from label_data.errors import InputError
from label_data.records import Message
from reward.networks.attention import Family, any_mask, attends_in_families
from reward.settings import Layout

LONGEST_INPUT = 2_048
"""Tokens of prompt and completion together; the start of a longer prompt is trimmed, never its completion."""
BATCH_TOKENS = {"cpu": 1_024, "cuda": 65_536}
"""Tokens to read at once, padding included."""
ROW_TOKENS = 8_192
"""Tokens to read at once in rows at most: a mask takes a byte for every two tokens of a row."""

Messages = Sequence[Message] | Sequence[Mapping[str, str]]
"""A prompt's messages, as records or as {"role", "content"} objects."""


@dataclass(frozen=True, slots=True)
class Input:
    """A prompt and completion as the network reads them: two tokens or more."""

    ids: tuple[int, ...]
    prompt_tokens: int = 1
    """How many of them, at least one and not all, any other completion of the prompt begins with too."""
    trimmed: bool = False
    """Was something left out to make it fit?"""

    @property
    def prompt(self) -> tuple[int, ...]:
        """The tokens before the completion."""
        return self.ids[: self.prompt_tokens]

    @property
    def completion(self) -> tuple[int, ...]:
        """The tokens after the prompt."""
        return self.ids[self.prompt_tokens :]


def tokens_at_once(device: str, layout: Layout) -> int:
    """Return how many tokens to read at once on a device of this type."""
    return min(BATCH_TOKENS[device], ROW_TOKENS) if layout == "row" else BATCH_TOKENS[device]


def encode(tokenizer: PreTrainedTokenizerBase, messages: Messages, completion: str) -> Input:
    """Return the tokens of the conversation with the completion as the assistant's turn.

    The chat template writes every special token itself, so the tokenizer adds none: one BOS, not two. A conversation
    over LONGEST_INPUT tokens loses its start; a completion longer than that is kept whole, without its prompt. An
    encoder has places for so many tokens and no more: it keeps its first token, and may lose a completion's end.
    """
    turns = [{"role": m.role, "content": m.content} if isinstance(m, Message) else dict(m) for m in messages]
    asked = written(tokenizer, turns, add_generation_prompt=True)
    whole = written(tokenizer, [*turns, {"role": "assistant", "content": completion}], add_generation_prompt=False)
    return encode_text(tokenizer, whole, asked)


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str, prompt: str = "") -> Input:
    """Return the tokens of a conversation that is written out already, special tokens and all, as `encode` does.

    `prompt` is what the text begins with, if that is known: it is read once for all texts that begin with it. If it is
    not, a text over LONGEST_INPUT tokens loses its start, wherever its completion may begin.

    Raises InputError at a text of fewer than two tokens.
    """
    asked, ids = (tokenizer(one, add_special_tokens=False, verbose=False).input_ids for one in (prompt, text))
    # Tokens may join across the seam, so the prompt is what both begin with, not what the prompt alone gives.
    pairs = enumerate(zip(asked, ids, strict=False))
    shared = next((place for place, (one, other) in pairs if one != other), min(len(asked), len(ids)))
    longest = min(LONGEST_INPUT, tokenizer.model_max_length)
    if len(ids) < 2:
        raise InputError(
            "A text has fewer than two tokens. Send the whole conversation, as the chat template writes it."
        )
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


def written(tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]], add_generation_prompt: bool) -> str:
    """Return the conversation as the chat template writes it.

    Raises InputError if the template refuses it.
    """
    try:
        return tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=add_generation_prompt)
    except jinja2.TemplateError as error:
        roles = ", ".join(turn["role"] for turn in turns)
        raise InputError(
            f"The model's chat template refuses a conversation of {roles}: {error}. Use another backbone, "
            "or leave out what it names."
        ) from None


@dataclass(frozen=True, slots=True)
class _Size:
    """What decides how many tokens a batch costs."""

    prompts: int
    longest_prompt: int
    completions: int
    longest_completion: int
    longest: int
    read_once: int
    """Tokens if every prompt is read once and nothing is padded."""

    @classmethod
    def of(cls, inputs: Sequence[Input]) -> "_Size":
        prompts = {one.prompt for one in inputs}
        completions = [len(one.completion) for one in inputs]
        return cls(
            len(prompts),
            max(map(len, prompts)),
            len(inputs),
            max(completions),
            max(len(one.ids) for one in inputs),
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
        """Return the tokens that are read, padding included."""
        if layout == "row":
            return self.read_once
        if layout == "plain":
            return self.completions * self.longest
        return self.prompts * self.longest_prompt + self.completions * self.longest_completion


def group_batches(groups: Sequence[Sequence[Input]], tokens: int, layout: Layout) -> Iterator[list[int]]:
    """Yield positions of groups in batches that pad little, longest prompts first; a group is never divided.

    A batch costs at most `tokens`, padding included, or what one group alone costs where that is more.
    """
    sizes = [_Size.of(group) for group in groups]

    def alike(position: int) -> tuple[int, int, int]:
        # Both lengths pad, so prompts of about one length are put in the order of their completions' length.
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
    for batch in group_batches([[inputs[at] for at in family] for family in members], tokens, layout):
        yield [at for number in batch for at in members[number]]


# Batches to what a network takes


def arguments_for(
    network: PreTrainedModel, inputs: Sequence[Input], pad: int, layout: Layout
) -> tuple[dict[str, Any], torch.Tensor, torch.Tensor]:
    """Return what the network, one without a head, takes to read the inputs in this layout.

    Returns:
        The arguments, then the row and the place in it of every input's last token, both of shape (inputs,).
    """
    if layout == "row" and attends_in_families(network):
        return in_one_row(inputs, network.device)
    if layout == "row":
        return in_rows(inputs, pad, network.device)
    shared = layout == "cache" and len({one.prompt for one in inputs}) < len(inputs)
    arguments, last = prompts_read(network, inputs, pad) if shared else padded(inputs, pad, network.device)
    return arguments, torch.arange(len(inputs), device=network.device), last


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

    Raises RuntimeError if the network kept nothing of the prompts, as one with gradient checkpointing does.
    """
    device = network.device
    prompts = list(dict.fromkeys(one.prompt for one in inputs))
    reversed_ids, reversed_mask = _right_padded([prompt[::-1] for prompt in prompts], pad, device)
    ids, mask = reversed_ids.flip(1), reversed_mask.flip(1)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    read = network(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True).past_key_values
    if read is None or read.get_seq_length() != ids.shape[1]:
        raise RuntimeError(
            f"The network was to keep {ids.shape[1]} tokens of its prompts and kept "
            f"{0 if read is None else read.get_seq_length()}: completions would be read without their prompts."
        )
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


def in_one_row(inputs: Sequence[Input], device: torch.device) -> tuple[dict[str, Any], torch.Tensor, torch.Tensor]:
    """Return what a network that attends in families takes to read the inputs in one row, without any padding."""
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
) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    """Return what any network takes to read the inputs in rows, by a mask that says which token sees which.

    Prompts share rows as long as the longest with its completions: longer rows would pad as little, and cost attention
    between tokens that do not see each other, which is most of a long row.

    Returns:
        Ids and positions, shape (rows, longest), and the mask, shape (rows, 1, longest, longest), True where the token
        of a line may see that of a column: those before it in its own prompt, and in its own completion. Then the row
        and the place in it of every input's last token, both of shape (inputs,).
    """
    families = _families(inputs)
    lengths = {
        prompt: len(prompt) + sum(len(inputs[number].completion) for number in members)
        for prompt, members in families.items()
    }
    of_rows, longest = _packed(lengths), max(lengths.values())
    shape = len(of_rows), longest
    ids, positions = np.full(shape, pad), np.zeros(shape, dtype=np.int64)
    family_of = np.full(shape, -1)  # padding sees padding: a token that saw nothing would be no number
    input_of = np.full(shape, -1)  # -1 is the prompt, which all of its family see
    rows, last = np.zeros(len(inputs), dtype=np.int64), np.zeros(len(inputs), dtype=np.int64)
    for row, prompts in enumerate(of_rows):
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
    family, own, place = (torch.from_numpy(some).to(device) for some in (family_of, input_of, np.arange(longest)))
    same_text = (own[:, :, None] == own[:, None]) | (own == -1)[:, None]
    sees = (place[:, None] >= place) & (family[:, :, None] == family[:, None]) & same_text
    arguments = {
        "input_ids": torch.from_numpy(ids).to(device),
        "position_ids": torch.from_numpy(positions).to(device),
        "attention_mask": sees[:, None],
        "use_cache": False,
    }
    return arguments, torch.from_numpy(rows).to(device), torch.from_numpy(last).to(device)


def _families(inputs: Sequence[Input]) -> dict[tuple[int, ...], list[int]]:
    """Return the positions of each different prompt's inputs."""
    found: dict[tuple[int, ...], list[int]] = {}
    for position, one in enumerate(inputs):
        found.setdefault(one.prompt, []).append(position)
    return found


def _packed(lengths: Mapping[tuple[int, ...], int]) -> list[list[tuple[int, ...]]]:
    """Return the prompts in rows no longer than the longest of them, each in the first row that has room for it."""
    room: list[int] = []
    found: list[list[tuple[int, ...]]] = []
    for prompt, length in sorted(lengths.items(), key=lambda one: -one[1]):
        row = next((at for at, left in enumerate(room) if left >= length), None)
        if row is None:
            row = len(found)
            found.append([])
            room.append(max(lengths.values()))
        found[row].append(prompt)
        room[row] -= length
    return found


def _right_padded(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, (torch.arange(longest, device=device) < lengths[:, None]).long()
