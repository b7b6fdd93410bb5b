"""Coarse and fine scale: block means, what a decompression keeps of each, and distortion."""

import numpy as np
import pytest
from PIL import Image

from pipeline.evaluation.structure import COARSE_FACTOR, chroma, coarse, contrast, distortion, fine, kept, luma

SHAPES = [(1, 8, 8), (1, 28, 28), (1, 6, 10), (3, 5, 3), (2, 1, 9)]


def digits(count: int, shape: tuple[int, int, int] = (1, 12, 12), seed: int = 0) -> np.ndarray:
    """(count, C, H, W) uint8: a bright middle that all share, blobs and noise that are each image's own."""
    rng = np.random.default_rng(seed)
    shared = np.exp(-(np.linspace(-2, 2, shape[1])[:, None] ** 2) - np.linspace(-2, 2, shape[2]) ** 2)
    blobs = rng.random((count, shape[0], 3, 3)).repeat(-(-shape[1] // 3), 2).repeat(-(-shape[2] // 3), 3)
    ink = shared + 0.5 * blobs[:, :, : shape[1], : shape[2]] - 0.4
    return (rng.random((count, *shape)) < ink).astype(np.uint8)


def repeated(blocks: np.ndarray) -> np.ndarray:
    return blocks.repeat(COARSE_FACTOR, axis=2).repeat(COARSE_FACTOR, axis=3)


def shuffled_within_blocks(images: np.ndarray) -> np.ndarray:
    """(N, 1, H, W) with the 16 pixels of each block in another order: the block means stay."""
    count, _, height, width = images.shape
    blocks = images.reshape(count, height // 4, 4, width // 4, 4).swapaxes(2, 3).reshape(-1, 16)
    blocks = np.random.default_rng(1).permuted(blocks, axis=1)
    return blocks.reshape(count, height // 4, width // 4, 4, 4).swapaxes(2, 3).reshape(images.shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_coarse_is_the_mean_of_each_block(shape: tuple[int, int, int]):
    images = digits(5, shape)
    blocks = coarse(images)
    assert blocks.shape == (5, shape[0], -(-shape[1] // 4), -(-shape[2] // 4))
    for n, c, i, j in np.ndindex(blocks.shape):
        assert blocks[n, c, i, j] == pytest.approx(images[n, c, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].mean())


@pytest.mark.parametrize("shape", SHAPES)
def test_fine_is_what_the_block_means_leave(shape: tuple[int, int, int]):
    images = digits(5, shape)
    rest = fine(images)
    assert rest.shape == images.shape
    assert coarse(rest) == pytest.approx(0, abs=1e-12)
    assert (rest + repeated(coarse(images))[:, :, : shape[1], : shape[2]]) == pytest.approx(images)


def test_values_of_any_type_are_averaged_in_double_precision():
    white = np.full((1, 1, 8, 8), 255, np.uint8)
    assert (coarse(white) == 255).all()
    assert (fine(white) == 0).all()
    for dtype in (np.float32, np.float64, bool):
        assert coarse(digits(3).astype(dtype)).dtype == np.float64
        assert np.array_equal(coarse(digits(3, (1, 6, 10)).astype(dtype)), coarse(digits(3, (1, 6, 10))))


def test_a_perfect_copy_keeps_everything_and_a_negative_is_its_opposite():
    images = digits(40)
    for scale in ("coarse", "fine"):
        for bound in ("", "_low", "_high"):
            assert kept(images, images, seed=0)[f"kept_{scale}{bound}"] == pytest.approx(1)
            assert kept(images, 1 - images, seed=0)[f"kept_{scale}{bound}"] == pytest.approx(-1)


def test_unrelated_images_keep_nothing_although_all_share_their_middle():
    images, others = digits(400, seed=1), digits(400, seed=2)
    assert np.corrcoef(coarse(images).ravel(), coarse(others).ravel())[0, 1] > 0.5
    metrics = kept(images, others, seed=0)
    for scale in ("coarse", "fine"):
        assert metrics[f"kept_{scale}_low"] < 0 < metrics[f"kept_{scale}_high"]
        assert abs(metrics[f"kept_{scale}"]) < 0.05


def test_kept_is_the_correlation_of_what_is_each_images_own():
    images = digits(30)
    copies = np.where(np.random.default_rng(0).random(images.shape) < 0.2, digits(30, seed=9), images)
    metrics = kept(images, copies, seed=0)
    for name, scale in (("coarse", coarse), ("fine", fine)):
        a, b = scale(images), scale(copies)
        a, b = (a - a.mean(0)).ravel(), (b - b.mean(0)).ravel()
        assert metrics[f"kept_{name}"] == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_local_noise_costs_the_fine_scale_alone():
    images = digits(200)
    metrics = kept(images, shuffled_within_blocks(images), seed=0)
    assert metrics["kept_coarse"] == pytest.approx(1)
    assert metrics["kept_fine_high"] < 0.1


def test_other_block_means_cost_the_coarse_scale_alone():
    images = digits(200)
    metrics = kept(images, fine(images) + repeated(coarse(digits(200, seed=3))), seed=0)
    assert metrics["kept_coarse_high"] < 0.2
    assert metrics["kept_fine"] == pytest.approx(1)


@pytest.mark.filterwarnings("error")
def test_decompressions_that_do_not_vary_keep_nothing():
    images = digits(20)
    blurred = kept(images, repeated(coarse(images)), seed=0)
    assert blurred["kept_coarse"] == pytest.approx(1)
    assert (blurred["kept_fine"], blurred["kept_fine_low"], blurred["kept_fine_high"]) == (0, 0, 0)
    assert set(kept(images, np.full(images.shape, 0.3), seed=0).values()) == {0}


def test_the_interval_is_as_wide_as_data_sets_differ():
    """Half the decompressions are of another image, so images count as a whole: pixels drawn singly vary far less."""

    def data_set(seed: int) -> dict[str, float]:
        images, others = digits(60, (1, 8, 8), seed), digits(60, (1, 8, 8), seed + 10_000)
        right = np.random.default_rng(seed).random((60, 1, 1, 1)) < 0.5
        return kept(images, np.where(right, images, others), seed)

    metrics = [data_set(seed) for seed in range(100)]
    for scale in ("kept_coarse", "kept_fine"):
        spread = np.std([m[scale] for m in metrics])
        widths = [m[f"{scale}_high"] - m[f"{scale}_low"] for m in metrics]
        assert np.mean(widths) == pytest.approx(2 * 1.96 * spread, rel=0.2)
        assert all(m[f"{scale}_low"] < m[scale] < m[f"{scale}_high"] for m in metrics)


def test_the_interval_depends_on_the_seed_alone():
    images, copies = digits(50), np.roll(digits(50), 1, axis=3)
    first, again, other = (kept(images, copies, seed) for seed in (0, 0, 1))
    assert first == again
    assert first["kept_fine"] == other["kept_fine"]
    assert first["kept_fine_low"] != other["kept_fine_low"]


def test_distortion_counts_pixels_and_averages_squares_of_block_means():
    originals = digits(2, (1, 8, 8))
    decoded = originals.copy()
    decoded[1, 0, 2, 5] ^= 1
    metrics = distortion(originals, decoded)
    assert metrics == {"pixel_error": pytest.approx(1 / 128), "coarse_rmse": pytest.approx(1 / 16 / 8**0.5)}
    assert distortion(originals, originals) == {"pixel_error": 0, "coarse_rmse": 0}


@pytest.mark.parametrize("compare", [distortion, lambda a, b: kept(a, b, seed=0)])
def test_one_image_is_not_broadcast_to_all(compare):
    with pytest.raises(ValueError, match="compared"):
        compare(digits(5), digits(1))


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """(count, 3, 8, 8) colour images: every 4×4 block a colour of its own."""
    return repeated(np.random.default_rng(seed).integers(40, 200, (count, 3, 2, 2)).astype(float))


def test_luma_and_chroma_are_those_of_jpeg():
    """Against Pillow's YCbCr, which rounds to whole levels and adds 128 to the chroma planes."""
    images = pictures(4).astype(np.uint8)
    theirs = np.stack([np.asarray(Image.fromarray(i.transpose(1, 2, 0)).convert("YCbCr")) for i in images])
    ours = np.concatenate([luma(images.astype(float)), chroma(images.astype(float)) + 128], axis=1)
    assert np.abs(ours - theirs.transpose(0, 3, 1, 2)).max() <= 1


def test_gray_has_no_chroma():
    gray = np.repeat(pictures(3)[:, :1], 3, axis=1)
    assert np.allclose(chroma(gray), 0, atol=1e-10)
    assert np.allclose(luma(gray), gray[:, :1])


def test_contrast_is_the_standard_deviation_of_each_block():
    images = np.random.default_rng(5).random((3, 1, 10, 8))
    found = contrast(images)
    assert found.shape == (3, 1, 3, 2)
    assert found[2, 0, 1, 0] == pytest.approx(images[2, 0, 4:8, :4].std())
    assert found[1, 0, 2, 1] == pytest.approx(images[1, 0, 8:, 4:].std())


def test_contrast_is_kept_where_levels_and_patterns_are_not():
    rng = np.random.default_rng(6)
    strength = rng.random((300, 1, 8, 8)).repeat(4, 2).repeat(4, 3)
    level, other = rng.random((2, 300, 1, 8, 8)).repeat(4, 3).repeat(4, 4)
    pattern, redrawn = rng.choice([-1.0, 1.0], (2, 300, 1, 32, 32))
    originals, copies = (
        np.repeat(low + strength * drawn, 3, axis=1) for low, drawn in ((level, pattern), (other, redrawn))
    )
    metrics = kept(originals, copies, seed=0)
    assert metrics["kept_contrast_low"] > 0.9
    assert abs(metrics["kept_coarse"]) < 0.1
    assert abs(metrics["kept_fine"]) < 0.1
    assert "kept_contrast" not in kept(originals[:, :1], copies[:, :1], seed=0)
    other_strength = rng.random((300, 1, 8, 8)).repeat(4, 2).repeat(4, 3)
    metrics = kept(originals, np.repeat(level + other_strength * pattern, 3, axis=1), seed=0)
    assert metrics["kept_coarse_low"] > 0.8
    assert metrics["kept_fine_low"] > 0.5
    assert abs(metrics["kept_contrast"]) < 0.1


def test_colour_is_kept_apart_from_structure():
    """Other images' colours on the same luma keep the structure and no colour; and the other way round."""
    originals, others = pictures(300), pictures(300, seed=1)
    recoloured = others + (luma(originals) - luma(others))
    metrics = kept(originals, recoloured, seed=0)
    assert metrics["kept_coarse"] == pytest.approx(1)
    assert abs(metrics["kept_color"]) < 0.05
    regrayed = originals + (luma(others) - luma(originals))
    metrics = kept(originals, regrayed, seed=0)
    assert metrics["kept_color"] == pytest.approx(1)
    assert abs(metrics["kept_coarse"]) < 0.06
    assert "kept_color" not in kept(originals[:, :1], originals[:, :1], seed=0)
