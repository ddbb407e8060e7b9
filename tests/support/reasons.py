"""Reasons why something is left out, as tests expect them."""

from label_data.sentences import Sentence, say


def lost_field(field: str, part: str = "") -> Sentence:
    """Return the reason for a field that no record has; `part` is the name of a sentence, as in "formats.a_message"."""
    if part:
        return say("label_data.formats.field_of", field=field, part=say(f"label_data.{part}"))
    return say("label_data.formats.field", field=field)
