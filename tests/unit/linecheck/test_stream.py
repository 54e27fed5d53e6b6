"""What comes, counted: loss, order, repetition, wraps and jitter (RFC 3550 A.1, A.3, A.8)."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.linecheck.stream import Source, Stream


def feed(numbers: list[int], first: int = 0) -> Source:
    source = Source((numbers[0] + first) & 0xFFFF)
    for number in numbers:
        source.take((number + first) & 0xFFFF, number * 160 & 0xFFFFFFFF, number * 0.02)
    return source


@pytest.mark.parametrize("first", [0, 65_500, 32_767])
def test_loss_late_and_doubled_also_over_a_wrap(first: int) -> None:
    numbers = [n for n in range(100) if n not in (10, 11, 12, 50)]
    numbers.insert(numbers.index(60), 61)  # 61 comes before 60, and once more in its place
    counts = feed(numbers, first).counts
    assert (counts.expected, counts.received, counts.lost) == (100, 96, 4)
    assert (counts.late, counts.doubled, counts.longest_loss) == (1, 1, 3)


def test_70000_packets_in_a_row_lose_none() -> None:
    source = feed(list(range(70_000)), 65_000)
    assert (source.counts.lost, source.counts.expected) == (0, 70_000)
    assert source.highest == 65_000 + 69_999


def test_a_source_that_numbers_anew_is_believed_after_two_in_a_row() -> None:
    source = feed(list(range(100)))
    assert not source.take(40_000, 0, 3.0)
    assert source.take(40_001, 160, 3.02)
    for number in range(2, 50):
        source.take(40_000 + number, number * 160, 3.0 + number * 0.02)
    assert source.counts.lost == 0 and source.counts.received == 149
    assert not source.take(10, 0, 5.0), "one packet from somewhere else is none of the stream"


def test_jitter_is_the_formula_of_a8() -> None:
    source, expected, before = Source(0), 0.0, None
    for number in range(200):
        delay = random.Random(number).uniform(0, 0.03)
        source.take(number, number * 160, number * 0.02 + delay)
        if before is not None:
            expected += (abs(delay - before) - expected) / 16
        before = delay
    assert source.jitter_s == pytest.approx(expected, rel=1e-6)


def test_jitter_over_a_timestamp_wrap_and_a_new_clock_is_nothing() -> None:
    source = Source(0)
    for number in range(50):
        source.take(number, (0xFFFFFFFF - 2000 + number * 160) & 0xFFFFFFFF, number * 0.02)
    assert source.jitter_s == pytest.approx(0, abs=1e-9)
    source.take(50, 0x12345678, 1.0)
    assert source.jitter_s == pytest.approx(0, abs=1e-9)


def test_several_sources_are_summed_and_a_stray_packet_is_not() -> None:
    stream = Stream()
    for number in range(50):
        stream.take(1, number, number * 160, number * 0.02)
    stream.take(0xBAD, 7, 7, 1.0)
    for number in range(1000, 1050):
        stream.take(2, number, number * 160, number * 0.02)
    assert (stream.counts.received, stream.counts.lost) == (100, 0)
    for ssrc in range(100, 1000):
        stream.take(ssrc, 1, 1, 2.0)
    assert len(stream.sources) <= 16


def test_fraction_lost_is_of_the_time_since_the_last_report() -> None:
    source = Source(0)
    for number in range(100):
        source.take(number, number * 160, number * 0.02)
    assert source.fraction_lost() == 0
    for number in range(101, 200, 2):
        source.take(number, number * 160, number * 0.02)
    assert source.fraction_lost() == 128
    assert source.fraction_lost() == 0


@given(st.lists(st.integers(0, 65_535), min_size=1, max_size=300))
def test_whatever_comes_the_counts_are_sane(numbers: list[int]) -> None:
    source = Source(numbers[0])
    for number in numbers:
        source.take(number, number, 0.0)
    counts = source.counts
    assert 0 <= counts.lost <= counts.expected and 0 < counts.received <= len(numbers)
    assert counts.received <= counts.expected
    assert counts.received + counts.doubled <= len(numbers)
