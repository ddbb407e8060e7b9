"""Policies, the models that write completions, and the sampler that asks them for completions of waiting prompts."""

from reward.policy.opening import open_policy
from reward.policy.policies import Policy, PolicyError, Refused, Request
from reward.policy.sampler import Sampled, sample_batch

__all__ = ["Policy", "PolicyError", "Refused", "Request", "Sampled", "open_policy", "sample_batch"]
