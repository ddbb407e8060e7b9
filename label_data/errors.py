"""The one error that a person can put right."""

from typing import Any

from label_data.sentences import Sentence

LONGEST_MESSAGE = 1_000
"""Characters that the message of an InputError may have."""


class InputError(ValueError):
    """Something the person can put right; its message says what is wrong, where, and what to do next.

    It takes the key of a sentence and its values (see `label_data.sentences`): the message is in English, and `render`
    gives it in any language. The message is one line that a terminal only shows, even if it quotes a file: unprintable
    characters are escaped, and the middle of a message longer than `LONGEST_MESSAGE` is left out.
    """

    def __init__(self, key: str, /, **values: Any) -> None:
        self.sentence = Sentence(key, values)
        super().__init__(self.render("en"))

    @property
    def key(self) -> str:
        """The key of the sentence."""
        return self.sentence.key

    @property
    def values(self) -> Any:
        """The values that the sentence is filled with."""
        return self.sentence.values

    def render(self, language: str) -> str:
        """Return the message in a language, as one line."""
        message = self.sentence.render(language)
        if len(message) > LONGEST_MESSAGE:
            message = f"{message[: LONGEST_MESSAGE // 2]} … {message[-LONGEST_MESSAGE // 4 :]}"
        return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in message)
