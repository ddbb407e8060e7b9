"""Load backbones, turn texts into batches of tokens, and compute features and rewards with them."""
