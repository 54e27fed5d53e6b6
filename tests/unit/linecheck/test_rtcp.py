"""Reports written and read (RFC 3550 sections 6.4, 6.5, A.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.linecheck import rtcp

BLOCK = rtcp.Block(0xAABBCCDD, 12, -3, 0x1FFFF, 80, 0x11223344, 65536)


def sample(**more: object) -> bytes:
    return rtcp.sender_report(7, rtcp.ntp(1_764_000_000.25), 160, 50, 8000, (BLOCK,), "a@b", **more)  # type: ignore[arg-type]


def test_what_is_written_is_read() -> None:
    (report,) = rtcp.read(sample(bye=True))
    assert report == rtcp.Report(7, rtcp.ntp(1_764_000_000.25), (BLOCK,))
    assert len(sample()) % 4 == 0 and sample()[0] == 0x81


def test_ntp_counts_from_1900() -> None:
    assert rtcp.ntp(0.0) >> 32 == 2_208_988_800
    assert rtcp.ntp(0.5) & 0xFFFFFFFF == 0x80000000
    assert rtcp.middle(rtcp.ntp(0.5)) == ((2_208_988_800 & 0xFFFF) << 16) | 0x8000


def test_the_example_of_the_rfc() -> None:
    """Figure 2 of RFC 3550: A = 0xb710:8000, LSR = 0xb705:2000, DLSR = 0x0005:4000, delay 6.125 s."""
    block = rtcp.Block(1, 0, 0, 0, 0, 0xB7052000, 0x00054000)
    assert rtcp.round_trip_s(0xB7108000, block) == 6.125


@pytest.mark.parametrize(
    ("arrived", "last_sr", "delay", "trip_s"),
    [
        (0x10000, 0, 0, None),  # it has had no report of ours
        (0x10000, 0x10000, 0, 0.0),
        (0x10000, 0x10001, 0, 0.0),  # rounding
        (0x10000, 0x20000, 0, None),  # before it was asked
        (0x00008000, 0xFFFF8000, 0, 1.0),  # the seconds wrapped
        (0x10000000, 0x00000001, 0, None),  # an hour is no round trip
    ],
)
def test_a_round_trip_that_cannot_be_is_none(arrived: int, last_sr: int, delay: int, trip_s: float | None) -> None:
    assert rtcp.round_trip_s(arrived, rtcp.Block(1, 0, 0, 0, 0, last_sr, delay)) == trip_s


def test_a_packet_out_of_order_is_not_believed() -> None:
    whole = sample()
    assert rtcp.read(b"") == []
    for length in range(1, len(whole)):
        assert all(isinstance(report, rtcp.Report) for report in rtcp.read(whole[:length]))
    assert rtcp.read(b"\x00" + whole[1:]) == []
    assert rtcp.read(whole + b"\x80") == []
    lying = bytes([0x9F]) + whole[1:]  # 31 blocks, and room for one
    assert rtcp.read(lying) == []


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_not(data: bytes) -> None:
    rtcp.read(data)
    rtcp.read(b"\x81\xc8" + data)
