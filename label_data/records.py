"""Records of human preferences: prompts, completions, rankings, demonstrations. Frozen, and checked when made.

A prompt has completions, and a ranking is one annotator's order of some of them. A choice between two, a best-of-K,
ties, a partial order and a full order are all a `Ranking`; comparisons are computed from it and never stored.
The ids of prompts and completions are hashes of their content, so importing a file twice adds nothing.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal, NoReturn, get_args

from label_data.canonical import canonical, canonical_bytes, fast_content_id
from label_data.errors import InputError
from label_data.sentences import Sentence, plain, say

Role = Literal["system", "user", "assistant"]
Outcome = Literal["ranked", "all_bad", "indistinguishable", "skipped"]
Source = Literal["person", "import", "model", "derived"]
"""Where an order comes from: a person in this workbench, a person elsewhere (import), a judge model, or scores or votes
(derived)."""
Purpose = Literal["", "repeat", "gold", "key"]
"""What a ranking is for. Empty: a preference. repeat: a hidden repeat, in which an annotator ranks a prompt again to
measure self-agreement. gold: an answer to a gold prompt, compared with its known ranking. key: that known ranking."""

TESTS = ("repeat", "gold")
"""Purposes of the rankings that test an annotator and give no comparisons."""

ROLES: tuple[str, ...] = get_args(Role)
OUTCOMES: tuple[str, ...] = get_args(Outcome)
SOURCES: tuple[str, ...] = get_args(Source)
PURPOSES: tuple[str, ...] = get_args(Purpose)

LONGEST_TEXT = 200_000
"""Maximum characters of a message or completion."""
FEWEST_COMPLETIONS, MOST_COMPLETIONS = 2, 9
STRENGTHS = (1, 2, 3)
"""How much better a group is than the next one: 1 slightly, 2 clearly, 3 much."""
WORST_RATING, BEST_RATING = 1, 7
"""Bounds of a rating of a single completion, as in Ouyang et al. 2022, arXiv:2203.02155, table 3."""

# Sentences that name a field are constants: records are made by the million, and errors are rare.
_MESSAGE: dict[str, Sentence] = {
    "system": say("label_data.records.system_message"),
    "user": say("label_data.records.user_message"),
    "assistant": say("label_data.records.assistant_message"),
}
_CATEGORY = say("label_data.records.category")
_PROMPT_SOURCE = say("label_data.records.prompt_source")
_PROMPT_LICENCE = say("label_data.records.prompt_licence")
_COMPLETION = say("label_data.records.completion")
_COMPLETION_FIELDS = {
    field: say("label_data.records.completion_field", field=field)
    for field in ("policy", "policy_revision", "finish_reason")
}
_SPAN_KIND = say("label_data.records.span_kind")
ANNOTATOR_NAME = say("label_data.records.annotator_name")


def check_text(text: Any, what: Sentence | str, longest: int = LONGEST_TEXT) -> str:
    """Return the text if every back end and every browser can store it; otherwise raise InputError.

    Refused are: a value that is not a string, more than `longest` characters, a NUL (PostgreSQL cannot store it), and a
    lone surrogate (UTF-8 cannot encode it). `what` names the text in the error, for example "A completion".
    """
    if type(text) is str and len(text) <= longest and text.isascii() and "\0" not in text:
        return text
    what = plain(what) if isinstance(what, str) else what
    if not isinstance(text, str):
        raise InputError("label_data.records.not_text", what=what, kind=type(text).__name__)
    if len(text) > longest:
        raise InputError("label_data.records.too_long", what=what, count=len(text), most=longest)
    if "\0" in text:
        raise InputError("label_data.records.nul", what=what)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError("label_data.records.half_pair", what=what, position=error.start) from None
    return text


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise InputError("label_data.records.role", role=self.role, roles=", ".join(ROLES))
        check_text(self.content, _MESSAGE[self.role])


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation that ends with the user's turn, which completions answer."""

    messages: tuple[Message, ...]
    category: str = ""
    source: str = ""
    """Where the prompt came from: a file's name, or empty if it was written on the page."""
    licence: str = ""
    """Licence of the prompt with its completions and rankings; empty if unknown."""
    id: str = field(init=False)

    def __post_init__(self) -> None:
        if not self.messages:
            raise InputError("label_data.records.no_messages")
        if self.messages[-1].role != "user":
            raise InputError("label_data.records.last_role", role=self.messages[-1].role)
        if not self.messages[-1].content.strip():
            raise InputError("label_data.records.prompt_empty")
        if "system" in [message.role for message in self.messages[1:]]:
            raise InputError("label_data.records.late_system")
        check_text(self.category, _CATEGORY, 100)
        check_text(self.source, _PROMPT_SOURCE, 1_000)
        check_text(self.licence, _PROMPT_LICENCE, 1_000)
        object.__setattr__(self, "id", fast_content_id("prompt", [(m.role, m.content) for m in self.messages]))

    @property
    def as_dicts(self) -> list[dict[str, str]]:
        """The messages as chat templates and OpenAI-compatible servers accept them."""
        return [{"role": message.role, "content": message.content} for message in self.messages]

    @property
    def as_json(self) -> str:
        """The messages as the store keeps them."""
        return canonical(self.as_dicts)

    @property
    def first_turn(self) -> str:
        """The first user message, case and white space folded. Prompts that share it stay on one side of a split."""
        first = next(message.content for message in self.messages if message.role == "user")
        return " ".join(first.casefold().split())


def user_prompt(text: str, category: str = "", source: str = "") -> Prompt:
    """Return a prompt that consists of one user message."""
    return Prompt((Message("user", text),), category, source)


def messages_from(value: Any, what: Sentence | str, left_out: Counter[Sentence] | None = None) -> tuple[Message, ...]:
    """Return the messages of a JSON list of {"role", "content"} objects; `what` names the list in errors.

    Other fields of a message, such as tool calls, are dropped and counted in `left_out`.
    """
    what = plain(what) if isinstance(what, str) else what
    if value == []:
        raise InputError("label_data.records.empty_list", what=what)
    if not isinstance(value, list):
        raise InputError("label_data.records.not_a_list", what=what)
    for number, message in enumerate(value, start=1):
        if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
            raise InputError("label_data.records.not_a_message", what=what, number=number)
        if left_out is not None and len(message) > 2:
            for name in message.keys() - {"role", "content"}:
                part = say("label_data.formats.a_message")
                reason = say("label_data.formats.field_of", field=name[:60], part=part)
                if len(left_out) >= 40:
                    reason = say("label_data.formats.other_field_of", part=part)
                left_out[reason] += message[name] is not None
    return tuple(Message(message["role"], message["content"]) for message in value)


@dataclass(frozen=True, slots=True)
class Completion:
    """A text that answers a prompt, and how its policy produced it."""

    prompt_id: str
    text: str
    policy: str = ""
    """Name of the model that wrote the text; empty if unknown."""
    policy_revision: str = ""
    """Hash or tag of that model's weights and settings."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """The temperature, top_p, max_tokens and system_prompt used."""
    seed: int | None = None
    finish_reason: str = ""
    """"stop" if the model ended the text, "length" if the token limit did."""
    id: str = field(init=False)

    def __post_init__(self) -> None:
        check_text(self.text, _COMPLETION)
        for name, what in _COMPLETION_FIELDS.items():
            if (text := getattr(self, name)) != "":
                check_text(text, what, 1_000)
        if self.sampling:
            canonical(self.sampling)
        content = ("completion", self.prompt_id, self.text, self.policy, self.policy_revision)
        object.__setattr__(self, "id", fast_content_id(*content))

    @property
    def folded(self) -> str:
        """The text with white space folded. Of completions with equal folded texts, one is shown."""
        return " ".join(self.text.split())


def _part(whole: Sentence, part: Sentence) -> Sentence:
    """Return the name of a part of a record, for errors."""
    return say("label_data.records.part", whole=whole, part=part)


def distinct(completions: Sequence[Completion]) -> tuple[Completion, ...]:
    """Return the completions without those whose text equals an earlier one, ignoring white space."""
    first: dict[str, Completion] = {}
    for completion in completions:
        first.setdefault(completion.folded, completion)
    return tuple(first.values())


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a completion's text that an annotator marked as untrue, harmful, off-task and so on."""

    completion: str
    start: int
    end: int
    """Offsets in Unicode characters from 0; the character at `end` is not part of the span."""
    kind: str
    """What is wrong there: one of the project's flags."""

    def __post_init__(self) -> None:
        if type(self.start) is not int or type(self.end) is not int or not 0 <= self.start < self.end:
            raise InputError(
                "label_data.records.span_range", completion=self.completion, start=self.start, end=self.end
            )
        if not check_text(self.kind, _SPAN_KIND, 40).strip():
            raise InputError("label_data.records.span_kind_empty", completion=self.completion)


@dataclass(frozen=True, slots=True)
class Ranking:
    """One annotator's order of two to nine completions of a prompt."""

    prompt_id: str
    annotator: str
    """The annotator's pseudonym; for an import, the name in the file."""
    shown: tuple[str, ...]
    """Completion ids in the order in which the annotator saw them; see `order_is_known`."""
    order: tuple[tuple[str, ...], ...] = ()
    """Groups of completion ids, best first. Ids in one group are tied."""
    outcome: Outcome = "ranked"
    strength: tuple[int | None, ...] = ()
    """How much better each group is than the next: 1 slightly to 3 much. Empty, or one entry for each step."""
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Completion id -> what is wrong with it (untrue, harmful, off-task, broken …)."""
    reason: str = ""
    """Free text: why this order, or why the task was skipped."""
    seconds: float | None = None
    """Active time spent, if measured."""
    started: int | None = None
    """When the task was assigned, in microseconds since 1970, UTC."""
    submitted: int | None = None
    """When the store received it, in microseconds since 1970, UTC."""
    revises: str | None = None
    """Submission of the earlier ranking that this one replaces. The store keeps both."""
    assisted: bool = False
    """Whether rewards, a suggested order or the policies' names were visible."""
    source: Source = "person"
    project: str = ""
    project_revision: int | None = None
    """Revision of the project's settings at the time."""
    submission: str = ""
    """Id that the client makes, so that a ranking sent twice is stored once. Empty: a hash of the content is used."""
    ratings: Mapping[str, int] = field(default_factory=dict)
    """Completion id -> rating from 1 to 7. Never turned into an order: ratings and rankings disagree too often."""
    spans: tuple[Span, ...] = ()
    """Marked parts of the completions."""
    purpose: Purpose = ""

    def __post_init__(self) -> None:
        placed, shown = list(chain.from_iterable(self.order)), set(self.shown)
        if self.outcome not in OUTCOMES:
            self._refuse("label_data.records.ranking_outcome", outcome=self.outcome, outcomes=", ".join(OUTCOMES))
        if self.source not in SOURCES:
            self._refuse("label_data.records.ranking_source", source=self.source, sources=", ".join(SOURCES))
        if self.purpose not in PURPOSES:
            self._refuse("label_data.records.ranking_purpose", purpose=self.purpose)
        if len(shown) != len(self.shown) or len(shown) < FEWEST_COMPLETIONS:
            self._refuse("label_data.records.ranking_shown", shown=list(self.shown))
        if len(set(placed)) != len(placed) or not shown.issuperset(placed) or not all(self.order):
            order = [list(group) for group in self.order]
            self._refuse("label_data.records.ranking_order", order=order, shown=list(self.shown))
        if self.outcome == "ranked" and len(placed) < 2:
            self._refuse("label_data.records.ranking_too_few", count=len(placed))
        if self.outcome != "ranked" and placed:
            self._refuse("label_data.records.ranking_outcome_and_order", outcome=self.outcome)
        if self.strength and len(self.strength) != len(self.order) - 1:
            strengths, groups = len(self.strength), len(self.order)
            self._refuse("label_data.records.ranking_strengths", strengths=strengths, groups=groups)
        if self.strength and any(step is not None and step not in STRENGTHS for step in self.strength):
            self._refuse("label_data.records.ranking_strength", strengths=list(self.strength))
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds >= 0):
            self._refuse("label_data.records.ranking_seconds", seconds=self.seconds)
        if not shown.issuperset(self.flags):
            self._refuse("label_data.records.ranking_flags", completions=", ".join(sorted(set(self.flags) - shown)))
        if self.spans or self.ratings:
            self._check_marks(shown)
        if not self.annotator:
            self._refuse("label_data.records.no_annotator")
        check_text(self.annotator, ANNOTATOR_NAME, 200)
        if self.reason != "":
            check_text(self.reason, _part(self._what, say("label_data.records.reason")), 10_000)
        if self.submission != "":
            check_text(self.submission, _part(self._what, say("label_data.records.submission")), 200)
        if not self.submission:
            object.__setattr__(self, "submission", fast_content_id("ranking", self.judgement))

    def _check_marks(self, shown: set[str]) -> None:
        marked = {span.completion for span in self.spans} | set(self.ratings)
        if not marked <= shown:
            self._refuse("label_data.records.ranking_marks", completions=", ".join(sorted(marked - shown)))
        ratings = list(self.ratings.values())
        if any(type(rating) is not int or not WORST_RATING <= rating <= BEST_RATING for rating in ratings):
            self._refuse("label_data.records.ranking_ratings", ratings=ratings, low=WORST_RATING, high=BEST_RATING)

    @property
    def _what(self) -> Sentence:
        return say("label_data.records.ranking", prompt=self.prompt_id, annotator=self.annotator)

    def _refuse(self, key: str, **values: Any) -> NoReturn:
        raise InputError(key, what=self._what, **values)

    @property
    def judgement(self) -> dict[str, Any]:
        """The ranking without its times and its submission id: equal if the same ranking is sent twice.

        Ratings and spans are included only if there are any, so that the hashes of rankings stored before ratings and
        spans existed stay valid.
        """
        content: dict[str, Any] = {
            "prompt": self.prompt_id,
            "annotator": self.annotator,
            "shown": list(self.shown),
            "order": [list(group) for group in self.order],
            "outcome": self.outcome,
            "strength": list(self.strength),
            "flags": self.sorted_flags,
            "reason": self.reason,
            "revises": self.revises,
        }
        if self.ratings:
            content["ratings"] = dict(self.ratings)
        if self.spans:
            content["spans"] = sorted([span.completion, span.start, span.end, span.kind] for span in self.spans)
        return content

    @property
    def judgement_sha256(self) -> str:
        """Hash that shows whether two rankings with the same submission id are equal."""
        return hashlib.sha256(canonical_bytes(self.judgement)).hexdigest()

    @property
    def sorted_flags(self) -> dict[str, list[str]]:
        """The flags in sorted order, without completions that have none."""
        if not self.flags:
            return {}
        return {completion: sorted(flags) for completion, flags in sorted(self.flags.items()) if flags}

    @property
    def tests_annotator(self) -> bool:
        """Whether the ranking tests the annotator: a hidden repeat, or an answer to a gold prompt.

        Such a ranking gives no comparison to train on: it would count one annotator twice, or one prompt once for
        every annotator.
        """
        return self.purpose in TESTS

    @property
    def order_is_known(self) -> bool:
        """Whether `shown` is the order in which the annotator saw the completions.

        If a file does not give that order, its reader sorts `shown` by id. So the order of an imported ranking is
        unknown if `shown` is sorted. A few files give an order that happens to be sorted; they are left out as well.
        This makes measures of position bias less precise but does not bias them, because ids are hashes and so are
        independent of preference.
        """
        return self.source == "person" or list(self.shown) != sorted(self.shown)

    @property
    def unranked(self) -> tuple[str, ...]:
        """Completions that were shown but not placed: nothing is known about them."""
        placed = set(chain.from_iterable(self.order))
        return tuple(completion for completion in self.shown if completion not in placed)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """An answer written by an annotator: from scratch, or by editing a completion."""

    prompt_id: str
    text: str
    annotator: str
    edited_from: str | None = None
    """Id of the completion that was edited; None if the answer was written from scratch."""
    submission: str = ""
    """Submission of the ranking it was sent with: revising that replaces the demonstration too. Empty: none."""
    written: int | None = None
    """When the store received it, in microseconds since 1970, UTC."""
    source: Source = "person"
    project: str = ""
    project_revision: int | None = None
    id: str = field(init=False)

    def __post_init__(self) -> None:
        what = say("label_data.records.demonstration", prompt=self.prompt_id, annotator=self.annotator)
        if not check_text(self.text, what).strip():
            raise InputError("label_data.records.demonstration_empty", what=what)
        if self.source not in SOURCES:
            raise InputError(
                "label_data.records.ranking_source", what=what, source=self.source, sources=", ".join(SOURCES)
            )
        if not check_text(self.annotator, ANNOTATOR_NAME, 200):
            raise InputError("label_data.records.no_annotator", what=what)
        check_text(self.submission, _part(what, say("label_data.records.submission")), 200)
        content = ("demonstration", self.prompt_id, self.text, self.annotator, self.edited_from, self.submission)
        object.__setattr__(self, "id", fast_content_id(*content))


@dataclass(frozen=True, slots=True)
class Group:
    """A prompt with its completions, rankings and demonstrations: one line of a file, one unit of training data."""

    prompt: Prompt
    completions: tuple[Completion, ...] = ()
    rankings: tuple[Ranking, ...] = ()
    demonstrations: tuple[Demonstration, ...] = ()

    def __post_init__(self) -> None:
        lengths, keys = {completion.id: len(completion.text) for completion in self.completions}, 0
        for completion in self.completions:
            if completion.prompt_id != self.prompt.id:
                raise InputError("label_data.records.group_completion", completion=completion.id, prompt=self.prompt.id)
        for ranking in self.rankings:
            if ranking.prompt_id != self.prompt.id or not lengths.keys() >= set(ranking.shown):
                raise InputError("label_data.records.group_ranking", ranking=ranking.submission)
            for span in ranking.spans:
                if span.end > lengths[span.completion]:
                    raise InputError("label_data.records.group_span", ranking=ranking.submission)
            keys += ranking.purpose == "key"
        if keys > 1:
            raise InputError("label_data.records.group_keys")
        for demonstration in self.demonstrations:
            is_edited = demonstration.edited_from is not None
            if demonstration.prompt_id != self.prompt.id or (is_edited and demonstration.edited_from not in lengths):
                raise InputError("label_data.records.group_demonstration", demonstration=demonstration.id)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One completion preferred to another, as implied by a ranking."""

    prompt_id: str
    chosen: str
    rejected: str
    annotator: str
    strength: int | None = None
    """Sum of the strengths of the steps between the two; None if any of them is unknown."""
    weight: float = 1.0
    """The weights of a ranking's comparisons sum to 1, however many there are."""
    margin: float | None = None
    """Margin between the two rewards, if a version of the data sets one; see `label_data.versions.version`."""
