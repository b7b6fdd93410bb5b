"""What is minimised under each rule, where the gradient vanishes, and how the weight of the KL moves."""

import pytest
import torch

from pipeline.training.objectives import Objective


def loss_and_gradient(objective, kl, weight):
    parts = {"reconstruction": torch.tensor([80.0, 90.0]), "kl": torch.tensor(kl, requires_grad=True)}
    loss = objective.loss(parts, weight)
    loss.backward()
    return loss.item(), parts["kl"].grad.tolist()


def weights(objective, kls):
    """The weights of the first steps, the batches of which have these KLs."""
    sequence = [objective.first_weight]
    for step, kl in enumerate(kls, start=1):
        sequence.append(objective.next_weight(sequence[-1], kl, step))
    return sequence


def test_elbo_is_minus_the_elbo_at_all_times():
    objective = Objective("elbo", target=7.84)
    assert loss_and_gradient(objective, [1.0, 2.0], 1.0) == (85 + 1.5, [0.5, 0.5])
    assert weights(objective, [0.0, 50.0]) == [1, 1, 1]


@pytest.mark.parametrize(("kl", "expected", "gradient"), [([5.0, 7.0], 85 + 7.84, 0.0), ([7.0, 11.0], 85 + 9.0, 0.5)])
def test_free_bits_clamps_the_batch_mean(kl, expected, gradient):
    objective = Objective("free_bits", target=7.84)
    assert loss_and_gradient(objective, kl, 1.0) == (pytest.approx(expected), [gradient, gradient])
    assert weights(objective, [0.0, 50.0]) == [1, 1, 1]


def test_soft_free_bits_weigh_the_kl():
    loss, gradient = loss_and_gradient(Objective("soft_free_bits", 10.0), [4.0, 6.0], 0.3)
    assert [loss, *gradient] == pytest.approx([86.5, 0.15, 0.15])


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
    assert loss_and_gradient(objective, [4.0, 6.0], 0.25) == (pytest.approx(85 + 1.25), [0.125, 0.125])
