"""Open a policy from its settings."""

from label_data.settings import PolicySettings
from reward.policy.policies import Policy


def open_policy(settings: PolicySettings) -> Policy:
    """Return the policy of these settings. Raises InputError if there is no such model."""
    if settings.kind == "openai":
        from reward.policy.server_policy import OpenAIPolicy

        return OpenAIPolicy(settings)
    from reward.policy.local_policy import TransformersPolicy  # loads torch: the worker's alone

    return TransformersPolicy(settings)
