"""MATLAB's imresize: its definition, and Pillow's bicubic filter in the interior as a second opinion."""

import numpy as np
import pytest
from PIL import Image

from pipeline.data.resizing import keys_cubic, resize, resize_matrix


def test_kernel_interpolates():
    np.testing.assert_allclose(keys_cubic(np.array([-2, -1, 0, 1, 2, 3])), [0, 0, 1, 0, 0, 0])
    np.testing.assert_allclose(keys_cubic(np.array([0.5, 1.5])), [0.5625, -0.0625])


@pytest.mark.parametrize(("size", "new_size"), [(105, 28), (10, 7), (5, 5), (4, 9)])
def test_rows_sum_to_one_and_are_symmetric(size, new_size):
    matrix = resize_matrix(size, new_size)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-12)


def test_same_size_is_identity():
    np.testing.assert_allclose(resize_matrix(6, 6), np.eye(6), atol=1e-12)


def test_known_values_of_halving():
    # by hand: the stretched kernel has weight w[k] at distance k + 1/2, and output 1 lies at input 2.5
    w = keys_cubic(np.array([0.25, 0.75, 1.25, 1.75])) / 2
    matrix = resize_matrix(8, 4)
    np.testing.assert_allclose(matrix[1] @ [0, 0, 0, 0, 1, 1, 1, 1], w[1] + w[2] + w[3])
    # output 0 lies at input 0.5 and sees the inputs -1, -2, -3, which are the mirrored 0, 1, 2
    np.testing.assert_allclose(matrix[0, :3], [w[0] + w[1], w[0] + w[2], w[1] + w[3]])


def test_constant_stays_and_values_are_clipped():
    np.testing.assert_allclose(resize(np.full((2, 105, 105), 0.3), 28), 0.3)
    image = (np.indices((105, 105)).sum(axis=0) > 100).astype(float)
    small = resize(image, 28)
    assert small.min() == 0
    assert small.max() == 1


def test_agrees_with_pillow_inside():
    image = np.random.RandomState(0).rand(105, 105).astype(np.float32)
    theirs = np.asarray(Image.fromarray(image).resize((28, 28), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(resize(image, 28)[3:-3, 3:-3], theirs[3:-3, 3:-3], atol=1e-5)
