"""Policies in this process, on transformers: prompts are batched, yet each completion depends only on its seed.

The other rows of a batch change a network's logits in the last digits (SmolLM2-135M, float32, CPU, batches of 16,
padding of 70 tokens: by at most 6e-5), which can change the choice between two nearly equal tokens. So each completion
draws its noise from a generator of its own. Where a difference below MARGIN between two logits could change the choice,
the token is chosen again from this completion's tokens alone: no batch, no padding, no cache.

Networks run in float32 on a GPU too: in 16 bits, the digits that batching changes decide one token in five.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import jinja2
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from label_data.records import Completion
from label_data.sentences import say
from label_data.settings import PolicySettings
from reward.networks.backbones import load_model, load_tokenizer, model_folder, model_revision
from reward.policy.policies import OnProgress, Refused, Request, conversation, sampling_of, silent, storable

ROWS = {"cpu": 32, "cuda": 256}
"""Completions to write at once, by device."""
MARGIN = 1e-3
"""Logits closer than this count as tied. At temperature 0.8 about one token in a thousand is chosen again."""
CANDIDATES = 1_024
"""Likeliest tokens to search for the nucleus first: sorting the whole vocabulary takes longer."""


@lru_cache(maxsize=2)
def _loaded(folder: Path, revision: str) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Return the tokenizer and the network; policies that differ only in sampling settings share them."""
    return load_tokenizer(folder), load_model(AutoModelForCausalLM, folder)


@dataclass(eq=False, slots=True)
class _Row:
    """A completion being written."""

    request: Request
    prompt: list[int]
    """The prompt's tokens."""
    longest: int
    """Most tokens to write."""
    noise: torch.Generator
    written: list[int] = field(default_factory=list)
    finish_reason: str = ""


class TransformersPolicy:
    """A causal language model in this process; `reward.networks.backbones.model_folder` explains the names."""

    def __init__(self, settings: PolicySettings) -> None:
        folder = model_folder(settings.model)
        self.settings = settings
        self.name = settings.name
        self.revision = model_revision(folder)
        self._tokenizer, self._network = _loaded(folder, self.revision)
        ends = self._network.generation_config.eos_token_id
        self._ends = {self._tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}
        self._context = self._network.config.get_text_config().max_position_embeddings

    def sample(self, requests: Sequence[Request], on_progress: OnProgress = silent) -> list[Completion | Refused]:
        """Return one outcome for each request, in order; an outcome does not depend on the other requests."""
        outcomes: dict[int, Completion | Refused] = {}
        rows: dict[int, _Row] = {}
        for place, request in enumerate(requests):
            prepared = self._row(request)
            if isinstance(prepared, Refused):
                outcomes[place] = prepared
            else:
                rows[place] = prepared
        by_length = sorted(rows, key=lambda place: len(rows[place].prompt))
        size = ROWS[self._network.device.type]
        for start in range(0, len(by_length), size):
            batch = by_length[start : start + size]
            self._write([rows[place] for place in batch], start, len(by_length), on_progress)
            outcomes |= {place: self._completion(rows[place]) for place in batch}
        return [outcomes[place] for place in range(len(requests))]

    def _row(self, request: Request) -> _Row | Refused:
        messages = conversation(self.settings, request.prompt)
        try:
            text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except jinja2.TemplateError:
            roles = ", ".join(message["role"] for message in messages)
            return Refused(say("reward.policy.template", policy=self.name, roles=roles))
        tokens = self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        if len(tokens) >= self._context:
            return Refused(
                say("reward.policy.prompt_too_long", policy=self.name, tokens=len(tokens), limit=self._context)
            )
        longest = min(self.settings.max_tokens, self._context - len(tokens))
        return _Row(request, tokens, longest, torch.Generator().manual_seed(request.seed))

    def _write(self, rows: list[_Row], done: int, total: int, on_progress: OnProgress) -> None:
        """Write all rows to their ends, after `done` of `total` completions.

        `on_progress` is called before every token, outside torch's inference mode.
        """
        progress = {"policy": self.name, "done": done, "total": total}
        prompts = {row.request.prompt.id: row.prompt for row in rows}
        longest = max(map(len, prompts.values()))
        padding = self._tokenizer.pad_token_id
        ids = self._tensor([[padding] * (longest - len(tokens)) + tokens for tokens in prompts.values()])
        mask = self._tensor([[0] * (longest - len(tokens)) + [1] * len(tokens) for tokens in prompts.values()])
        cache = DynamicCache(config=self._network.config)
        on_progress(say("reward.policy.reading", **progress, count=len(prompts)))
        logits = self._next_logits(ids, mask, cache)

        order = list(prompts)
        owner = self._tensor([order.index(row.request.prompt.id) for row in rows])
        logits, mask = logits[owner], mask[owner]
        cache.batch_select_indices(owner)
        step = 0
        while True:
            tokens = self._choose(rows, logits)
            unfinished = [place for place, row in enumerate(rows) if not self._take(row, tokens[place])]
            if not unfinished:
                return
            step += 1
            longest = rows[unfinished[0]].longest
            on_progress(say("reward.policy.writing", **progress, count=len(unfinished), step=step, longest=longest))
            if len(unfinished) < len(rows):
                kept = self._tensor(unfinished)
                mask = mask[kept]
                cache.batch_select_indices(kept)
                rows, tokens = [rows[place] for place in unfinished], [tokens[place] for place in unfinished]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            logits = self._next_logits(self._tensor([[token] for token in tokens]), mask, cache)

    def _tensor(self, values: Sequence[int] | Sequence[Sequence[int]]) -> Tensor:
        return torch.tensor(values, device=self._network.device)

    @torch.inference_mode()
    def _next_logits(self, ids: Tensor, mask: Tensor, cache: DynamicCache) -> Tensor:
        """Return the logits after the newest ids, shape (rows, vocabulary); the mask covers cache and ids."""
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        output = self._network(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, logits_to_keep=1
        )
        logits: Tensor = output.logits[:, -1]
        return logits

    @torch.inference_mode()
    def _logits_alone(self, row: _Row) -> Tensor:
        """Return the logits after the row's tokens, shape (1, vocabulary), read in one pass without a batch."""
        ids = self._tensor([row.prompt + row.written])
        logits: Tensor = self._network(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1]
        return logits

    def _choose(self, rows: list[_Row], logits: Tensor) -> list[int]:
        """Return the next token of each row; tokens whose choice is not sure are chosen again without the batch."""
        temperature, top_p = self.settings.temperature, self.settings.top_p
        noise = torch.stack([gumbel_noise(logits.shape[-1], row.noise) for row in rows]).to(logits.device)
        tokens, sure = choose(logits, noise, temperature, top_p)
        for place in (~sure).nonzero().flatten().tolist():
            alone, _ = choose(self._logits_alone(rows[place]), noise[place : place + 1], temperature, top_p)
            tokens[place] = alone[0]
        chosen: list[int] = tokens.tolist()
        return chosen

    def _take(self, row: _Row, token: int) -> bool:
        """Add the token to the row; return whether the row is finished."""
        if token in self._ends:
            row.finish_reason = "stop"
            return True
        row.written.append(token)
        if len(row.written) == row.longest:
            row.finish_reason = "length"
        return bool(row.finish_reason)

    def _completion(self, row: _Row) -> Completion:
        text = self._tokenizer.decode(row.written, skip_special_tokens=True)
        assert isinstance(text, str)  # one sequence of tokens gives one text
        return Completion(
            prompt_id=row.request.prompt.id,
            text=storable(text),
            policy=self.name,
            policy_revision=self.revision,
            sampling=sampling_of(self.settings),
            seed=row.request.seed,
            finish_reason=row.finish_reason,
        )


def gumbel_noise(size: int, generator: torch.Generator) -> Tensor:
    """Return standard Gumbel noise, shape (size,): -log(-log u) for u uniform between 0 and 1."""
    return -torch.log(-torch.log(torch.rand(size, generator=generator)))


def choose(
    logits: Tensor, noise: Tensor, temperature: float, top_p: float, candidates: int = CANDIDATES
) -> tuple[Tensor, Tensor]:
    """Return each row's next token, and whether logits that differ by less than MARGIN / 2 give the same token.

        token = argmax over the nucleus of (logit + temperature * noise)

    With Gumbel noise this draws from softmax(logits / temperature) restricted to the nucleus; at temperature 0 it is
    the likeliest token. With tokens sorted by probability, the nucleus holds each token whose predecessors have a total
    probability below `top_p`.

    Args:
        logits: shape (rows, vocabulary).
        noise: shape (rows, vocabulary).
        temperature: at least 0; 0 ignores noise and top_p.
        top_p: above 0; 1 keeps every token.
        candidates: how many of the likeliest tokens to sort first; it does not change the result.

    Returns:
        Tokens, and whether each is sure; both of shape (rows,).

    Source: Gumbel-max, Maddison et al. 2014, arXiv:1411.0030, section 2; nucleus, Holtzman et al. 2020,
    arXiv:1904.09751, section 3.1.
    """
    if temperature == 0 or top_p >= 1:
        best, tokens = (logits + temperature * noise).topk(2)
        return tokens[:, 0], best[:, 0] - best[:, 1] > MARGIN

    likeliest, tokens = logits.topk(min(candidates, logits.shape[-1]))
    total = (logits / temperature).logsumexp(dim=-1, keepdim=True)
    summed = (likeliest / temperature - total).exp().cumsum(dim=-1)
    slack = MARGIN / temperature
    if tokens.shape[-1] < logits.shape[-1] and bool((summed[:, -1] <= top_p + slack).any()):
        return choose(logits, noise, temperature, top_p, logits.shape[-1])

    before = torch.nn.functional.pad(summed, (1, 0))  # before[i]: probability of the i likeliest tokens
    inside = before[:, :-1] < top_p
    surely_before = torch.searchsorted(-likeliest, -(likeliest + MARGIN))
    perhaps_before = torch.searchsorted(-likeliest, -(likeliest - MARGIN), right=True) - 1
    perhaps_inside = before.gather(1, surely_before) < top_p + slack
    surely_inside = before.gather(1, perhaps_before) < top_p - slack

    scores = likeliest + temperature * noise.gather(1, tokens)
    chosen = scores.masked_fill(~inside, -torch.inf).argmax(dim=-1, keepdim=True)
    rivals = scores.masked_fill(~perhaps_inside, -torch.inf).scatter(1, chosen, -torch.inf)
    leads = scores.gather(1, chosen) - rivals.max(dim=-1, keepdim=True).values > MARGIN
    only_one = ~perhaps_inside.scatter(1, chosen, False).any(dim=-1, keepdim=True)
    sure = (leads | only_one) & (surely_inside.gather(1, chosen))
    return tokens.gather(1, chosen)[:, 0], sure[:, 0]
