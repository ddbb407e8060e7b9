"""Two conversations of which one is preferred: what they share is the prompt, what they end with the completions."""

from collections import Counter
from collections.abc import Collection

from label_data.files.rows_in import Row
from label_data.records import Group, Message, Prompt
from label_data.unchecked import imported_pair

SAME = "chosen and rejected are the same, so neither is preferred"
PART_EARLY = "chosen and rejected differ in more than one last assistant turn each, and a completion is one turn"
NO_QUESTION = "the turns that both share do not end with a user's turn that says something"


def pair_group(
    chosen: tuple[Message, ...],
    rejected: tuple[Message, ...],
    annotator: str,
    source: str,
    left_out: Counter[str],
) -> Group | None:
    """Return the prompt, the two completions and the one ranking, or None, counted in `left_out`, if they hold none.

    The prompt is the common beginning in whole turns, never in characters: two answers that begin alike would
    otherwise be cut in the middle. Such files don't say who judged or which of the two was shown first: the
    annotator is the format's name, and `shown` is sorted by id, so that nothing can be read from it.
    """
    alike = 0
    for one, other in zip(chosen, rejected, strict=False):
        if one != other:
            break
        alike += 1
    shared, ends = chosen[:alike], (chosen[alike:], rejected[alike:])
    if not any(ends):
        left_out[SAME] += 1
        return None
    if [[message.role for message in end] for end in ends] != [["assistant"], ["assistant"]]:
        left_out[PART_EARLY] += 1
        return None
    if not shared or shared[-1].role != "user" or not shared[-1].content.strip():
        left_out[NO_QUESTION] += 1
        return None
    prompt = Prompt(shared, source=source)
    return imported_pair(prompt, chosen[-1], rejected[-1], annotator)


def count_unknown(row: Row, known: Collection[str], left_out: Counter[str], of: str = "") -> None:
    """Count the row's fields that are not `known` and not null, by name for the first twenty reasons of a file.

    `of` says what the row is if it is not all of one: "a completion".
    """
    of = f" of {of}" if of else ""
    for name, value in row.fields.items():
        if name not in known and value is not None:
            reason = f"field {name[:60]!r}{of} is not kept"
            left_out[reason if reason in left_out or len(left_out) < 20 else f"another field{of} is not kept"] += 1
