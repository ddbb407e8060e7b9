"""What a person can put right, in one sentence."""

LONGEST_MESSAGE = 1_000
"""Characters of what an InputError says."""


class InputError(ValueError):
    """Something the person can put right; its message says what, where, and what to do next.

    It stays one line that a terminal only shows, though it may quote a file: signs that do anything else are escaped,
    and the middle of what is over `LONGEST_MESSAGE` is left out.
    """

    def __init__(self, message: str) -> None:
        if len(message) > LONGEST_MESSAGE:
            message = f"{message[: LONGEST_MESSAGE // 2]} … {message[-LONGEST_MESSAGE // 4 :]}"
        super().__init__("".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in message))
