"""What is minimised under each rule, where the gradient vanishes, and how the weight of the KL moves."""

import pytest
import torch

from pipeline.training.objectives import Objective


def price(objective, kl, weight):
    return objective.price(torch.tensor(kl), weight).item()


def weights(objective, kls):
    """The weights of the first steps, the batches of which have these KLs."""
    sequence = [objective.first_weight]
    for step, kl in enumerate(kls, start=1):
        sequence.append(objective.next_weight(sequence[-1], kl, step))
    return sequence


def test_elbo_is_minus_the_elbo_at_all_times():
    objective = Objective("elbo", target=7.84)
    assert price(objective, 1.5, 1.0) == 1
    assert weights(objective, [0.0, 50.0]) == [1, 1, 1]


@pytest.mark.parametrize("kl", [0.0, 7.8, 7.84, 7.9, 50.0])
def test_free_bits_price_is_the_slope_of_the_clamped_kl(kl):
    objective = Objective("free_bits", target=7.84)
    mean = torch.tensor(kl, requires_grad=True)
    mean.clamp_min(7.84).backward()
    assert price(objective, kl, 1.0) == mean.grad == (kl >= 7.84)
    assert weights(objective, [0.0, 50.0]) == [1, 1, 1]


def test_soft_free_bits_weigh_the_kl():
    for kl in (5.0, 15.0):
        assert price(Objective("soft_free_bits", 10.0), kl, 0.3) == pytest.approx(0.3)


def test_soft_free_bits_fall_below_the_target_rise_above_it_and_rest_between():
    objective = Objective("soft_free_bits", target=10.0)
    assert weights(objective, [9.9, 9.0]) == pytest.approx([1, 0.9, 0.81])
    assert objective.next_weight(0.5, 10.6, 3) == pytest.approx(0.55)
    assert [objective.next_weight(0.5, kl, 3) for kl in (10.0, 10.4, 10.5)] == [0.5, 0.5, 0.5]
    assert weights(objective, [20.0, 20.0]) == [1, 1, 1]
    assert weights(objective, [1.0] * 100)[-1] == pytest.approx(0.01)  # not so low that it takes long to come back


def test_annealing_raises_the_weight_from_zero_to_one_and_holds_it():
    objective = Objective("annealing", annealing_steps=4)
    assert weights(objective, [3.0] * 6) == [0, 0.25, 0.5, 0.75, 1, 1, 1]
    assert price(objective, 5.0, 0.25) == 0.25
