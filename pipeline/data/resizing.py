"""MATLAB's `imresize`, which made the 28x28 OMNIGLOT images: bicubic interpolation with antialiasing.

Written out because the libraries' bicubic filters differ in what they do at the edges.
"""

from functools import cache

import numpy as np


def keys_cubic(x: np.ndarray) -> np.ndarray:
    """The cubic convolution kernel with a = -1/2 (Keys 1981, equation 15); support [-2, 2]."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


@cache
def resize_matrix(size: int, new_size: int) -> np.ndarray:
    """The weights (new_size, size) of a bicubic resize along one axis; every row sums to 1.

    When shrinking, the kernel is stretched by size / new_size so that it averages instead of skipping pixels.
    Positions outside the image are mirrored at its edge, the edge pixel included.
    """
    scale = new_size / size
    shrink = min(scale, 1.0)
    reach = 2 / shrink
    centers = (np.arange(new_size) + 0.5) / scale - 0.5
    positions = np.floor(centers - reach)[:, None] + np.arange(int(np.ceil(2 * reach)) + 2)
    weights = keys_cubic(shrink * (centers[:, None] - positions))
    weights /= weights.sum(axis=1, keepdims=True)
    folded = positions.astype(int) % (2 * size)
    folded = np.where(folded < size, folded, 2 * size - 1 - folded)
    matrix = np.zeros((new_size, size))
    np.add.at(matrix, (np.arange(new_size)[:, None], folded), weights)
    return matrix


def resize(images: np.ndarray, new_size: int) -> np.ndarray:
    """Square images (..., H, H) of values in [0, 1] to (..., new_size, new_size), clipped to [0, 1] again."""
    matrix = resize_matrix(images.shape[-1], new_size)
    return np.clip(matrix @ images.astype(np.float64) @ matrix.T, 0, 1)
