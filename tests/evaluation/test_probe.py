"""The linear probe: what it can read, what it cannot, and that it never looks at the test set to learn."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.evaluation import probe
from pipeline.evaluation.probe import linear_probe, majority_accuracy, probe_report

CLASSES = 4


def noise(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def labels(count: int, seed: int, classes: int = CLASSES) -> Tensor:
    return torch.randint(classes, (count,), generator=torch.Generator().manual_seed(seed))


def separable(classes: Tensor, seed: int) -> Tensor:
    """Features (N, 6) in tight, distant clusters, one a class, in units of 1,000."""
    centres = 5 * noise(CLASSES, 6, seed=0)
    return 1000 * (centres[classes] + 0.1 * noise(len(classes), 6, seed=seed))


def test_separable_classes_are_all_right():
    train, test = labels(200, 1), labels(100, 2)
    assert linear_probe(separable(train, 3), train, separable(test, 4), test, seed=0) == 1


def test_labels_need_not_count_from_zero():
    train, test = labels(200, 1), labels(100, 2)
    assert linear_probe(separable(train, 3), 7 * train - 5, separable(test, 4), 7 * test - 5, seed=0) == 1


def test_features_without_the_class_do_no_better_than_the_majority():
    train, test = (torch.where(noise(n, seed=n) > -0.8, 0, labels(n, 1)) for n in (600, 3000))
    accuracy = linear_probe(noise(600, 10, seed=3), train, noise(3000, 10, seed=4), test, seed=0)
    assert 0.8 < majority_accuracy(train, test) < 0.9
    assert accuracy == pytest.approx(majority_accuracy(train, test), abs=0.02)


def test_the_class_of_a_circle_is_not_linear():
    train, test = noise(600, 2, seed=1), noise(600, 2, seed=2)
    inside = [(points.norm(dim=1) < 1.18).long() for points in (train, test)]
    assert linear_probe(train, inside[0], test, inside[1], seed=0) < 0.65


def test_one_small_scale_does_not_hide_a_feature():
    train, test = labels(300, 1), labels(300, 2)
    scale = torch.tensor([1e-4, 1e4, 1e4, 1e4])
    features = [torch.cat([c[:, None] % 2 + 0.1 * noise(300, 1, seed=s), noise(300, 3, seed=s + 2)], 1) * scale
                for c, s in ((train, 3), (test, 4))]  # fmt: skip
    assert linear_probe(features[0], train % 2, features[1], test % 2, seed=0) > 0.97


def many_weak_features(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """200 features that each say a little: the more the weights may grow, the more noise they learn."""
    classes = torch.arange(count) % 2
    return noise(count, 200, seed=seed) + 0.07 * (2 * classes[:, None] - 1), classes


def nearly_equal_features(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two features whose small difference is the class: only large weights see it."""
    classes = torch.arange(count) % 2
    return noise(count, 1, seed=seed) + torch.stack([0.05 * classes, -0.05 * classes], 1), classes


@pytest.mark.parametrize(("problem", "best"), [(many_weak_features, "strong"), (nearly_equal_features, "weak")])
def test_the_penalty_fits_the_problem(monkeypatch, problem, best):
    train, test = problem(300, 1), problem(2000, 2)
    chosen = linear_probe(*train, *test, seed=0)
    alone = []
    for c in probe.L2:
        monkeypatch.setattr(probe, "L2", (c,))
        alone.append(linear_probe(*train, *test, seed=0))
    strongest, weakest = alone[0], alone[-1]
    assert abs(strongest - weakest) > 0.03, "every penalty would have done"
    assert (strongest > weakest) == (best == "strong")
    assert chosen >= max(alone) - 0.015


def test_neither_the_test_labels_nor_the_other_test_images_change_a_prediction():
    train, test = labels(200, 1), labels(300, 2)
    features, others = noise(200, 8, seed=3) + train[:, None] / 3, noise(300, 8, seed=4) + test[:, None] / 3
    shares = [linear_probe(features, train, others, torch.full_like(test, k), seed=0) for k in range(CLASSES)]
    assert sum(shares) == pytest.approx(1)
    assert sorted(shares)[-2] > 0.1, "one class only would prove nothing"
    shifted = torch.cat([others, 50 + 9 * others])
    halves = [linear_probe(features, train, half, test, seed=0) for half in shifted.chunk(2)]
    assert linear_probe(features, train, shifted, test.repeat(2), seed=0) == pytest.approx(np.mean(halves))


def test_a_class_never_trained_on_is_wrong():
    train, test = labels(200, 1), labels(100, 2)
    unseen = torch.where(torch.arange(100) < 30, 99, test)
    assert linear_probe(separable(train, 3), train, separable(test, 4), unseen, seed=0) == pytest.approx(0.7)


def test_the_majority_is_that_of_the_training_images():
    assert majority_accuracy(torch.tensor([5, 5, 1]), torch.tensor([5, 1, 1, 99])) == 0.25


def test_majority_of_equals_is_the_smallest():
    assert majority_accuracy(torch.tensor([3, 2, 2, 3, 1]), torch.tensor([2, 2, 2, 3])) == 0.75


@pytest.mark.parametrize("classes", [2, 9])
def test_a_fifth_of_each_class_is_held_out_and_every_class_stays(classes):
    members = np.concatenate([np.repeat(np.arange(classes), 50), [50], [51, 51]])
    held = probe._held_out(members, np.random.default_rng(0))
    assert np.bincount(members[held]).tolist() == [10] * classes + [0] * (50 - classes) + [0, 1]
    assert set(members[~held]) == set(members)
    assert not np.array_equal(held, probe._held_out(members, np.random.default_rng(1)))


def test_a_class_of_one_image_does_not_stop_the_probe():
    train, test = torch.cat([torch.zeros(9), torch.ones(1)]).long(), torch.zeros(5).long()
    for seed in range(10):
        assert 0 <= linear_probe(noise(10, 3, seed=1), train, noise(5, 3, seed=2), test, seed) <= 1


def report_inputs(count: int = 300) -> tuple[Tensor, ...]:
    """Codes that hold the class and images that do not, for training and test."""
    train, test = labels(count, 1), labels(120, 2)
    images = [(noise(len(c), 1, 5, 5, seed=s) > 0).float() for c, s in ((train, 5), (test, 6))]
    return separable(train, 3), images[0], train, separable(test, 4), images[1], test


def test_the_report_compares_code_pixels_and_majority():
    report = probe_report(*report_inputs(), seed=0)
    assert report["probe_z"] == 1
    assert report["probe_pixels"] < 0.45
    assert report["probe_majority"] < 0.45
    assert [report[f"probe_{name}"] for name in ("classes", "train_images", "test_images")] == [CLASSES, 300, 120]
    assert len(report) == 6
    assert report == probe_report(*report_inputs(), seed=0)
    assert report == probe_report(*(part.numpy() for part in report_inputs()), seed=0)


def test_the_report_pairs_codes_and_pixels_with_labels():
    z, _, train, test_z, _, test = report_inputs()
    report = probe_report(z, z.view(-1, 1, 2, 3), train, test_z, test_z.view(-1, 1, 2, 3), test, seed=0)
    assert report["probe_z"] == report["probe_pixels"] == 1
    assert (report["probe_train_images"], report["probe_test_images"]) == (300, 120)


@pytest.mark.parametrize("classes", [1, 129])
def test_no_report_for_one_class_or_too_many(classes):
    z, images, _, *test = report_inputs()
    assert probe_report(z, images, torch.arange(300) % classes, *test, seed=0) == {}


def test_a_report_on_unequal_numbers_is_refused():
    z, images, train, *test = report_inputs()
    with pytest.raises(ValueError, match="301 codes, 300 images and 300 labels"):
        probe_report(torch.cat([z, z[:1]]), images, train, *test, seed=0)


def test_early_stopping_is_silent(monkeypatch):
    monkeypatch.setattr(probe, "ITERATIONS", 1)
    train, test = labels(200, 1), labels(100, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear_probe(noise(200, 6, seed=3), train, noise(100, 6, seed=4), test, seed=0)
