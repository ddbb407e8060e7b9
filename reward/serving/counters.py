"""The server's metrics, in Prometheus' text format."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histogram's buckets, in seconds."""

# The extra series _created are not wanted. The library gives this function no types.
disable_created_metrics()  # type: ignore[no-untyped-call]


class ServingMetrics:
    """Metrics since the start of the server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        requests, seconds = "Requests answered, by path and status.", "Seconds from a request's arrival to its answer."
        self._requests = Counter("reward_requests", requests, ("path", "status"), registry=self._registry)
        self._seconds = Histogram(
            "reward_request_seconds", seconds, ("path",), buckets=BUCKETS, registry=self._registry
        )
        self.completions = self._counter("reward_completions", "Completions scored.")
        self.tokens = self._counter("reward_tokens", "Tokens scored, prompts counted with each completion.")
        self.trimmed = self._counter("reward_trimmed", "Completions whose prompt was truncated.")
        self.batches = self._counter("reward_batches", "Batches that the network scored.")
        self.in_progress = Gauge("reward_in_progress", "Requests not answered yet.", registry=self._registry)
        self._queue = Gauge("reward_queue", "Requests waiting for the network.", registry=self._registry)

    def _counter(self, name: str, documentation: str) -> Counter:
        return Counter(name, documentation, registry=self._registry)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self, queue: int) -> bytes:
        """Return all metrics in Prometheus' text format, version 0.0.4; `queue` is how many requests wait now."""
        self._queue.set(queue)
        return generate_latest(self._registry)
