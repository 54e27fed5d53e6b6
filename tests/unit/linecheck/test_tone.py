"""The tone: what is sent, and whether it is known again."""

import random

import pytest

from adapters.linecheck import tone
from adapters.linecheck.tone import FRAME_S, echo_s, is_on

SENT = [n * FRAME_S for n in range(400)]


def came(delay_s: float, *, lost: int = 0, noise: int = 0) -> list[tuple[float, int]]:
    dice = random.Random(1)
    return [
        (at + delay_s, (5000 if is_on(n) else 0) + (dice.randint(0, noise) if noise else 0))
        for n, at in enumerate(SENT)
        if not lost or dice.randint(1, 100) > lost
    ]


def test_the_tone_is_1020_hz_without_a_seam() -> None:
    samples = b"".join(tone.tone_frames())
    assert len(samples) == 800 and max(samples) - 128 == 29
    turns = sum(a < 128 <= b for a, b in zip(samples, samples[1:] + samples[:1], strict=True))
    assert turns == 102  # periods in 100 ms: 1020 Hz


def test_the_keying_is_like_nothing_but_itself() -> None:
    signs = [1 if step else -1 for step in tone.KEYING]
    for shift in range(1, 63):
        assert sum(a * b for a, b in zip(signs, signs[shift:] + signs[:shift], strict=True)) == -1


@pytest.mark.parametrize("delay_s", [0.0, 0.0004, 0.02, 0.137, 0.5, 2.345])
def test_an_echo_is_known_and_timed(delay_s: float) -> None:
    assert echo_s(SENT, came(delay_s)) == pytest.approx(delay_s, abs=0.002)


def test_an_echo_with_loss_and_noise_is_still_one() -> None:
    assert echo_s(SENT, came(0.3, lost=5, noise=800)) == pytest.approx(0.3, abs=0.022)


@pytest.mark.parametrize(
    "heard",
    [
        [],
        [(at, 0) for at in SENT],
        [(at, 4000) for at in SENT],
        [(at, 4000 if n // 25 % 2 else 0) for n, at in enumerate(SENT)],  # a ringing tone of half seconds
        [(at, random.Random(n).randint(0, 5000)) for n, at in enumerate(SENT)],  # a room with people
        came(0.2)[:40],
        [(-99.0, 4000)] * 100,
        [(1e9, 4000)] * 100,
    ],
)
def test_what_is_no_echo_is_none(heard: list[tuple[float, int]]) -> None:
    assert echo_s(SENT, heard) is None
