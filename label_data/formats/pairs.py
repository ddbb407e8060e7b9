"""Two conversations of which one is preferred: they share the prompt, and each ends with its completion."""

from collections import Counter
from collections.abc import Collection

from label_data.files.rows_in import Row
from label_data.records import Group, Message, Prompt
from label_data.sentences import Sentence, say
from label_data.unchecked import imported_pair

SAME_TEXT = say("label_data.formats.same_text")
NOT_LAST_TURN = say("label_data.formats.not_last_turn")
NO_QUESTION = say("label_data.formats.no_question")


def pair_group(
    chosen: tuple[Message, ...],
    rejected: tuple[Message, ...],
    annotator: str,
    source: str,
    left_out: Counter[Sentence],
) -> Group | None:
    """Return the prompt, the two completions and the one ranking, or None, counted in `left_out`, if there are none.

    The prompt is the common beginning in whole turns, never in characters, which would cut two answers that begin
    alike in the middle. Such files don't say who preferred it or which completion was shown first: the annotator is
    the format's name, and `shown` is sorted by id, so that it tells nothing.
    """
    shared_turns = 0
    for message, other in zip(chosen, rejected, strict=False):
        if message != other:
            break
        shared_turns += 1
    shared, ends = chosen[:shared_turns], (chosen[shared_turns:], rejected[shared_turns:])
    if not any(ends):
        left_out[SAME_TEXT] += 1
        return None
    if [[message.role for message in end] for end in ends] != [["assistant"], ["assistant"]]:
        left_out[NOT_LAST_TURN] += 1
        return None
    if not shared or shared[-1].role != "user" or not shared[-1].content.strip():
        left_out[NO_QUESTION] += 1
        return None
    prompt = Prompt(shared, source=source)
    return imported_pair(prompt, chosen[-1], rejected[-1], annotator)


def count_unknown(row: Row, known: Collection[str], left_out: Counter[Sentence], part: Sentence | None = None) -> None:
    """Count the row's fields that are not `known` and not null, by name for the first twenty reasons of a file.

    `part` says what the row is, for an object inside a row: "a completion".
    """
    for name, value in row.fields.items():
        if name not in known and value is not None:
            reason = (
                say("label_data.formats.field", field=name[:60])
                if part is None
                else say("label_data.formats.field_of", field=name[:60], part=part)
            )
            if reason not in left_out and len(left_out) >= 20:
                reason = (
                    say("label_data.formats.other_field")
                    if part is None
                    else say("label_data.formats.other_field_of", part=part)
                )
            left_out[reason] += 1
