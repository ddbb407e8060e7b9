"""How sure a linear head is of its rewards: a normal distribution over its weights, and from it standard deviations.

The penalty of the fit is a normal prior of the weights. Near its maximum the posterior is about normal too (Laplace's
approximation), and with every comparison's difference of features d, its weight (those of a ranking sum to 1), and the
probability p that the fit gives to the choice that was made,

    covariance = (sum of weight p (1 - p) d d^T + penalty)^-1

Source: MacKay 1992, Neural Computation 4, "The evidence framework applied to classification networks", section 2; for
the last layer of a network Kristiadi et al. 2020, arXiv:2002.10118, section 3.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.linalg import cholesky, solve_triangular
from scipy.special import expit

from reward.head import Head, feature_scale

POSTERIOR_FILE = Path("uncertainty", "posterior.safetensors")
"""Inside a model's folder. In a folder of its own: some servers load every safetensors file beside the settings."""


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """What is known of a head's weights, as far as rewards need it."""

    origin: np.ndarray
    """Mean feature vector of the training completions, shape (width,), float32: the deviation of a reward is that of
    its distance from the reward of this vector, since rewards are only told up to a constant."""
    factor: np.ndarray
    """F with covariance = F^T F, shape (width, width), float32."""

    def deviations(self, features: np.ndarray) -> np.ndarray:
        """Return the standard deviations of the rewards of feature vectors, less that of the origin.

        sqrt((f - origin)^T covariance (f - origin)): shape (completions, width) to (completions,), in log-odds. It is
        large where a completion differs from those that were compared in ways that the comparisons say little about.
        """
        return np.linalg.norm((features - self.origin) @ self.factor.T, axis=-1)

    def margin_deviations(self, differences: np.ndarray) -> np.ndarray:
        """Return the standard deviations of margins, from differences of features, shape (comparisons, width)."""
        return np.linalg.norm(differences @ self.factor.T, axis=-1)

    def save(self, folder: Path) -> None:
        """Write it into a model's folder."""
        path = folder / POSTERIOR_FILE
        path.parent.mkdir(exist_ok=True)
        save_file({"origin": self.origin, "factor": self.factor}, path)

    @classmethod
    def load(cls, folder: Path) -> "Posterior | None":
        """Return what `save` wrote into a model's folder, or None for a model that has none."""
        path = folder / POSTERIOR_FILE
        return cls(**load_file(path)) if path.is_file() else None


def laplace(differences: np.ndarray, weights: np.ndarray, head: Head, origin: np.ndarray) -> Posterior:
    """Return the posterior of a head that `fit_weights` fitted on these differences with its C.

    That minimises C sum_i weight_i log(1 + exp(-w · z_i)) + |w|² / 2, where z is the difference with every feature
    divided by its root mean square: divided by C, the negative logarithm of a posterior with the prior N(0, C I). So
    in standardised features the precision is sum_i weight_i p_i (1 - p_i) z_i z_i^T + I / C. A feature in which no two
    compared completions differ has weight 0 for certain.

    Args:
        differences: features of the chosen less those of the rejected, shape (comparisons, width).
        weights: shape (comparisons,).
        origin: mean feature vector of the training completions, shape (width,).
    """
    differences = np.asarray(differences, dtype=np.float64)
    scale = feature_scale(differences, weights)
    probability = expit(differences @ head.weights)
    rows = differences * scale * np.sqrt(weights * probability * (1 - probability))[:, None]
    precision = rows.T @ rows + np.eye(len(scale)) / head.regularisation
    factor = solve_triangular(cholesky(precision, lower=True), np.diag(scale), lower=True)
    return Posterior(np.asarray(origin, dtype=np.float32), factor.astype(np.float32))
