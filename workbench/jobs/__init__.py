"""Background jobs: pages request them, a worker executes them, and pages show their progress."""
