"""The linear head on a frozen backbone: fitting, training, suspect rankings."""
