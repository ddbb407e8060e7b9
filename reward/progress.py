"""How long work reports its progress."""

from collections.abc import Callable

OnProgress = Callable[[int, int, str], object]
"""Gets (done, total, message). It may raise to stop the work; what was done by then is kept."""
