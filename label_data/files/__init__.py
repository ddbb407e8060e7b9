"""Read and write the rows of files: within limits, and whole or not at all."""
