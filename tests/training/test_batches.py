"""Batches: every image once an epoch, binarization seeded and drawn anew, nothing depending on history."""

import torch

from pipeline.training.batches import Batches

LEVELS = torch.arange(256, dtype=torch.uint8).repeat(40)[:, None, None, None].expand(-1, 1, 2, 2).contiguous()


def test_an_epoch_visits_every_image_once():
    images = torch.arange(20, dtype=torch.uint8)[:, None, None, None]
    batches = Batches(images, False, 5, seed=0)
    epochs = [torch.cat([batches.batch(4 * e + i) for i in range(4)]).flatten().tolist() for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(20))
    assert epochs[0] != epochs[1]


def test_batch_is_a_function_of_seed_and_step():
    one, two, other = (Batches(LEVELS, True, 64, seed) for seed in (3, 3, 4))
    one.batch(200), one.batch(0)
    assert torch.equal(one.batch(7), two.batch(7))
    assert not torch.equal(one.batch(7), other.batch(7))


def test_grey_levels_are_drawn_anew_with_their_probability():
    batches = Batches(LEVELS, True, len(LEVELS), seed=0)
    first, second = batches.batch(0), batches.batch(1)
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert abs(first.mean() - 0.5) < 0.01
    order = batches._order  # of the second epoch, which is one batch
    level = LEVELS[order].float()
    assert second[level == 255].min() == 1
    assert second[level == 0].max() == 0
    middle = second[(level > 100) & (level < 155)]
    assert abs(middle.mean() - 0.5) < 0.03


def test_binary_images_are_left_alone():
    images = (LEVELS > 128).to(torch.uint8)
    assert Batches(images, False, len(images), 0).batch(0).sum() == images.sum()


def test_a_small_set_makes_a_small_batch():
    assert Batches(LEVELS[:5], True, 128, 0).batch(3).shape == (5, 1, 2, 2)
