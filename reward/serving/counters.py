"""What a server counts of its work, as Prometheus reads it."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends of the histogram's buckets, in seconds."""


@dataclass(slots=True)
class ServingMetrics:
    """Counts since the start; written and read by one thread."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By path and status."""
    seconds: dict[str, list[int]] = field(default_factory=dict)
    """By path: how many requests took at most each bound, and more than all (last)."""
    total_seconds: Counter[str] = field(default_factory=Counter)
    in_progress: int = 0
    """Requests that came and are not answered yet."""
    completions: int = 0
    tokens: int = 0
    """Of everything scored, prompts counted with each completion."""
    trimmed: int = 0
    batches: int = 0

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self.requests[path, status] += 1
        buckets = self.seconds.setdefault(path, [0] * (len(BOUNDS) + 1))
        buckets[bisect_left(BOUNDS, seconds)] += 1
        self.total_seconds[path] += seconds

    def text(self, queue: int) -> str:
        """Return all of it in Prometheus' text format, version 0.0.4; `queue` is how many requests wait now."""
        lines = _head("reward_requests_total", "counter", "Requests answered, by path and status.")
        lines += [
            f'reward_requests_total{{path="{path}",status="{status}"}} {count}'
            for (path, status), count in sorted(self.requests.items())
        ]
        lines += _head("reward_request_seconds", "histogram", "Seconds from a request's arrival to its answer.")
        for path, buckets in sorted(self.seconds.items()):
            reached = 0
            for bound, count in zip((*BOUNDS, "+Inf"), buckets, strict=True):
                reached += count
                lines.append(f'reward_request_seconds_bucket{{path="{path}",le="{bound}"}} {reached}')
            lines.append(f'reward_request_seconds_sum{{path="{path}"}} {self.total_seconds[path]:.6f}')
            lines.append(f'reward_request_seconds_count{{path="{path}"}} {reached}')
        for name, kind, what, value in (
            ("reward_completions_total", "counter", "Completions scored.", self.completions),
            ("reward_tokens_total", "counter", "Tokens scored, prompts counted with each completion.", self.tokens),
            ("reward_trimmed_total", "counter", "Completions whose prompt lost its start.", self.trimmed),
            ("reward_batches_total", "counter", "Times the network was asked.", self.batches),
            ("reward_in_progress", "gauge", "Requests that came and are not answered yet.", self.in_progress),
            ("reward_queue", "gauge", "Requests that wait for the network.", queue),
        ):
            lines += [*_head(name, kind, what), f"{name} {value}"]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, what: str) -> list[str]:
    return [f"# HELP {name} {what}", f"# TYPE {name} {kind}"]
