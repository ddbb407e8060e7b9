"""How far a linear head's rewards may be off: kept in the model's folder, computed by `reward.head.covariance`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from reward.file_names import UNCERTAINTY_FILE


@dataclass(frozen=True, slots=True, eq=False)
class Uncertainty:
    """What is known of how far a head's weights may be off, as far as rewards need it."""

    origin: np.ndarray
    """Mean feature vector of the training completions, shape (width,), float32: the deviation of a reward is that of
    its distance from the reward of this vector, since rewards are only told up to a constant."""
    factor: np.ndarray
    """F with covariance = F^T F, shape (at most width, width), float32."""

    def deviations(self, features: np.ndarray) -> np.ndarray:
        """Return the standard deviations of the rewards of feature vectors, less that of the origin.

        sqrt((f - origin)^T covariance (f - origin)): shape (completions, width) to (completions,), in log-odds.
        """
        return self.margin_deviations(features - self.origin)

    def margin_deviations(self, differences: np.ndarray) -> np.ndarray:
        """Return the standard deviations of margins, from differences of features, shape (comparisons, width)."""
        return np.linalg.norm(differences @ self.factor.T, axis=-1)

    def save(self, folder: Path) -> None:
        """Write it into a model's folder."""
        path = folder / UNCERTAINTY_FILE
        path.parent.mkdir(exist_ok=True)
        save_file({"origin": self.origin, "factor": self.factor}, path)

    @classmethod
    def load(cls, folder: Path) -> "Uncertainty | None":
        """Return what `save` wrote into a model's folder, or None for a model that has none."""
        path = folder / UNCERTAINTY_FILE
        return cls(**load_file(path)) if path.is_file() else None
