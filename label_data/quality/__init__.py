"""How far rankings can be trusted: agreement, reliability, bias, effort, suspect rankings."""
