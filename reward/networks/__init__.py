"""Backbones, tokens and batches, attention, features."""
