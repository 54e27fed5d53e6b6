"""Calls over TLS: who is believed, and what is said of those who are not (RFC 3261 section 26.2, RFC 5922)."""

import asyncio
import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.causes import ClearCause
from adapters.endpoints.sip.adapter import SipEndpoint
from adapters.registry import Surroundings
from adapters.sip.agent import SipAgent
from adapters.sip.call import Call
from adapters.sip.message import uri_of
from adapters.sip.names import Resolver
from adapters.sip.stream import Terms
from adapters.sip.tls import BadCertificate, Tls, Trust, covers, fingerprint, owners
from adapters.values import Address, Control, DialOptions
from tests.support.certificate import Authority, Pair
from tests.support.heard import Heard
from tests.unit.sip.conftest import MakeAgent
from tests.unit.sip.wire import WAIT_S, Ear, sdp


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def resolver(tmp_path: Path) -> Resolver:
    """Knows vc.example as 127.0.0.1."""
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 vc.example other.example\n")
    return Resolver(hosts=hosts)


def tls(ca: Path | None = None, own: Pair | None = None, pins: Mapping[str, str] | None = None) -> Tls:
    return Tls(Trust(own.certificate if own else None, own.key if own else None, ca, pins or {}))


class Callee:
    """Answers every call and keeps it."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[Call] = asyncio.Queue()
        self.ear = Ear()

    def __call__(self, call: Call) -> None:
        call.listener = self.ear
        call.tag = call.request
        call.answer(sdp(port=5000))
        self.calls.put_nowait(call)


def port_of(agent: SipAgent) -> int:
    assert agent.tls_address is not None
    return agent.tls_address[1]


async def refused(agent: SipAgent, uri: str) -> str:
    ear = Ear()
    agent.call(uri, ear, sdp=sdp())
    status, reason, heard = await ear.next("refused")
    assert (status, heard) == (408, False)
    return str(reason)


@pytest.mark.rfc("3261", "26.2.1", "26.2.2")
@pytest.mark.parametrize("uri", ["sips:room@vc.example:{}", "sip:room@vc.example:{};transport=tls"])
@pytest.mark.rfc("3261", "8.1.1", "12.1.1")
async def test_a_call_over_tls_and_everything_inside_it(
    make_agent: MakeAgent, authority: Authority, resolver: Resolver, uri: str
) -> None:
    callee, ear = Callee(), Ear()
    far = await make_agent(on_invite=callee, tls=tls(authority.ca, authority.issue("vc.example")))
    near = await make_agent(tls=tls(authority.ca, authority.issue("near.example")), resolver=resolver)
    call = near.call(uri.format(port_of(far)), ear, sdp=sdp(), user="ep1")
    theirs = await callee.calls.get()
    invite = theirs.tag
    assert invite.get("via").startswith(f"SIP/2.0/TLS 127.0.0.1:{port_of(near)};")
    assert ";alias" in invite.get("via")
    scheme, ours = uri.partition(":")[0], f"127.0.0.1:{port_of(near)}"
    assert uri_of(invite.get("contact")) == f"{scheme}:ep1@{ours};transport=tls"
    assert await ear.next("answered") == sdp(port=5000)
    assert call.dialog.transport == theirs.dialog.transport == "TLS"
    assert call.dialog.target.startswith(scheme + ":")
    await callee.ear.next("confirmed")
    connections = len(near.routes.at(near.address).tls), len(far.routes.at(far.address).tls)
    theirs.hang_up()  # over the connection that the caller opened
    await ear.next("ended")
    assert (len(near.routes.at(near.address).tls), len(far.routes.at(far.address).tls)) == connections == (1, 1)


@pytest.mark.rfc("5923", "8.1")
@pytest.mark.rfc("3261", "26.3.2.1")
async def test_who_has_no_certificate_calls_and_is_called_back_on_its_connection(
    make_agent: MakeAgent, authority: Authority, resolver: Resolver
) -> None:
    callee, ear = Callee(), Ear()
    far = await make_agent(on_invite=callee, tls=tls(own=authority.issue("vc.example")))
    near = await make_agent(tls=tls(authority.ca), resolver=resolver)
    assert near.tls_address is None
    near.call(f"sips:room@vc.example:{port_of(far)}", ear, sdp=sdp())
    theirs = await callee.calls.get()
    await ear.next("answered")
    assert ";alias" not in theirs.tag.get("via"), "whoever shows no certificate is nobody's alias"
    host, port = theirs.dialog.peer or ("", 0)
    assert uri_of(theirs.tag.get("contact")) == f"sips:{host}:{port};transport=tls", "the port of the connection itself"
    theirs.hang_up()
    await ear.next("ended")


async def test_a_later_process_finds_who_was_called_behind_a_bare_contact(
    make_agent: MakeAgent, authority: Authority, resolver: Resolver
) -> None:
    callee, ear = Callee(), Ear()
    far = await make_agent(on_invite=callee, tls=tls(own=authority.issue("vc.example")))
    first = await make_agent(tls=tls(authority.ca), resolver=resolver)
    call = first.call(f"sips:room@vc.example:{port_of(far)}", ear, sdp=sdp())
    await ear.next("answered")
    await callee.ear.next("confirmed")
    memory = call.memory()
    await first.close()
    assert "vc.example" not in memory["target"], "the certificate does not name where its Contact leads"
    second = await make_agent(tls=tls(authority.ca), resolver=resolver)
    second.adopt(memory, Ear()).hang_up()
    await callee.ear.next("ended")


@pytest.mark.rfc("3261", "26.3.1")
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"names": ("other.example",)}, "the certificate is not for vc.example but for other.example"),
        ({"names": ("*.example",)}, "the certificate is not for vc.example but for *.example"),
        ({"names": ("vc.example",), "expired": True}, "the certificate expired on 20"),
        ({"names": ("vc.example",), "early": True}, "the certificate is not valid before 20"),
        ({"names": ("vc.example",), "is_self": True}, "the certificate 'CN=vc.example' is self-signed and is not in"),
    ],
)
@pytest.mark.rfc("5922", "7.2")
async def test_a_certificate_that_is_wrong_is_told_in_words(
    make_agent: MakeAgent, authority: Authority, resolver: Resolver, wrong: dict[str, Any], words: str
) -> None:
    callee = Callee()
    own = authority.issue(*wrong.pop("names"), **wrong)
    far = await make_agent(on_invite=callee, tls=tls(own=own))
    near = await make_agent(tls=tls(authority.ca), resolver=resolver)
    reason = await refused(near, f"sips:room@vc.example:{port_of(far)}")
    assert reason.startswith(f"TLS to vc.example:{port_of(far)}: {words}"), reason
    assert callee.calls.empty()


@pytest.mark.rfc("3261", "26.3.1")
@pytest.mark.rfc("5922", "7.2")
async def test_an_issuer_that_is_not_trusted_is_named(
    make_agent: MakeAgent, authority: Authority, resolver: Resolver, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "Somebody Else")
    far = await make_agent(on_invite=Callee(), tls=tls(own=stranger.issue("vc.example")))
    for ca in (authority.ca, None):  # None: the system's
        near = await make_agent(tls=tls(ca), resolver=resolver)
        reason = await refused(near, f"sips:room@vc.example:{port_of(far)}")
        assert reason.endswith("the certificate's issuer 'CN=Somebody Else' is not trusted")


async def test_a_device_with_its_own_certificate_is_believed_when_the_ca_file_holds_it(
    make_agent: MakeAgent, authority: Authority, resolver: Resolver
) -> None:
    callee, ear = Callee(), Ear()
    own = authority.issue("vc.example", is_self=True)
    far = await make_agent(on_invite=callee, tls=tls(own=own))
    near = await make_agent(tls=tls(own.certificate), resolver=resolver)
    near.call(f"sips:room@vc.example:{port_of(far)}", ear, sdp=sdp())
    await ear.next("answered")


async def test_a_pin_stands_for_name_and_issuer_and_for_that_certificate_only(
    make_agent: MakeAgent, authority: Authority, resolver: Resolver, caplog: pytest.LogCaptureFixture
) -> None:
    callee, ear = Callee(), Ear()
    device, other = (authority.issue(common=name, expired=True, is_self=True) for name in ("Polycom", "Impostor"))
    far = await make_agent(on_invite=callee, tls=tls(own=device))
    near = await make_agent(tls=tls(authority.ca, pins={"vc.example": device.fingerprint}), resolver=resolver)
    near.call(f"sips:room@vc.example:{port_of(far)}", ear, sdp=sdp())
    await ear.next("answered")
    assert "sip.tls_pinned host=vc.example" in caplog.text
    assert "is self-signed" in await refused(near, f"sips:room@other.example:{port_of(far)}")
    wrong = await make_agent(tls=tls(authority.ca, pins={"vc.example": other.fingerprint}), resolver=resolver)
    reason = await refused(wrong, f"sips:room@vc.example:{port_of(far)}")
    assert f"its certificate is not the pinned one but sha256:{device.fingerprint}" in reason


@pytest.mark.rfc("3261", "26.2.1")
@pytest.mark.parametrize("behaviour", ["answers something else", "hangs up", "keeps silent"])
async def test_a_peer_without_tls_is_told_in_words(make_agent: MakeAgent, authority: Authority, behaviour: str) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if behaviour == "answers something else":
            writer.write(b"SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
        elif behaviour == "hangs up":
            writer.transport.abort()
        else:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    near = await make_agent(tls=tls(authority.ca), terms=Terms(connect_s=0.3))
    reason = await refused(near, f"sip:x@127.0.0.1:{port};transport=tls")
    assert reason.startswith(f"TLS to 127.0.0.1:{port}: ")
    assert "speaks no TLS on that port" in reason
    server.close()


@pytest.mark.rfc("3261", "26.2.1")
async def test_nobody_listens_for_tls(make_agent: MakeAgent, authority: Authority) -> None:
    far, near = await make_agent(), await make_agent(tls=tls(authority.ca))
    port = far.address[1]
    await far.close()
    assert await refused(near, f"sips:x@127.0.0.1:{port}") == f"TLS to 127.0.0.1:{port}: nobody listens there"


@pytest.mark.rfc("3261", "26.3.1")
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_a_peer_with_old_tls_only_is_refused(make_agent: MakeAgent, authority: Authority) -> None:
    own = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    near = await make_agent(tls=tls(authority.ca))
    reason = await refused(near, f"sips:x@127.0.0.1:{port}")
    assert "protocol version" in reason or "none of 1.2 and newer" in reason  # an alert, or just the end
    server.close()


@pytest.mark.rfc("5922", "7.1")
async def test_an_address_is_believed_by_an_address_in_the_certificate(
    make_agent: MakeAgent, authority: Authority
) -> None:
    ear = Ear()
    far = await make_agent(on_invite=Callee(), tls=tls(own=authority.issue("127.0.0.1")))
    near = await make_agent(tls=tls(authority.ca))
    near.call(f"sips:room@127.0.0.1:{port_of(far)}", ear, sdp=sdp())
    await ear.next("answered")


async def test_a_renewed_certificate_is_used_from_the_next_connection_on(
    make_agent: MakeAgent, authority: Authority, resolver: Resolver
) -> None:
    own = authority.issue("vc.example", expired=True)
    far = await make_agent(on_invite=Callee(), tls=tls(own=own))
    near = await make_agent(tls=tls(authority.ca), resolver=resolver)
    uri = f"sips:room@vc.example:{port_of(far)}"
    assert "expired" in await refused(near, uri)
    fresh = authority.issue("vc.example")
    for before, after in ((own.certificate, fresh.certificate), (own.key, fresh.key)):
        os.replace(after, before)
    ear = Ear()
    near.call(uri, ear, sdp=sdp())
    await ear.next("answered")


async def test_a_renewed_certificate_that_is_broken_leaves_the_one_before_in_use(
    make_agent: MakeAgent, authority: Authority, resolver: Resolver, caplog: pytest.LogCaptureFixture
) -> None:
    own = authority.issue("vc.example")
    far = await make_agent(on_invite=Callee(), tls=tls(own=own))
    near = await make_agent(tls=tls(authority.ca), resolver=resolver)
    own.certificate.write_text("half a fi")
    ear = Ear()
    near.call(f"sips:room@vc.example:{port_of(far)}", ear, sdp=sdp())
    await ear.next("answered")
    assert "sip.tls_not_renewed" in caplog.text


@pytest.mark.rfc("3261", "26.3.1")
async def test_a_caller_without_a_certificate_is_taken_in_and_a_handshake_that_is_none_is_not(
    make_agent: MakeAgent, authority: Authority
) -> None:
    far = await make_agent(tls=tls(own=authority.issue("vc.example")))
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(far))
    writer.write(b"OPTIONS sip:x@h SIP/2.0\r\n\r\n")
    async with asyncio.timeout(WAIT_S):
        await reader.read()  # an alert, perhaps, and the end
    writer.close()
    context = ssl.create_default_context(cafile=str(authority.ca))
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(far), ssl=context, server_hostname="vc.example")
    writer.write(
        b"OPTIONS sip:x@h SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n"
        b"To: <sip:x@h>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    async with asyncio.timeout(WAIT_S):
        assert (await reader.readline()).startswith(b"SIP/2.0 200")
    writer.close()


@pytest.mark.rfc("5922", "7.1", "7.2")
@pytest.mark.parametrize("side", ["near", "far"])
async def test_the_words_reach_the_leg_of_either_side(
    make_agent: MakeAgent, authority: Authority, resolver: Resolver, side: str
) -> None:
    agents = {}
    for each in ("near", "far"):
        own = authority.issue("vc.example", expired=each == side)
        agents[each] = await make_agent(on_invite=Callee(), tls=tls(own=own))
    near, far = (Address.parse(f"sips:room@vc.example:{port_of(agents[each])}") for each in ("near", "far"))
    ours = await make_agent(tls=tls(authority.ca), resolver=resolver)
    heard = Heard()

    async def remember(leg: str, memory: Any) -> None:
        pass

    surroundings = Surroundings(heard, remember, lambda: datetime.now(UTC), ours, b"seed")
    await SipEndpoint(Control("site", addresses=(near,)), surroundings).dial("dc0a1b-7-1-1", far, DialOptions())
    cleared = (await heard.cleared("dc0a1b-7-1-1")).cleared
    assert cleared.cause is ClearCause.UNREACHABLE
    port = port_of(agents[side])
    assert f"TLS to vc.example:{port}: the certificate expired on 20" in cleared.raw


@pytest.mark.parametrize(
    ("certificate", "names"),
    [
        ({"subjectAltName": (("DNS", "VC.Example"), ("IP Address", "10.0.0.1"))}, ["vc.example", "10.0.0.1"]),
        ({"subjectAltName": (("URI", "sip:vc.example"), ("URI", "sip:a@vc.example"))}, ["vc.example"]),
        ({"subjectAltName": (("URI", "https://vc.example"),), "subject": ((("commonName", "vc.example"),),)}, []),
        ({"subject": ((("organizationName", "x"),), (("commonName", "vc.example"),))}, ["vc.example"]),
    ],
)
@pytest.mark.rfc("5922", "7.1")
def test_whom_a_certificate_is_for(certificate: dict[str, Any], names: list[str]) -> None:
    assert owners(certificate) == names
    assert covers(certificate, "vc.example") is ("vc.example" in names)
    assert not covers(certificate, "sub.vc.example")


def test_addresses_are_compared_as_addresses() -> None:
    certificate = {"subjectAltName": (("IP Address", "2001:DB8:0:0:0:0:0:1"),)}
    assert covers(certificate, "[2001:db8::1]")


def test_files_that_cannot_be_used_are_named(authority: Authority, tmp_path: Path) -> None:
    good, other = authority.issue("a.example"), authority.issue("b.example")
    nothing, rubbish = tmp_path / "none.pem", tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish")
    for trust, words in (
        (Trust(nothing), "none.pem cannot be read: No such file"),
        (Trust(rubbish), "rubbish.pem cannot be used: expected PEM"),
        (Trust(good.certificate, other.key), "key and certificate do not belong together"),
        (Trust(good.certificate), "its key there or in a file of its own"),
        (Trust(key=good.key), "no certificate to it"),
        (Trust(ca=nothing), "none.pem cannot be used: No such file"),
        (Trust(ca=rubbish), "rubbish.pem cannot be used: expected PEM with certificates"),
        (Trust(pins={"a": "12:34"}), "is no SHA-256 fingerprint"),
    ):
        with pytest.raises(BadCertificate) as caught:
            Tls(trust)
        assert words in str(caught.value)


def test_a_fingerprint_may_be_written_as_tools_write_it() -> None:
    plain = "ab" * 32
    colons = ":".join(["AB"] * 32)
    assert fingerprint(colons) == fingerprint(plain) == fingerprint(f"sha256:{plain}") == plain
