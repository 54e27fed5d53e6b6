"""Pure: RTCP sender and receiver reports, written and read (RFC 3550 sections 6.4, 6.5, A.2)."""

import struct
from dataclasses import dataclass

_SR, _RR, _SDES, _BYE = 200, 201, 202, 203
_EPOCH = 2_208_988_800
"""Seconds from 1900 (NTP) to 1970 (RFC 5905)."""
_LONGEST_TRIP_S = 30.0


@dataclass(frozen=True, slots=True)
class Block:
    """What a receiver says of one source."""

    ssrc: int
    fraction: int  # lost since its last report, in 256ths
    lost: int  # of all, signed
    highest: int
    jitter: int  # in units of the timestamp
    last_sr: int  # the middle 32 bits of our SR's time, 0 when none came
    delay: int  # since then, in 65536ths of a second


@dataclass(frozen=True, slots=True)
class Report:
    """A sender report (`ntp` is its time) or a receiver report (`ntp` is None)."""

    ssrc: int
    ntp: int | None
    blocks: tuple[Block, ...]


def ntp(unix_s: float) -> int:
    """An instant as the 64 bits of an NTP timestamp (section 4)."""
    return (int((unix_s + _EPOCH) * 2**32)) & 0xFFFFFFFFFFFFFFFF


def middle(stamp: int) -> int:
    """The 32 bits that travel as LSR."""
    return stamp >> 16 & 0xFFFFFFFF


def sender_report(
    ssrc: int,
    stamp: int,
    timestamp: int,
    packets: int,
    octets: int,
    blocks: tuple[Block, ...],
    cname: str,
    *,
    bye: bool = False,
) -> bytes:
    """A compound packet: SR, SDES with our CNAME, and a BYE when we leave (section 6.1)."""
    blocks = blocks[:31]
    body = struct.pack("!IQIII", ssrc, stamp, timestamp & 0xFFFFFFFF, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)
    body += b"".join(
        struct.pack("!IB", block.ssrc, block.fraction)
        + max(-0x800000, min(0x7FFFFF, block.lost)).to_bytes(3, "big", signed=True)
        + struct.pack("!IIII", block.highest, min(block.jitter, 0xFFFFFFFF), block.last_sr, block.delay)
        for block in blocks
    )
    name = cname.encode()[:255]
    item = struct.pack("!IBB", ssrc, 1, len(name)) + name + b"\0"
    item += b"\0" * (-len(item) % 4)
    packets_out = _packet(_SR, len(blocks), body) + _packet(_SDES, 1, item)
    return packets_out + (_packet(_BYE, 1, struct.pack("!I", ssrc)) if bye else b"")


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


def read(data: bytes) -> list[Report]:
    """The reports of a compound packet; empty when the packet is not in order (A.2)."""
    reports: list[Report] = []
    at = 0
    while at < len(data):
        if len(data) - at < 4:
            return []
        first, kind, words = struct.unpack_from("!BBH", data, at)
        end = at + 4 + 4 * words
        if first >> 6 != 2 or end > len(data) or (first & 0x20 and end != len(data)):
            return []
        if kind in (_SR, _RR):
            report = _report(data[at + 4 : end], first & 0x1F, kind == _SR)
            if report is None:
                return []
            reports.append(report)
        at = end
    return reports


def _report(body: bytes, count: int, is_sr: bool) -> Report | None:
    head = 24 if is_sr else 4
    if len(body) < head + 24 * count:
        return None
    ssrc = int.from_bytes(body[:4], "big")
    stamp = int.from_bytes(body[4:12], "big") if is_sr else None
    blocks = []
    for at in range(head, head + 24 * count, 24):
        of, fraction = struct.unpack_from("!IB", body, at)
        lost = int.from_bytes(body[at + 5 : at + 8], "big", signed=True)
        blocks.append(Block(of, fraction, lost, *struct.unpack_from("!IIII", body, at + 8)))
    return Report(ssrc, stamp, tuple(blocks))


def round_trip_s(arrived: int, block: Block) -> float | None:
    """How long a report of ours and the answer to it were under way: A - LSR - DLSR (section 6.4.1).

    `arrived` is `middle` of the time at which the block came. None where the far end has had
    no report of ours yet, or where its figures cannot be.
    """
    if block.last_sr == 0:
        return None
    trip = (arrived - block.last_sr - block.delay) & 0xFFFFFFFF
    if trip >= 0xFFFFFF00:  # less than 4 ms below nothing: the two clocks' rounding
        return 0.0
    trip_s = trip / 65536
    return trip_s if trip_s <= _LONGEST_TRIP_S else None
