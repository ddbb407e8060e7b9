"""What people said about what models wrote: the records, frozen and checked when made.

A prompt has completions, and a ranking is one annotator's order of some of them. A choice between two, a best-of-K,
ties, a partial order and a full order are all this one record; comparisons are computed from it, never stored.
Identifiers of prompts and completions are hashes of their content, so importing a file twice adds nothing.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal, NoReturn, get_args

from label_data.canonical import canonical, canonical_bytes, id_of
from label_data.errors import InputError

Role = Literal["system", "user", "assistant"]
Outcome = Literal["ranked", "all_bad", "indistinguishable", "skipped"]
Source = Literal["person", "import", "model", "derived"]
"""Whose order it is: a person's here, a person's elsewhere, a judge model's, or nobody's, made of scores or votes."""
Purpose = Literal["", "repeat", "gold", "key"]
"""What a ranking is for. Empty: to say which completions are better. repeat: the same annotator ranks the prompt a
second time, to see whether they say the same. gold: it is held against a ranking that is known. key: it is that one."""

TESTS = ("repeat", "gold")
"""Purposes of rankings that give no comparison."""

ROLES, OUTCOMES, SOURCES, PURPOSES = (get_args(named) for named in (Role, Outcome, Source, Purpose))

LONGEST_TEXT = 200_000
"""Characters one message or completion may have."""
FEWEST_COMPLETIONS, MOST_COMPLETIONS = 2, 9
STRENGTHS = (1, 2, 3)
"""How much better a group is than the next: 1 slightly, 2 clearly, 3 much."""
WORST_RATING, BEST_RATING = 1, 7
"""A rating of one completion by itself, as in Ouyang et al. 2022, arXiv:2203.02155, table 3."""


def check_text(text: Any, what: str, longest: int = LONGEST_TEXT) -> str:
    """Return the text if every back end and every browser can hold it, else raise InputError.

    Refused: anything but a string, over `longest` characters, a NUL (PostgreSQL has no such text), a lone surrogate
    (no UTF-8 has one).
    """
    if type(text) is str and len(text) <= longest and text.isascii() and "\0" not in text:
        return text
    if not isinstance(text, str):
        raise InputError(f"{what} is {type(text).__name__}, not text. Write it as a string.")
    if len(text) > longest:
        raise InputError(f"{what} has {len(text):,} characters; at most {longest:,} are kept. Shorten it.")
    if "\0" in text:
        raise InputError(f"{what} holds a NUL character, which no database can keep. Remove it.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{what} holds half of a surrogate pair at character {error.start}. Save it again as UTF-8."
        ) from None
    return text


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise InputError(f"A message has role {self.role!r}; use one of {', '.join(ROLES)}.")
        check_text(self.content, f"A {self.role} message")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a completion answers: a conversation that ends with the user's turn."""

    messages: tuple[Message, ...]
    category: str = ""
    source: str = ""
    """Where it came from: a file's name, or empty for one written on the page."""
    licence: str = ""
    """Under which terms it came, with its completions and rankings; empty when nobody said."""
    id: str = field(init=False)

    def __post_init__(self) -> None:
        if not self.messages or self.messages[-1].role != "user":
            last = self.messages[-1].role if self.messages else "none"
            raise InputError(f"A prompt ends with role {last!r}; its last message must be the user's.")
        if not self.messages[-1].content.strip():
            raise InputError("A prompt's last message is empty. Write what the model should answer.")
        if "system" in [message.role for message in self.messages[1:]]:
            raise InputError("A prompt has a system message after its first message. Put it first, or leave it out.")
        check_text(self.category, "A category", 100)
        check_text(self.source, "A prompt's source", 1_000)
        check_text(self.licence, "A prompt's licence", 1_000)
        object.__setattr__(self, "id", id_of("prompt", [(m.role, m.content) for m in self.messages]))

    @property
    def as_dicts(self) -> list[dict[str, str]]:
        """The messages as chat templates and OpenAI-compatible servers take them."""
        return [{"role": message.role, "content": message.content} for message in self.messages]

    @property
    def as_json(self) -> str:
        """The same as the store keeps them."""
        return canonical(self.as_dicts)

    @property
    def first_turn(self) -> str:
        """The first user message, folded: prompts that share it stay on one side of a split."""
        first = next(message.content for message in self.messages if message.role == "user")
        return " ".join(first.casefold().split())


def user_prompt(text: str, category: str = "", source: str = "") -> Prompt:
    """Return the prompt of one user message."""
    return Prompt((Message("user", text),), category, source)


def messages_from(value: Any, what: str, left_out: Counter[str] | None = None) -> tuple[Message, ...]:
    """Return the messages of a JSON list of {"role", "content"} objects; `what` names the field in errors.

    Other fields of a message, such as calls of tools, are not kept; they are counted in `left_out`.
    """
    if not isinstance(value, list) or not value:
        problem = "an empty list" if value == [] else "not a list of messages"
        raise InputError(f'{what} is {problem}. Write [{{"role": "user", "content": "…"}}].')
    for number, message in enumerate(value, start=1):
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            raise InputError(f'{what}, message {number}: not an object with "role" and "content".')
        for extra in message.keys() - {"role", "content"} if left_out is not None and len(message) > 2 else ():
            reason = f"field {extra[:60]!r} of a message is not kept"
            left_out[reason if len(left_out) < 40 else "another field of a message is not kept"] += (
                message[extra] is not None
            )
    return tuple(Message(message["role"], message["content"]) for message in value)


@dataclass(frozen=True, slots=True)
class Completion:
    """One text that answers a prompt, and how its policy came to write it."""

    prompt_id: str
    text: str
    policy: str = ""
    """Name of the model that wrote it; empty when unknown."""
    policy_revision: str = ""
    """Hash or tag of that model's weights and settings."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Temperature, top_p, max_tokens, system_prompt, as used."""
    seed: int | None = None
    finish_reason: str = ""
    """"stop" when the model ended it, "length" when the token limit did."""
    id: str = field(init=False)

    def __post_init__(self) -> None:
        check_text(self.text, "A completion")
        for name in ("policy", "policy_revision", "finish_reason"):
            if (text := getattr(self, name)) != "":
                check_text(text, f"A completion's {name}", 1_000)
        if self.sampling:
            canonical(self.sampling)
        made_of = ("completion", self.prompt_id, self.text, self.policy, self.policy_revision)
        object.__setattr__(self, "id", id_of(*made_of))

    @property
    def folded(self) -> str:
        """The text with white space folded: two completions equal in this are shown once."""
        return " ".join(self.text.split())


def distinct(completions: Sequence[Completion]) -> tuple[Completion, ...]:
    """Return the completions without those whose text repeats an earlier one, white space aside."""
    first = {}
    for completion in completions:
        first.setdefault(completion.folded, completion)
    return tuple(first.values())


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a completion's text that is untrue, harmful, off-task …"""

    completion: str
    start: int
    end: int
    """Places in the text, counted in Unicode characters from 0; the character at `end` is no part of it."""
    kind: str
    """What is wrong there, in the words of the project's flags."""

    def __post_init__(self) -> None:
        if type(self.start) is not int or type(self.end) is not int or not 0 <= self.start < self.end:
            raise InputError(
                f"A span of completion {self.completion!r} goes from {self.start!r} to {self.end!r}; "
                "give two whole numbers, the first at least 0 and less than the second."
            )
        if not check_text(self.kind, "What a span is marked as", 40).strip():
            raise InputError(f"A span of completion {self.completion!r} does not say what is wrong there. Name it.")


@dataclass(frozen=True, slots=True)
class Ranking:
    """One annotator's judgement of two to nine completions of one prompt."""

    prompt_id: str
    annotator: str
    """The annotator's pseudonym, or for an import a name that the file gives."""
    shown: tuple[str, ...]
    """Completion ids as this annotator saw them, first to last; see `order_is_known`."""
    order: tuple[tuple[str, ...], ...] = ()
    """Groups of completion ids, best first. Ids in one group are tied."""
    outcome: Outcome = "ranked"
    strength: tuple[int | None, ...] = ()
    """Step from each group down to the next, 1 slightly to 3 much better; empty or one entry for each step."""
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Completion id -> what is wrong with it (untrue, harmful, off-task, broken …)."""
    reason: str = ""
    """Free text: why this order, or why it was skipped."""
    seconds: float | None = None
    """Active time spent, if it was measured."""
    started: int | None = None
    """When the task was handed out, in microseconds since 1970, UTC."""
    submitted: int | None = None
    """When the store took it, in microseconds since 1970, UTC."""
    revises: str | None = None
    """Submission of the earlier ranking that this one replaces; that one is kept."""
    assisted: bool = False
    """Were rewards, a suggested order or the policies' names visible?"""
    source: Source = "person"
    project: str = ""
    project_revision: int | None = None
    """Settings under which it was made."""
    submission: str = ""
    """Made where the judgement was made, so that a repeated send is stored once. Empty: hash of the content."""
    ratings: Mapping[str, int] = field(default_factory=dict)
    """Completion id -> 1 to 7, judged by itself. Never turned into an order: the two disagree too often."""
    spans: tuple[Span, ...] = ()
    """Parts of the completions that were marked."""
    purpose: Purpose = ""

    def __post_init__(self) -> None:
        placed, shown = list(chain.from_iterable(self.order)), set(self.shown)
        if self.outcome not in OUTCOMES:
            self._refuse(f"has outcome {self.outcome!r}; use one of {', '.join(OUTCOMES)}.")
        if self.source not in SOURCES:
            self._refuse(f"has source {self.source!r}; use one of {', '.join(SOURCES)}.")
        if self.purpose not in PURPOSES:
            self._refuse(f"has purpose {self.purpose!r}; use repeat, gold or key, or leave it empty.")
        if len(shown) != len(self.shown) or len(shown) < FEWEST_COMPLETIONS:
            self._refuse(f"was shown {list(self.shown)}; show at least two, each once.")
        if len(set(placed)) != len(placed) or not shown.issuperset(placed) or not all(self.order):
            self._refuse(
                f"orders {[list(group) for group in self.order]}, but the annotator was shown "
                f"{list(self.shown)}. Place each completion at most once, and only those shown."
            )
        if self.outcome == "ranked" and len(placed) < 2:
            self._refuse(f"places {len(placed)} completion(s); an order needs at least two.")
        if self.outcome != "ranked" and placed:
            self._refuse(f"has outcome {self.outcome!r} and an order; give one or the other.")
        if self.strength and len(self.strength) != len(self.order) - 1:
            self._refuse(
                f"has {len(self.strength)} strengths for {len(self.order)} groups; "
                "give one for each step down, or none."
            )
        if self.strength and any(step is not None and step not in STRENGTHS for step in self.strength):
            self._refuse(f"has strengths {list(self.strength)}; each is 1, 2, 3 or null.")
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds >= 0):
            self._refuse(f"took {self.seconds} seconds; give a finite number of at least 0.")
        if not shown.issuperset(self.flags):
            self._refuse(f"flags completions that were not shown: {set(self.flags) - shown}.")
        if self.spans or self.ratings:
            self._check_marks(shown)
        if not self.annotator:
            raise InputError(f"{self._what}: no annotator. Say who made it, or give the file's name.")
        check_text(self.annotator, "An annotator's name", 200)
        if self.reason != "":
            check_text(self.reason, f"{self._what}: the reason", 10_000)
        if self.submission != "":
            check_text(self.submission, f"{self._what}: the submission", 200)
        if not self.submission:
            object.__setattr__(self, "submission", id_of("ranking", self.judgement))

    def _check_marks(self, shown: set[str]) -> None:
        marked = {span.completion for span in self.spans} | set(self.ratings)
        if not marked <= shown:
            self._refuse(f"rates or marks completions that were not shown: {marked - shown}.")
        rated = self.ratings.values()
        if any(type(rating) is not int or not WORST_RATING <= rating <= BEST_RATING for rating in rated):
            self._refuse(f"has ratings {list(rated)}; each is a whole number from 1 to 7.")

    @property
    def _what(self) -> str:
        return f"A ranking of prompt {self.prompt_id!r} by {self.annotator!r}"

    def _refuse(self, said: str) -> NoReturn:
        raise InputError(f"{self._what} {said}")

    @property
    def judgement(self) -> dict[str, Any]:
        """What the annotator said, apart from when and under which id: equal for a repeated send.

        Ratings and spans are named only where there are any, so that the hashes of rankings without them, made
        before there could be any, still hold.
        """
        said = {
            "prompt": self.prompt_id,
            "annotator": self.annotator,
            "shown": list(self.shown),
            "order": [list(group) for group in self.order],
            "outcome": self.outcome,
            "strength": list(self.strength),
            "flags": self.said_flags,
            "reason": self.reason,
            "revises": self.revises,
        }
        if self.ratings:
            said["ratings"] = dict(self.ratings)
        if self.spans:
            said["spans"] = sorted([span.completion, span.start, span.end, span.kind] for span in self.spans)
        return said

    @property
    def judgement_sha256(self) -> str:
        """What tells two judgements apart that came with the same submission."""
        return hashlib.sha256(canonical_bytes(self.judgement)).hexdigest()

    @property
    def said_flags(self) -> dict[str, list[str]]:
        """The flags in one order, those of completions that have any."""
        if not self.flags:
            return {}
        return {completion: sorted(flags) for completion, flags in sorted(self.flags.items()) if flags}

    @property
    def tests_annotator(self) -> bool:
        """Was it made to test the annotator: a repeat, or an answer to a gold prompt?

        Such a ranking gives no comparison to train on: one annotator would be heard twice, or one prompt by everyone.
        """
        return self.purpose in TESTS

    @property
    def order_is_known(self) -> bool:
        """Does `shown` tell in which order the annotator saw the completions? If not, it says nothing of places.

        Readers sort `shown` by id where a file does not tell, so what no person did here and is sorted tells nothing.
        A file that does tell has the order of the ids by chance alone; ids are hashes, and which is the smaller has
        nothing to do with which is preferred, so to leave these out as well leaves a measure where it was, only less
        sure.
        """
        return self.source == "person" or list(self.shown) != sorted(self.shown)

    @property
    def unranked(self) -> tuple[str, ...]:
        """Completions shown but not placed: nothing is known of them."""
        placed = set(chain.from_iterable(self.order))
        return tuple(completion for completion in self.shown if completion not in placed)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """The answer that an annotator would have wanted: written from nothing, or a completion made better."""

    prompt_id: str
    text: str
    annotator: str
    edited_from: str | None = None
    """Id of the completion that it was edited from; None when it was written from nothing."""
    submission: str = ""
    """Of the ranking it was sent with, which it follows: revised with it, it is replaced too. Empty: it came alone."""
    written: int | None = None
    """When the store took it, in microseconds since 1970, UTC."""
    source: Source = "person"
    project: str = ""
    project_revision: int | None = None
    id: str = field(init=False)

    def __post_init__(self) -> None:
        what = f"A demonstration for prompt {self.prompt_id!r} by {self.annotator!r}"
        if not check_text(self.text, what).strip():
            raise InputError(f"{what} is empty. Write the answer that you would have wanted, or none.")
        if self.source not in SOURCES:
            raise InputError(f"{what} has source {self.source!r}; use one of {', '.join(SOURCES)}.")
        if not check_text(self.annotator, "An annotator's name", 200):
            raise InputError(f"{what}: no annotator. Say who wrote it, or give the file's name.")
        check_text(self.submission, f"{what}: the submission", 200)
        made_of = ("demonstration", self.prompt_id, self.text, self.annotator, self.edited_from, self.submission)
        object.__setattr__(self, "id", id_of(*made_of))


@dataclass(frozen=True, slots=True)
class Group:
    """A prompt, its completions, and every ranking of them: what files hold a line of and training a batch of."""

    prompt: Prompt
    completions: tuple[Completion, ...] = ()
    rankings: tuple[Ranking, ...] = ()
    demonstrations: tuple[Demonstration, ...] = ()

    def __post_init__(self) -> None:
        length, keys = {completion.id: len(completion.text) for completion in self.completions}, 0
        for completion in self.completions:
            if completion.prompt_id != self.prompt.id:
                raise InputError(f"Completion {completion.id} answers another prompt than {self.prompt.id}.")
        for ranking in self.rankings:
            if ranking.prompt_id != self.prompt.id or not length.keys() >= set(ranking.shown):
                raise InputError(f"Ranking {ranking.submission} orders completions that are not in its group.")
            for span in ranking.spans:
                if span.end > length[span.completion]:
                    raise InputError(f"Ranking {ranking.submission} marks text beyond the end of a completion.")
            keys += ranking.purpose == "key"
        if keys > 1:
            raise InputError("Two rankings of one prompt have purpose 'key'. Keep the one that is known to be right.")
        for demonstration in self.demonstrations:
            if demonstration.prompt_id != self.prompt.id or not {demonstration.edited_from} - {None} <= length.keys():
                raise InputError(
                    f"Demonstration {demonstration.id} answers another prompt, or edits no completion of it."
                )


@dataclass(frozen=True, slots=True)
class Comparison:
    """One completion preferred to another, as a ranking implies it."""

    prompt_id: str
    chosen: str
    rejected: str
    annotator: str
    strength: int | None = None
    """Steps of strength between the two, summed; None when any step between them has none."""
    weight: float = 1.0
    """One ranking weighs 1 in all, however many comparisons it implies."""
    margin: float | None = None
    """Gap asked of the rewards of the two, where a version of the data says so; see `label_data.versions.version`."""
