"""Compound scaling: one exponent enlarges depth, width and patch together.

Tan and Le (EfficientNet, arXiv 1905.11946, equation 3) scale depth by alpha^phi, width by beta^phi
and resolution by gamma^phi. A convolution of C channels into C channels on an image of edge R costs
C^2 R^2 multiply-adds in 2D, so that they require alpha * beta^2 * gamma^2 = 2: every step of phi
doubles the cost. In 3D the image has R^3 voxels, and the constraint becomes
alpha * beta^2 * gamma^3 = 2. This module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from segkit.errors import UsageError
from segkit.studies.scaling.settings import ALPHA, BETA


@dataclass(frozen=True)
class Factors:
    """Factors of depth, width and edges of the patch, relative to a first network."""

    depth: float = 1.0
    width: float = 1.0
    patch: float = 1.0


@dataclass(frozen=True)
class Exponents:
    """Bases of the three axes."""

    alpha: float
    """Base of the depth."""
    beta: float
    """Base of the width."""
    gamma: float
    """Base of the edges of the patch."""

    def factors(self, phi: float) -> Factors:
        """Return the factors of depth, width and patch of an exponent."""
        return Factors(self.alpha**phi, self.beta**phi, self.gamma**phi)

    def growth(self, dims: int) -> float:
        """Return by what one step of phi multiplies the multiply-adds.

        >>> Exponents(1.0, 1.0, 2.0).growth(3), Exponents(2.0, 1.0, 1.0).growth(3)
        (8.0, 2.0)
        """
        return self.alpha * self.beta**2 * self.gamma**dims


def exponents(dims: int, alpha: float = ALPHA, beta: float = BETA) -> Exponents:
    """Return the bases with the gamma for which every step of phi doubles the multiply-adds.

    >>> round(exponents(3).gamma, 4), round(exponents(2).gamma, 4)
    (1.1126, 1.1736)

    Args:
        dims: 2 or 3.
        alpha: base of the depth.
        beta: base of the width.

    Raises:
        UsageError: depth and width alone more than double the cost.
    """
    rest = 2 / (alpha * beta**2)
    if rest < 1:
        raise UsageError(
            f"study.alpha={alpha:g} and study.beta={beta:g} multiply the cost by "
            f"{alpha * beta**2:.3g} (alpha * beta^2), and a step may only double it: give less"
        )
    return Exponents(alpha, beta, rest ** (1 / dims))
