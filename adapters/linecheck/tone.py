"""Pure: the tone that a check sends, keyed on and off, and how it is known again when it comes back.

The tone has 1020 Hz, the reference frequency of ITU-T O.6 (no divisor of the sampling rate, so that
it passes through many codes), at -10 dBm0, the level PCM channels are tested with. It is keyed by a
maximum-length sequence, which is like nothing that a room, music or a ringing tone does.
"""

import math
from collections.abc import Sequence

SAMPLES = 160
FRAME_S = 0.02
FRAMES = 5
"""102 periods of 1020 Hz fill five frames exactly."""

_FREQUENCY, _RATE, _AMPLITUDE = 1020, 8000, 29  # of 128; the square mean is -16 dBov, that is -10 dBm0
_CHIP = 8
"""Frames of one step of the keying: 160 ms."""
_LONGEST_ECHO_S = 3.0
_ALIKE = 0.92
_ENOUGH = 50
"""Frames that must have come to say anything about an echo: a second."""
_QUIETER = 4.0
"""A part counts as tone when it has at least a fourth of the loudest part's amplitude (-12 dB)."""


def _keying() -> tuple[bool, ...]:
    """A maximum-length sequence of 63 steps (x^6 + x + 1), begun where it turns on and off at once."""
    state, steps = 0b010101, []
    for _ in range(63):
        steps.append(bool(state & 1))
        state = state >> 1 | ((state ^ state >> 1) & 1) << 5
    return tuple(steps)


KEYING = _keying()


def is_on(frame: int) -> bool:
    """Whether the tone sounds in this frame, counted from the first one."""
    return KEYING[frame // _CHIP % len(KEYING)]


def tone_frames() -> list[bytes]:
    """The tone, as pyVoIP takes sound: 8 bits a sample, 128 is silence."""
    return [
        bytes(
            128 + round(_AMPLITUDE * math.sin(2 * math.pi * _FREQUENCY * (frame * SAMPLES + n) / _RATE))
            for n in range(SAMPLES)
        )
        for frame in range(FRAMES)
    ]


SILENCE = b"\x80" * SAMPLES


def echo_s(sent_s: Sequence[float], heard: Sequence[tuple[float, int]]) -> float | None:
    """After how long our own tone came back; None when what came is something else.

    `sent_s` is when each frame went out, `heard` when a frame came and how loud it was (root
    mean square). First by likeness in steps of a frame, then by the instants at which the tone went on
    and off, of which the middle one is taken.
    """
    if len(heard) < _ENOUGH or len(sent_s) < _ENOUGH:
        return None
    began, loudest = sent_s[0], max(loud for _, loud in heard)
    if loudest <= 0:
        return None
    slots = int((heard[-1][0] - began) / FRAME_S) + 1
    if not 0 < slots <= 16_384:
        return None
    came = on = 0
    for at, loud in heard:
        slot = int((at - began) / FRAME_S)
        if 0 <= slot < slots:
            came |= 1 << slot
            if loud * _QUIETER >= loudest:
                on |= 1 << slot
    sent = went = 0
    for frame in range(len(sent_s)):
        went |= 1 << frame
        if is_on(frame):
            sent |= 1 << frame
    best, best_likeness = -1, 0.0
    for shift in range(int(_LONGEST_ECHO_S / FRAME_S)):
        both = came & (went << shift)
        count = both.bit_count()
        if count >= _ENOUGH:
            likeness = (~(on ^ (sent << shift)) & both).bit_count() / count
            if likeness > best_likeness:
                best, best_likeness = shift, likeness
    if best_likeness < _ALIKE:
        return None
    return _by_turns(sent_s, heard, loudest, best * FRAME_S)


def _by_turns(sent_s: Sequence[float], heard: Sequence[tuple[float, int]], loudest: int, about_s: float) -> float:
    """The middle of the delays between a turn of ours (on, off) and the same turn in what came."""
    came = []
    was = None
    for at, loud in heard:
        now = loud * _QUIETER >= loudest
        if was is not None and now != was:
            came.append((at, now))
        was = now
    delays = []
    for frame in range(1, len(sent_s)):
        if is_on(frame) != is_on(frame - 1):
            near = [
                at - sent_s[frame]
                for at, now in came
                if now == is_on(frame) and abs(at - sent_s[frame] - about_s) < 2 * FRAME_S
            ]
            if near:
                delays.append(min(near, key=lambda delay: abs(delay - about_s)))
    return max(0.0, sorted(delays)[len(delays) // 2]) if delays else about_s
