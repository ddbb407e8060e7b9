"""The uncertainty of a linear head's rewards: saved in the model's folder, computed by `reward.head.covariance`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from reward.file_names import UNCERTAINTY_FILE


@dataclass(frozen=True, slots=True, eq=False)
class Uncertainty:
    """The uncertainty of a head's weights, in the form in which rewards need it."""

    origin: NDArray[np.float32]
    """Mean feature vector of the training completions, shape (width,). Rewards are determined only up to a constant, so
    a deviation refers to the difference between a reward and the reward of this vector."""
    factor: NDArray[np.float32]
    """F with covariance = F^T F, shape (at most width, width)."""

    def deviations(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the standard deviations of the rewards of feature vectors, relative to the origin.

        sqrt((f - origin)^T covariance (f - origin)): shape (completions, width) to (completions,), in log-odds.
        """
        return self.margin_deviations(features - self.origin)

    def margin_deviations(self, differences: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the standard deviations of margins, from differences of features, shape (comparisons, width)."""
        return np.asarray(np.linalg.norm(differences @ self.factor.T, axis=-1))

    def save(self, folder: Path) -> None:
        """Write the uncertainty into the folder of a model."""
        path = folder / UNCERTAINTY_FILE
        path.parent.mkdir(exist_ok=True)
        save_file({"origin": self.origin, "factor": self.factor}, path)

    @classmethod
    def load(cls, folder: Path) -> "Uncertainty | None":
        """Return the uncertainty that `save` wrote into the folder of a model, or None if there is none."""
        path = folder / UNCERTAINTY_FILE
        return cls(**load_file(path)) if path.is_file() else None
