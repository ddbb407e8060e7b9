"""Background jobs: asking for them, the queue, the worker, trained runs."""
