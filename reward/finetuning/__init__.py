"""Fine-tuning: training groups, losses, the trainer, checkpoints, and the methods full, LoRA and last layers."""
