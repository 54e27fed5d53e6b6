"""RFC 4475: each message over a real UDP socket, the answer it gets, and the socket alive afterwards.

The messages ask for their answers on port 5060 or 5050 (section 18.2.2 of RFC 3261: the port of the
Via, at the address where the request really came from), so the sender has an address of its own.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from adapters.sip.agent import SipAgent
from adapters.sip.call import Call
from adapters.sip.framing import Framer
from adapters.sip.message import Malformed, Request, Response, display_of, parse, tag_of, uri_of
from adapters.sip.transaction import Transactions
from adapters.sip.uri import Uri, sent_by
from adapters.sip.wheel import Wheel
from tests.unit.sip.conftest import MakeAgent
from tests.unit.sip.torture.messages import DROPPED, FOLDER, MESSAGES, Message
from tests.unit.sip.wire import FAST, WAIT_S

PORTS = (5060, 5050)
pytestmark = pytest.mark.echoes
EACH = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
OPTIONS = (
    "OPTIONS sip:anybody@example.com SIP/2.0\r\nVia: SIP/2.0/UDP {0}:5060;branch=z9hG4bKalive\r\n"
    "From: <sip:sender@{0}>;tag=1\r\nTo: <sip:anybody@example.com>\r\nCall-ID: alive\r\nCSeq: 1 OPTIONS\r\n\r\n"
)


class Sender(asyncio.DatagramProtocol):
    """Sends from one loopback address and hears on every port the messages name."""

    def __init__(self) -> None:
        self.host = ""
        self.heard: asyncio.Queue[Response] = asyncio.Queue()
        self.transports: list[asyncio.DatagramTransport] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            message = parse(data)
        except Malformed:  # a request without names gets an answer without names
            status, _, reason = data.partition(b"\r\n")[0].decode().removeprefix("SIP/2.0 ").partition(" ")
            message = Response(int(status), reason, {})
        assert isinstance(message, Response)
        self.heard.put_nowait(message)

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        self.transports[0].sendto(data, to)

    async def next(self) -> Response:
        return await asyncio.wait_for(self.heard.get(), WAIT_S)


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    loop, sender = asyncio.get_running_loop(), Sender()
    for _ in range(50):
        sender.host = f"127.{random.randrange(101, 120)}.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
        with contextlib.suppress(OSError):
            for port in PORTS:
                made, _ = await loop.create_datagram_endpoint(lambda: sender, local_addr=(sender.host, port))
                sender.transports.append(made)
            break
    yield sender
    for transport in sender.transports:
        transport.close()


def is_busy(call: Call) -> None:
    call.refuse(486)


def test_all_49_are_here() -> None:
    assert len({message.name for message in MESSAGES}) == len(MESSAGES) == 49
    assert {path.stem for path in FOLDER.glob("*.dat")} == {message.name for message in MESSAGES}


@pytest.mark.rfc("4475", "3.1.1", "3.1.2")
@EACH
def test_what_is_well_formed_is_read_and_the_rest_is_not(message: Message) -> None:
    try:
        parse(message.data)
    except Malformed:
        assert not message.read
    else:
        assert message.read


@pytest.mark.rfc("4475", "3.1.1", "3.1.2", "3.2", "3.3", "3.4")
@pytest.mark.rfc("3261", "8.2.2.1", "8.2.2.3", "8.2.3", "18.2.2", "21.5.6")
@EACH
async def test_the_answer_is_the_one_asked_for_and_the_socket_lives_on(
    make_agent: MakeAgent, sender: Sender, message: Message
) -> None:
    agent: SipAgent = await make_agent(on_invite=is_busy)
    sender.send(message.data, agent.address)
    sender.send(OPTIONS.format(sender.host).encode(), agent.address)
    first = await sender.next()
    if message.status != DROPPED:
        assert first.status == message.status, first
        assert first.call_id != "alive"
        try:
            asked = parse(message.data)
        except Malformed as wrong:
            assert wrong.request is not None
            assert str(wrong)[:20] in first.reason
        else:
            assert (first.call_id, first.cseq) == (asked.call_id, asked.cseq)
            assert first.headers["from"] == asked.headers["from"]
            assert len(first.listed("via")) == len(asked.listed("via"))
        while first.call_id != "alive":  # a 486 repeats itself until its ACK
            first = await sender.next()
    assert (first.status, first.call_id) == (200, "alive")
    assert len(agent) == 0


async def test_all_of_them_one_after_the_other_leave_nothing_behind(make_agent: MakeAgent, sender: Sender) -> None:
    agent: SipAgent = await make_agent(on_invite=is_busy)
    for message in MESSAGES * 3:
        sender.send(message.data, agent.address)
    sender.send(OPTIONS.format(sender.host).encode(), agent.address)
    while (await sender.next()).call_id != "alive":
        pass
    gone = asyncio.Event()

    def look() -> None:
        if agent.transactions:
            agent.later(0.02, look)
        else:
            gone.set()

    look()
    await asyncio.wait_for(gone.wait(), WAIT_S)
    assert len(agent) == 0


@pytest.mark.rfc("4475", "3.1.1", "3.1.2")
@pytest.mark.rfc("3261", "18.3")
@EACH
async def test_over_tcp_it_is_answered_or_the_stream_is_given_up(make_agent: MakeAgent, message: Message) -> None:
    agent: SipAgent = await make_agent(on_invite=is_busy)
    reader, writer = await asyncio.open_connection(*agent.address)
    writer.write(message.data)
    writer.write_eof()
    said = await asyncio.wait_for(reader.read(), WAIT_S)  # until it is closed there too
    writer.close()
    stands = True
    try:
        framed = Framer().feed(message.data)
    except Malformed:
        framed, stands = [], False
    if message.status != DROPPED and stands and framed:
        assert said.startswith(f"SIP/2.0 {message.status} ".encode())
    else:
        assert said == b"" or said.startswith(b"SIP/2.0 400 ")
    again, other = await asyncio.open_connection(*agent.address)
    other.write(OPTIONS.format("127.0.0.1").replace("\r\n\r\n", "\r\nl: 0\r\n\r\n").encode())
    assert (await asyncio.wait_for(again.readuntil(b"\r\n\r\n"), WAIT_S)).startswith(b"SIP/2.0 200 OK")
    other.close()


# -- what was read of those that are well formed ------------------------------------------------


def read(name: str) -> Request | Response:
    return parse((FOLDER / f"{name}.dat").read_bytes())


@pytest.mark.rfc("4475", "3.1.1")
@pytest.mark.rfc("3261", "7.3.1")
def test_wsinv_is_read_through_its_folds() -> None:
    message = read("wsinv")
    assert isinstance(message, Request)
    assert (message.cseq, message.cseq_method, message.branch) == (9, "INVITE", "390skdjuw")
    assert (message.to_tag, message.from_tag) == ("1918181833n", "98asjd8")
    assert display_of(message.get("from")) == 'J Rosenberg \\"'
    assert sent_by(message.listed("via")[0]) == "192.0.2.2:"
    assert len(message.listed("via")) == 3
    assert message.get("subject") == ""
    assert message.get("newfangledheader") == "newfangled value continued newfangled value"
    assert uri_of(message.get("contact")) == "sip:jdrosen@example.com"
    assert len(message.sdp) == 150


@pytest.mark.rfc("4475", "3.1.1")
@pytest.mark.rfc("3261", "25.1", "19.1.2")
def test_intmeth_keeps_every_odd_character() -> None:
    message = read("intmeth")
    assert isinstance(message, Request)
    assert message.method == "!interesting-Method0123456789_*+`.%indeed'~"
    assert Uri.parse(message.uri).host == "example.com"
    assert message.branch == "z9hG4bK-.!%66*_+`'~"
    assert display_of(message.get("to")) == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert message.from_tag == "_token~1'+`*%!-."
    assert message.get("extensionheader-!.%*+_`'~") == "\ufeff大停電"


def test_esc02_has_two_contacts() -> None:
    message = read("esc02")
    assert message.headers["contact"] == ["<sip:alias1@host1.example.com>", "<sip:alias3@host3.example.com>"]


def test_longreq_is_read_to_its_end() -> None:
    message = read("longreq")
    assert len(message.headers["via"]) == 34
    assert tag_of(message.get("from")).endswith("982424")
    assert len(message.sdp) == 150


@pytest.mark.rfc("4475", "3.2")
@pytest.mark.rfc("3261", "17.2.3")
def test_badbranch_names_no_transaction() -> None:
    """Two requests that have no more than the cookie in common are two (RFC 3261 section 17.2.3)."""
    layer = Transactions(FAST, Wheel())
    one, other = read("badbranch"), read("badbranch")
    assert isinstance(one, Request)
    assert isinstance(other, Request)
    other.call_id = "another"
    assert layer.key_of(one) != layer.key_of(other)


def test_dblreq_ends_where_its_length_says() -> None:
    message = read("dblreq")
    assert isinstance(message, Request)
    assert (message.method, message.body) == ("REGISTER", b"")


@pytest.mark.rfc("4475", "3.1.1")
@pytest.mark.rfc("3261", "19.1.1")
def test_semiuri_has_its_semicolon_in_the_user() -> None:
    message = read("semiuri")
    assert isinstance(message, Request)
    assert Uri.parse(message.uri).user == "user;par=u%40example.net"
    assert len(message.listed("accept")) == 6


def test_mpart01_is_framed_by_its_length_whatever_it_holds() -> None:
    message = read("mpart01")
    assert len(message.body) == 553
    assert b"\0" in message.body
    assert message.sdp == b""


@pytest.mark.rfc("4475", "3.1.1")
@pytest.mark.rfc("3261", "7.2")
def test_reasons_are_any_words_or_none() -> None:
    words, none = read("unreason"), read("noreason")
    assert isinstance(words, Response)
    assert isinstance(none, Response)
    assert words.reason == "= 2**3 * 5**2 но сто девяносто девять - простое"
    assert (none.status, none.reason) == (100, "")
