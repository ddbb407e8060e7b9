"""Learns a reward from rankings, judges it honestly, and scores with it."""
