"""The files of other trainers: how they are written, and read back."""
