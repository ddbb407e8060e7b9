"""Read and write the store: projects, annotators, prompts, rankings, jobs."""
