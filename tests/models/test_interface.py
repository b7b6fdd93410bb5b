"""What the public methods refuse, by name and before any work, and that what stands behind them is the same."""

import pytest
import torch
from conftest import COLOR_VLAE, PIXELCNN, VAE, VLAE, binary_images, color_images

from pipeline import build_model
from pipeline.schema import ParamError

COLOR_PIXELCNN = COLOR_VLAE | {"posterior": "none", "prior": "none"}
BINARY, COLOR = (1, 8, 8), (3, 8, 8)
MODELS = [(VAE, BINARY), (VLAE, BINARY), (PIXELCNN, BINARY), (COLOR_VLAE, COLOR), (COLOR_PIXELCNN, COLOR)]
OF_IMAGES = ("log_prob", "elbo", "loss", "encode")


def model_and_images(block, shape):
    return build_model(block, shape), (color_images if shape[0] == 3 else binary_images)(4, shape)


def methods(model):
    return [getattr(model, name) for name in OF_IMAGES if hasattr(model, name)]


WRONG_IMAGES = {
    "scaled to −1 … 1": (lambda x: x / x.max() * 2 - 1, "must hold"),
    "scaled to 0 … 1": (lambda x: x / x.max() * 0.9, "must hold"),
    "levels above": (lambda x: x * 2 + 254, "must hold"),
    "NaN": (lambda x: torch.full_like(x, torch.nan), "images hold nan: must hold"),
    "one infinite value": (lambda x: x.index_fill(0, torch.tensor([3]), torch.inf), "images hold inf: must hold"),
    "bytes": (lambda x: x.to(torch.uint8), "images are torch.uint8: must be torch.float32"),
    "booleans": (lambda x: x > 0, "images are torch.bool: must be torch.float32"),
    "double": (lambda x: x.double(), "images are torch.float64: must be torch.float32"),
    "numpy": (lambda x: x.numpy(), "images are of type ndarray: must be a torch tensor"),
    "another device": (lambda x: x.to("meta"), "images are on meta: must be on cpu"),
    "one image without a batch": (lambda x: x[0], r"must be \(B, "),
    "channels last": (lambda x: x.permute(0, 2, 3, 1), r"must be \(B, "),
    "another size": (lambda x: x[..., :-1], r"of shape \(4, .*\): must be \(B, "),
    "no image": (lambda x: x[:0], "B at least 1"),
}


@pytest.mark.parametrize(("block", "shape"), MODELS)
@pytest.mark.parametrize("wrong", WRONG_IMAGES)
def test_every_method_says_what_images_it_wants(block, shape, wrong):
    model, x = model_and_images(block, shape)
    change, message = WRONG_IMAGES[wrong]
    for method in methods(model):
        with pytest.raises(ValueError, match=message):
            method(change(x))


def test_images_of_0_to_255_are_not_taken_for_binary_ones():
    model, x = model_and_images(VLAE, BINARY)
    with pytest.raises(ValueError, match="images hold 255: must hold 0 and 1 alone"):
        model.log_prob(255 * x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z: z[0], r"latents are of shape \(3,\): must be \(B, 3\)"),
        (lambda z: z[:0], "B at least 1"),
        (lambda z: torch.zeros(64), r"latents are of shape \(64,\)"),
        (lambda z: z[:, :2], r"must be \(B, "),
        (lambda z: z * torch.nan, "not finite"),
        (lambda z: z.double(), "latents are torch.float64: must be torch.float32"),
        (lambda z: z.tolist(), "latents are of type list"),
    ],
)
def test_decompress_says_what_codes_it_wants(change, message):
    model = build_model(VLAE, BINARY)
    with pytest.raises(ValueError, match=message):
        model.decompress(change(torch.zeros(4, 3)))


@pytest.mark.parametrize(("block", "shape"), MODELS)
@pytest.mark.parametrize("count", [0, -1, 2.0, True, "3", None])
def test_counts_are_positive_integers(block, shape, count):
    model, x = model_and_images(block, shape)
    with pytest.raises(ValueError, match=r"n = .*: must be an integer, at least 1"):
        model.sample(count)
    with pytest.raises(ValueError, match=r"importance_samples = .*: must be an integer, at least 1"):
        model.log_prob(x, count)


@pytest.mark.parametrize(("block", "shape"), MODELS)
def test_a_seed_is_no_generator(block, shape):
    model, x = model_and_images(block, shape)
    for method in methods(model):
        with pytest.raises(ValueError, match=r"rng = 7: must be a torch\.Generator"):
            method(x, rng=7)
    with pytest.raises(ValueError, match=r"rng = 7: must be a torch\.Generator"):
        model.sample(2, 7)


@pytest.mark.parametrize(
    "shape", [(28, 28, 1), (28, 28), (28, 28, 28), (1, 0, 28), (1, 28, -1), (1, 28.0, 28), (3, 28, 28), (), "128"]
)
def test_a_model_says_what_image_shape_it_wants(shape):
    with pytest.raises(ParamError, match=r"image_shape = .*: must be \(1, height, width\)"):
        build_model(VAE, shape)


@pytest.mark.parametrize(("block", "shape"), MODELS)
def test_elbo_is_minus_the_loss_at_the_same_noise(block, shape):
    model, x = model_and_images(block, shape)
    elbo = model.elbo(x, torch.Generator().manual_seed(1))
    loss = model.loss(x, torch.Generator().manual_seed(1))
    assert elbo.shape == (4,)
    assert torch.allclose(elbo, -loss["reconstruction"] - loss["kl"], rtol=1e-4)


@pytest.mark.parametrize(("block", "shape"), MODELS)
def test_many_images_pass_in_portions_with_the_same_result(block, shape):
    model, x = model_and_images(block, shape)

    def results(rows):
        model.rows_at_once = rows
        rng = torch.Generator().manual_seed(2)
        drawn = [model.sample(5, rng), model.log_prob(x, 3, torch.Generator().manual_seed(3))]
        if hasattr(model, "encode"):
            drawn.append(model.encode(x, rng))
            drawn.append(model.decompress(torch.ones(5, model.latent_dim), rng))
        return drawn

    many, few = results(1000), results(2)
    assert torch.equal(many[0], few[0])
    assert all(torch.allclose(*pair, atol=1e-3) for pair in zip(many[2:], few[2:], strict=True))
    if not hasattr(model, "encode"):  # else the noise is drawn in portions, too
        assert torch.allclose(many[1], few[1], rtol=1e-5)


@pytest.mark.parametrize(("block", "channels"), [(VLAE, 1), (COLOR_VLAE, 3)])
def test_the_working_set_is_bounded_by_bytes_whatever_the_size_of_the_images(block, channels):
    rows = [build_model(block, (channels, side, side)).rows_at_once for side in (8, 256, 512)]
    assert rows[0] == {1: 1024, 3: 64}[channels]
    assert rows[1] > rows[2] >= 1
