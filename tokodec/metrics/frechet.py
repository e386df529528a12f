"""FID and KID: how far the features of decoded pictures lie from those of the originals, as two clouds.

Sources: Heusel et al., "GANs trained by a two time-scale update rule", NeurIPS 2017 (FID); Binkowski et al., "Demystifying MMD GANs",
ICLR 2018 (KID).
"""

import numpy as np
from jaxtyping import Float

Features = Float[np.ndarray, "n d"]


def fid(a: Features, b: Features) -> float:
    """Squared distance of the two Gaussians that fit best, at least two features each. Biased: larger for fewer pictures.

    The trace of the root of the covariances' product is the nuclear norm of the product of their factors, so nothing of d x d is
    ever built for fewer than d pictures.
    """
    means = np.square(a.mean(0, dtype=np.float64) - b.mean(0, dtype=np.float64)).sum()
    one, other = _factor(a), _factor(b)
    shared = np.linalg.svd(one @ other.T, compute_uv=False).sum()
    return max(float(means + np.square(one).sum() + np.square(other).sum() - 2 * shared), 0.0)


def kid(a: Features, b: Features) -> float:
    """Squared maximum mean discrepancy under the kernel (x y / d + 1)^3, unbiased, over all pictures at once: may be below 0."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(_within(a) + _within(b) - 2 * _kernel(a, b).mean())


def _factor(x: Features) -> Float[np.ndarray, "m d"]:
    """F with F' F the covariance, of at most d rows."""
    centred = (x - x.mean(0, dtype=np.float64)) / np.sqrt(len(x) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r")) if len(x) > x.shape[1] else centred


def _kernel(a: Features, b: Features) -> Float[np.ndarray, "n m"]:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _within(x: Features) -> float:
    """Mean over pairs of different pictures."""
    kernel = _kernel(x, x)
    return float((kernel.sum() - np.trace(kernel)) / (len(x) * (len(x) - 1)))
