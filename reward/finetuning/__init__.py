"""Fine-tuning: losses, trainer, checkpoints, and the methods LoRA, full and last layers."""
