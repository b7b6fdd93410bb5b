"""What is pushed comes back, at the price of its probability."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.coding.stack import PARTS, PRECISION, STATE_BITS, Stack, random_words

SOME = 4000


def entropy(p):
    return -(p * np.log2(p) + (1 - p) * np.log2(1 - p)).sum()


def stack():
    return Stack(random_words(SOME * PRECISION))


def test_bits_come_back_and_cost_their_probability():
    random = np.random.default_rng(0)
    ones = random.integers(1, PARTS, SOME)
    bits = random.random(SOME) < ones / PARTS
    held = stack()
    before, words = held.bits, held.words
    held.push_bits(bits, ones)
    assert held.bits - before == pytest.approx(entropy(ones / PARTS), rel=0.03)
    assert np.array_equal(held.pop_bits(ones), bits)
    assert np.array_equal(held.words, words)


@given(st.lists(st.integers(1, PARTS), min_size=1, max_size=20), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_popping_symbols_takes_their_price_and_pushing_them_restores_every_bit(sizes, seed):
    """Each symbol has `sizes` parts, from a start of its own; one that has all of them, or one alone, too."""
    sizes = np.array(sizes)
    starts = (np.random.RandomState(seed).rand(len(sizes)) * (PARTS - sizes + 1)).astype(np.int64)

    def find(parts):
        inside = (parts >= starts) & (parts < starts + sizes)
        low = np.where(inside, starts, np.where(parts < starts, 0, starts + sizes))
        high = np.where(inside, starts + sizes, np.where(parts < starts, starts, PARTS))
        found.append((low, high - low))
        return np.where(inside, 1, np.where(parts < starts, 0, 2)), low, high - low

    found: list = []
    held = stack()
    before, words = held.bits, held.words
    held.pop_intervals(len(sizes), find)
    price = PRECISION * len(sizes) - np.log2(found[0][1]).sum()
    assert before - held.bits == pytest.approx(price, abs=1 + 0.02 * len(sizes))
    held.push_intervals(*found[0])
    assert np.array_equal(held.words, words)


@pytest.mark.parametrize("size", [1, 2, 4, PARTS // 2, PARTS])
def test_a_symbol_takes_what_its_parts_are_worth_and_no_bit_more(size):
    def find(parts):
        return parts // size, parts // size * size, np.full_like(parts, size)

    held = stack()
    before, words = held.bits, held.words
    symbols = held.pop_intervals(100, find)
    assert before - held.bits == pytest.approx(100 * np.log2(PARTS // size), abs=1)
    held.push_intervals(symbols * size, np.full_like(symbols, size))
    assert np.array_equal(held.words, words)


@pytest.mark.parametrize("bits", [0, 1, 31, 32, 1000])
def test_a_start_holds_the_bits_that_it_was_asked_for(bits):
    assert Stack(random_words(bits)).bits >= bits + STATE_BITS
