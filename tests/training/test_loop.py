"""The loop learns, stops at its time limit, resumes to the same bits, and refuses a diverged loss."""

import dataclasses
import itertools

import pytest
import torch
from conftest import COLOR_VLAE, PIXELCNN, VLAE, binary_images, color_images

from pipeline import build_model
from pipeline.training.batches import Batches
from pipeline.training.loop import Earlier, Plan, train, validate
from pipeline.training.objectives import Objective

SHAPE = (1, 6, 6)
PLAN = Plan(
    steps=12, learning_rate=0.01, decay_fraction=0.5, polyak=0.9, objective=Objective("free_bits", 1.0), bfloat16=False,
    validate_every=4, seed=0, shards=1, checkpoint_seconds=1e9,
)  # fmt: skip


def run(plan, path, block=VLAE, earlier=None):
    images = (binary_images(64, SHAPE) * 255).to(torch.uint8)
    return train(
        build_model(block, SHAPE), Batches(images, True, 16, plan.seed), binary_images(8, SHAPE, 1), plan, path, earlier
    )


def weights(state):
    return torch.cat([value.flatten() for value in state.averaged.state_dict().values()])


def test_training_lowers_the_bound(tmp_path):
    history = run(dataclasses.replace(PLAN, steps=120, validate_every=20), tmp_path / "c", PIXELCNN).history
    assert history[-1]["train_elbo"] > history[0]["train_elbo"] + 1
    assert history[-1]["valid_elbo"] > history[0]["valid_elbo"]


@pytest.mark.parametrize("rule", ["free_bits", "soft_free_bits", "annealing"])
@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_resumed_in_pieces_it_ends_in_the_same_bits(tmp_path, seconds, rule):
    plan = dataclasses.replace(PLAN, objective=Objective(rule, 3.0, 10))
    whole = run(plan, tmp_path / "whole.pt")
    path = tmp_path / "pieces.pt"
    pieces = 0
    while True:
        state = run(dataclasses.replace(plan, seconds=seconds), path)
        pieces += 1
        if state.step == PLAN.steps:
            break
        assert path.is_file()
    assert pieces > 1 or seconds > 0
    assert torch.equal(weights(state), weights(whole))
    assert state.history == whole.history
    assert (state.history[-1]["kl_weight"] != 1) == (rule == "soft_free_bits")


@pytest.mark.parametrize("rule", ["free_bits", "soft_free_bits", "annealing"])
def test_an_earlier_training_is_gone_on_with_from_its_averaged_weights(tmp_path, rule):
    plan = dataclasses.replace(PLAN, objective=Objective(rule, 3.0, 20), learning_rate=1e-3)
    ended = run(dataclasses.replace(plan, steps=10), tmp_path / "a.pt")
    earlier = Earlier(ended.averaged, ended.step, ended.history, ended.seconds)
    assert [row["step"] for row in earlier.history] == [4, 8, 10]
    paused = run(dataclasses.replace(plan, learning_rate=0.0), tmp_path / "b.pt", earlier=earlier)
    assert torch.equal(weights(paused), weights(ended))
    going_on = run(plan, tmp_path / "c.pt", earlier=earlier)
    assert [row["step"] for row in going_on.history] == [4, 8, 12]
    assert going_on.history[:2] == ended.history[:2]
    assert 0 < (weights(going_on) - weights(ended)).abs().max() <= 2.1e-3  # two steps, at most the rate each
    assert going_on.seconds > ended.seconds
    weight = ended.history[-1]["kl_weight"]
    expected = {"free_bits": 1, "annealing": 0.6, "soft_free_bits": pytest.approx(weight * 0.9**2, rel=0.25)}
    assert going_on.kl_weight == expected[rule]


def test_a_checkpoint_goes_before_an_earlier_training(tmp_path):
    ended = run(dataclasses.replace(PLAN, steps=4), tmp_path / "a.pt")
    earlier = Earlier(ended.averaged, 4, ended.history, ended.seconds)
    whole = run(PLAN, tmp_path / "whole.pt", earlier=earlier)
    for seconds, step in ((0.0, 5), (0.0, 6), (None, PLAN.steps)):
        pieces = run(dataclasses.replace(PLAN, seconds=seconds), tmp_path / "pieces.pt", earlier=earlier)
        assert pieces.step == step
    assert torch.equal(weights(pieces), weights(whole))


@pytest.mark.parametrize(("bfloat16", "optimizer"), [(False, "adamax"), (True, "adamax"), (True, "muon")])
def test_a_colour_model_learns_and_resumes_to_the_same_bits(tmp_path, bfloat16, optimizer):
    shape = (3, 8, 8)

    def go(name, most=24):
        objective = Objective("soft_free_bits", 200.0)
        plan = dataclasses.replace(PLAN, objective=objective, bfloat16=bfloat16, optimizer=optimizer, steps=24)
        batches, made = Batches(color_images(64, shape).to(torch.uint8), False, 16, 0), itertools.count(1)
        model, path = build_model(COLOR_VLAE, shape), tmp_path / name
        return train(model, batches, color_images(8, shape, 1), plan, path, stopped=lambda: next(made) == most)

    whole, pieces = go("whole.pt"), [go("pieces.pt", most) for most in (1, 9, 24)]
    assert [state.step for state in pieces] == [1, 10, 24]
    state = pieces[-1]
    assert torch.equal(weights(state), weights(whole))
    assert state.history == whole.history
    assert state.history[-1]["train_elbo"] > state.history[0]["train_elbo"] + 50
    assert state.history[-1]["kl_weight"] < 1


def test_a_finished_training_writes_no_checkpoint_of_its_own_accord(tmp_path):
    run(PLAN, tmp_path / "c.pt")
    assert not (tmp_path / "c.pt").exists()


def test_seeds_differ(tmp_path):
    other = run(dataclasses.replace(PLAN, seed=1), tmp_path / "b.pt")
    assert not torch.equal(weights(run(PLAN, tmp_path / "a.pt")), weights(other))


def test_rate_is_constant_then_falls_to_zero():
    plan = dataclasses.replace(PLAN, steps=100, decay_fraction=0.4)
    assert plan.rate(0) == plan.rate(60) == PLAN.learning_rate
    assert plan.rate(80) == pytest.approx(PLAN.learning_rate / 2)
    assert plan.rate(100) == 0
    assert dataclasses.replace(plan, decay_fraction=0.0).rate(99) == PLAN.learning_rate


def test_history_is_of_the_averaged_weights_and_of_the_steps_between(tmp_path):
    state = run(PLAN, tmp_path / "c.pt")
    assert [row["step"] for row in state.history] == [4, 8, 12]
    assert [row["epoch"] for row in state.history] == [1, 2, 3]
    elbo, kl = validate(state.averaged, binary_images(8, SHAPE, 1), 0)
    assert (state.history[-1]["valid_elbo"], state.history[-1]["valid_kl"]) == (elbo, kl)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_what_to_change_pytorch_169688(tmp_path, bfloat16):
    plan = dataclasses.replace(PLAN, learning_rate=1e30, decay_fraction=0, bfloat16=bfloat16)
    with pytest.raises(FloatingPointError, match=r"step \d+: .*training\.learning_rate \(1e\+30\)") as stopped:
        run(plan, tmp_path / "c.pt")
    assert ("training.precision" in str(stopped.value)) == bfloat16
