"""The type of the callbacks that long work reports its progress to."""

from collections.abc import Callable

from label_data.sentences import Sentence

OnProgress = Callable[[int, int, Sentence], object]
"""Gets (done, total, message). It may raise to stop the work; the work finished by then is kept."""


def silent(_done: int, _total: int, _message: Sentence) -> None:
    """Ignore the progress: the default where nobody watches."""
