"""The targets under hypothesis: noise, and seeds that were damaged; `make fuzz` gives them many more examples."""

import itertools
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import SEEDS, STREAM
from tests.fuzz.targets import TARGETS, _framed

EXAMPLES = int(os.environ.get("DIEMCAU_FUZZ_EXAMPLES", "150"))
LAX = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EACH = pytest.mark.parametrize("subject", TARGETS)
_PIECES = (b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b";", b",", b'"', b"\\", b"<", b">", b"=", b":", b"/", b"\xff",
           b"Via: ", b"l: 5\r\n", b"Content-Length: 1\r\n", b"\r\n\r\n", b"SIP/2.0 ", b";tag=", b"m=a 0 ")  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, subject: str) -> bytes:
    """A seed that was cut, doubled, and written into."""
    data = draw(st.sampled_from(SEEDS[subject]))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.integers(0, 12))
        put = draw(st.one_of(st.sampled_from(_PIECES), st.binary(max_size=6), st.just(data[at : at + 40])))
        data = data[:at] + put + data[at + gone :]
    return data


@EACH
def test_seeds_pass(subject: str) -> None:
    for seed in SEEDS[subject]:
        TARGETS[subject](seed)


@EACH
@given(data=st.data())
@LAX
def test_noise(subject: str, data: st.DataObject) -> None:
    TARGETS[subject](data.draw(st.binary(max_size=400)))


@EACH
@given(data=st.data())
@LAX
def test_damaged_seeds(subject: str, data: st.DataObject) -> None:
    TARGETS[subject](data.draw(damaged(subject)))


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
@LAX
def test_any_split_of_a_stream_gives_the_same_messages(cuts: list[int]) -> None:
    at = [0, *sorted(cuts), len(STREAM)]
    whole, wrong = _framed([STREAM])
    assert len(whole) == 5
    assert not wrong
    assert _framed([STREAM[a:b] for a, b in itertools.pairwise(at)]) == (whole, False)
