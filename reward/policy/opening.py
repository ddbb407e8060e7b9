"""Open a policy from its settings."""

from label_data.settings import PolicySettings
from reward.policy.policies import Policy


def open_policy(settings: PolicySettings) -> Policy:
    """Return the policy described by the settings; raise InputError if its model does not exist."""
    if settings.kind == "openai":
        from reward.policy.server_policy import OpenAIPolicy

        return OpenAIPolicy(settings)
    from reward.policy.local_policy import TransformersPolicy  # imports torch, which only the worker needs

    return TransformersPolicy(settings)
