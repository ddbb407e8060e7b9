"""Policies, and the sampler that asks them for completions of waiting prompts."""

from reward.policy.policies import Policy, PolicyError, Refused, Request, open_policy
from reward.policy.sampler import Sampled, sample_batch

__all__ = ["Policy", "PolicyError", "Refused", "Request", "Sampled", "open_policy", "sample_batch"]
