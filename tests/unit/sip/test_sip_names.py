"""Where names lead, and what is tried when the first place fails (RFC 3263, RFC 2782)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.sip.agent import SipAgent
from adapters.sip.call import Call
from adapters.sip.exchange import Identity
from adapters.sip.listener import CallState
from adapters.sip.locate import MAX_TARGETS, NoWay, Plan, Target, transport_of
from adapters.sip.names import Resolver
from adapters.sip.tls import Tls, Trust
from adapters.sip.transaction import Timing
from adapters.sip.uri import Uri
from tests.support.certificate import Authority
from tests.support.name_server import NameServer, name_server
from tests.unit.sip.conftest import MakeAgent, MakeWire
from tests.unit.sip.wire import FAST, WAIT_S, Ear, sdp


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    async with name_server() as server:
        yield server


@pytest.fixture
def resolver(names: NameServer, tmp_path: Path) -> Resolver:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.7 printed.example  # a comment\nrubbish line\n::1 printed.example\n")
    return Resolver([names.address], hosts)


async def where(resolver: Resolver, uri: str, key: str = "a call") -> list[str]:
    plan = await resolver.find(Uri.parse(uri), v6=False)
    return [f"{target.transport} {target.host}:{target.port}" for target in plan.targets(key)]


# -- what the records mean -------------------------------------------------------------------


@pytest.mark.rfc("3263", "4.2")
@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("sip:a@vc.example:5070", "UDP 127.0.0.2:5070"),
        ("sip:a@vc.example:5070;transport=tcp", "TCP 127.0.0.2:5070"),
        ("sips:a@vc.example:5070", "TLS 127.0.0.2:5070"),
        ("sips:a@vc.example:5070;transport=tcp", "TLS 127.0.0.2:5070"),
        ("sip:a@vc.example", "UDP 127.0.0.2:5060"),
        ("sip:a@vc.example;transport=tcp", "TCP 127.0.0.2:5060"),
        ("sip:a@vc.example;transport=tls", "TLS 127.0.0.2:5061"),
        ("sips:a@vc.example", "TLS 127.0.0.2:5061"),
        ("sip:a@proxied.example;maddr=vc.example", "UDP 127.0.0.2:5060"),
    ],
)
@pytest.mark.rfc("3263", "4.1")
async def test_a_name_without_service_records(names: NameServer, resolver: Resolver, uri: str, target: str) -> None:
    names.put("vc.example", "A", "127.0.0.2")
    assert await where(resolver, uri) == [target]
    if ":5070" in uri:
        assert names.asked == [("vc.example", "A")], "a URI with a port asks for no service"


@pytest.mark.rfc("3263", "4.1", "4.2")
async def test_naptr_says_which_transport_and_srv_says_where(names: NameServer, resolver: Resolver) -> None:
    names.put(
        "vc.example",
        "NAPTR",
        '20 50 "s" "SIP+D2U" "" _sip._udp.vc.example.',
        '10 60 "s" "SIP+D2T" "" _sip._tcp.vc.example.',
        '10 50 "s" "SIPS+D2T" "" _sips._tcp.secure.example.',
        '5 50 "s" "SIP+D2S" "" _sip._sctp.vc.example.',
        '5 50 "u" "E2U+sip" "!^.*$!sip:x@y!" .',
    )
    names.put("_sips._tcp.secure.example", "SRV", "0 0 5071 one.example.")
    names.put("_sip._tcp.vc.example", "SRV", "0 0 5072 one.example.")
    names.put("_sip._udp.vc.example", "SRV", "0 0 5073 one.example.")
    names.put("one.example", "A", "127.0.0.2")
    assert await where(resolver, "sip:a@vc.example") == [
        "TLS 127.0.0.2:5071",
        "TCP 127.0.0.2:5072",
        "UDP 127.0.0.2:5073",
    ]
    # what the URI says about the transport stands above that
    assert await where(resolver, "sip:a@vc.example;transport=udp") == ["UDP 127.0.0.2:5073"]


@pytest.mark.rfc("3263", "4.1")
@pytest.mark.rfc("3261", "26.2.2")
async def test_a_secure_address_never_leads_to_anything_but_tls(names: NameServer, resolver: Resolver) -> None:
    names.put("vc.example", "NAPTR", '10 50 "s" "SIP+D2T" "" _sip._tcp.vc.example.')
    names.put("_sip._tcp.vc.example", "SRV", "0 0 5072 vc.example.")
    names.put("_sip._udp.vc.example", "SRV", "0 0 5073 vc.example.")
    names.put("vc.example", "A", "127.0.0.2")
    for uri in ("sips:a@vc.example", "sips:a@vc.example;transport=udp", "sip:a@vc.example;transport=tls"):
        assert await where(resolver, uri) == ["TLS 127.0.0.2:5061"]


@pytest.mark.rfc("3263", "4.1")
async def test_without_naptr_the_services_that_there_are_are_used(names: NameServer, resolver: Resolver) -> None:
    names.put("_sip._tcp.vc.example", "SRV", "0 0 5072 one.example.")
    names.put("_sips._tcp.vc.example", "SRV", "0 0 5071 one.example.")
    names.put("one.example", "A", "127.0.0.2")
    assert await where(resolver, "sip:a@vc.example") == ["TCP 127.0.0.2:5072", "TLS 127.0.0.2:5071"]


@pytest.mark.rfc("3263", "4.2")
async def test_priorities_come_in_order_and_a_name_without_address_is_passed_over(
    names: NameServer, resolver: Resolver
) -> None:
    names.put(
        "_sip._udp.vc.example", "SRV", "20 0 5062 two.example.", "10 0 5061 one.example.", "5 0 5060 gone.example."
    )
    names.put("one.example", "A", "127.0.0.2", "127.0.0.3")
    names.put("two.example", "A", "127.0.0.4")
    found = await where(resolver, "sip:a@vc.example;transport=udp")
    assert sorted(found[:2]) == ["UDP 127.0.0.2:5061", "UDP 127.0.0.3:5061"]
    assert found[2:] == ["UDP 127.0.0.4:5062"]


@pytest.mark.rfc("3263", "4.2")
async def test_weights_share_the_calls_and_a_call_goes_the_same_way_again(
    names: NameServer, resolver: Resolver
) -> None:
    names.put("_sip._udp.vc.example", "SRV", "0 75 1 one.example.", "0 25 2 one.example.", "0 0 3 one.example.")
    names.put("one.example", "A", "127.0.0.2")
    firsts: Counter[str] = Counter()
    for number in range(2000):
        found = await where(resolver, "sip:a@vc.example;transport=udp", f"call {number}")
        assert len(found) == 3
        assert found == await where(resolver, "sip:a@vc.example;transport=udp", f"call {number}")
        firsts[found[0]] += 1
    assert 1400 < firsts["UDP 127.0.0.2:1"] < 1600
    assert 400 < firsts["UDP 127.0.0.2:2"] < 600
    assert firsts["UDP 127.0.0.2:3"] < 60


def test_the_choice_by_weight_is_the_same_in_every_process() -> None:
    servers = tuple((10, (Target("UDP", f"127.0.0.{number}", 5060),)) for number in range(1, 9))
    plan = Plan((servers,), 60.0)
    assert [target.host for target in plan.targets("dc0a1b-7-1-1.n")] == [
        "127.0.0.8",
        "127.0.0.7",
        "127.0.0.5",
        "127.0.0.4",
    ]


async def test_the_number_of_places_is_bounded(names: NameServer, resolver: Resolver) -> None:
    names.put("vc.example", "A", *(f"127.0.1.{number}" for number in range(1, 100)))
    assert len(await where(resolver, "sip:a@vc.example:5060")) == MAX_TARGETS


# -- who is asked ----------------------------------------------------------------------------


async def test_an_answer_is_kept_as_long_as_it_says(names: NameServer, resolver: Resolver) -> None:
    names.put("vc.example", "A", "127.0.0.2")
    uri = Uri.parse("sip:a@vc.example:5060")
    found = await asyncio.gather(*(resolver.find(uri, v6=False) for _ in range(50)))
    assert len(set(found)) == 1
    assert found[0].ttl_s == names.ttl
    assert names.asked == [("vc.example", "A")], "fifty who want the same make one question"
    assert resolver.known(uri, v6=False) is found[0]
    assert resolver.known(Uri.parse("sip:b@vc.example:5060"), v6=False) is found[0]
    names.ttl = 1
    short = Uri.parse("sip:a@short.example:5060")
    names.put("short.example", "A", "127.0.0.2")
    await resolver.find(short, v6=False)
    async with asyncio.timeout(WAIT_S):
        while resolver.known(short, v6=False) is not None:  # noqa: ASYNC110 - its own clock tells of no event
            await asyncio.sleep(0.05)
    names.put("short.example", "A", "127.0.0.3")
    assert await where(resolver, "sip:a@short.example:5060") == ["UDP 127.0.0.3:5060"]


async def test_a_name_that_is_not_there_is_remembered_as_such(names: NameServer, resolver: Resolver) -> None:
    for _ in range(2):
        with pytest.raises(NoWay, match=r"the name server knows no address of nothing\.example"):
            await where(resolver, "sip:a@nothing.example:5060")
    assert names.asked == [("nothing.example", "A")]


async def test_a_server_that_cannot_say_and_one_that_says_nothing(names: NameServer, resolver: Resolver) -> None:
    names.broken.add("broken.example")
    with pytest.raises(NoWay, match="the name server cannot say"):
        await where(resolver, "sip:a@broken.example:5060")
    names.silent.add("silent.example")
    with pytest.raises(NoWay, match="no name server answers"):
        await where(resolver, "sip:a@silent.example:5060")


async def test_a_server_that_knows_no_naptr_does_not_hide_the_address(names: NameServer, resolver: Resolver) -> None:
    names.broken.update(f"{label}.vc.example" for label in ("_sip._udp", "_sip._tcp", "_sips._tcp"))
    names.put("vc.example", "A", "127.0.0.2")
    assert await where(resolver, "sip:a@vc.example") == ["UDP 127.0.0.2:5060"]


async def test_services_that_nobody_tells_of_do_not_hide_the_address_and_are_soon_asked_for_again(
    names: NameServer, resolver: Resolver
) -> None:
    names.put("vc.example", "A", "127.0.0.2")
    names.mute.update({"NAPTR", "SRV"})  # as a router does that knows no such questions
    plan = await resolver.find(Uri.parse("sip:a@vc.example"), v6=False)
    assert plan.targets("") == (Target("UDP", "127.0.0.2", 5060),)
    assert plan.ttl_s < 60 < names.ttl


async def test_the_hosts_file_comes_first_and_nobody_is_asked(names: NameServer, resolver: Resolver) -> None:
    assert await where(resolver, "sip:a@Printed.Example") == ["UDP 127.0.0.7:5060"]
    plan = await resolver.find(Uri.parse("sip:a@printed.example;transport=tls"), v6=True)
    assert plan.targets("") == (Target("TLS", "::1", 5061),)
    assert await where(resolver, "sip:a@localhost") == ["UDP 127.0.0.1:5060"]
    assert names.asked == []


async def test_ipv6_addresses_are_asked_for_where_we_have_one(names: NameServer, resolver: Resolver) -> None:
    names.put("vc.example", "AAAA", "2001:db8::1")
    plan = await resolver.find(Uri.parse("sip:a@vc.example:5060"), v6=True)
    assert plan.targets("") == (Target("UDP", "2001:db8::1", 5060),)


@pytest.mark.parametrize("server", ["dns.example", "127.0.0.1:0", "127.0.0.1:x", ""])
def test_a_name_server_is_an_address(server: str) -> None:
    with pytest.raises(ValueError, match="is no name server; expected an address"):
        Resolver([server])


@pytest.mark.rfc("3263", "4.1")
def test_what_a_uri_says_of_its_transport() -> None:
    for uri, transport in (("sip:a@b", ""), ("sip:a@b;transport=UDP", "UDP"), ("sip:a@b;transport=sctp", "")):
        assert transport_of(Uri.parse(uri)) == transport


# -- and when a place fails ------------------------------------------------------------------

BRIEF = Timing(t1=0.01, t2=0.08, t4=0.1)  # a quarter of 64*T1 is 160 ms


class Server:
    """Answers with one status and keeps what it was asked."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.calls: list[Call] = []
        self.branches: list[str] = []

    def __call__(self, call: Call) -> None:
        self.calls.append(call)
        assert call.request is not None
        self.branches.append(call.request.branch)
        if self.status == 200:
            call.ring()
            call.answer(sdp(port=5000))
        else:
            call.ring()
            call.refuse(self.status)


def srv(*agents: SipAgent) -> list[str]:
    return [f"{10 * number} 0 {agent.address[1]} one.example." for number, agent in enumerate(agents)]


@pytest.mark.rfc("3263", "4.3")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_the_next_server_is_called_when_one_says_503(
    names: NameServer, resolver: Resolver, make_agent: MakeAgent, transport: str
) -> None:
    full, free = Server(503), Server(200)
    servers = [await make_agent(on_invite=server) for server in (full, free)]
    names.put(f"_sip._{transport}.vc.example", "SRV", *srv(*servers))
    names.put("one.example", "A", "127.0.0.1")
    agent, ear = await make_agent(resolver=resolver), Ear()
    call = agent.call(f"sip:room@vc.example;transport={transport}", ear, sdp=sdp())
    assert await ear.next("answered") == sdp(port=5000)
    assert (len(full.calls), len(free.calls)) == (1, 1)
    assert full.branches != free.branches, "another transaction (RFC 3263 section 4.3)"
    assert full.calls[0].dialog.call_id == free.calls[0].dialog.call_id
    call.hang_up()
    await ear.next("ended")
    assert "refused" not in ear.words


async def test_503_of_the_last_server_is_the_answer(
    names: NameServer, resolver: Resolver, make_agent: MakeAgent
) -> None:
    both = [Server(503), Server(503)]
    servers = [await make_agent(on_invite=server) for server in both]
    names.put("_sip._udp.vc.example", "SRV", *srv(*servers))
    names.put("one.example", "A", "127.0.0.1")
    agent, ear = await make_agent(resolver=resolver), Ear()
    agent.call("sip:room@vc.example", ear, sdp=sdp())
    assert (await ear.next("refused"))[0] == 503
    assert [len(server.calls) for server in both] == [1, 1]


@pytest.mark.parametrize("status", [486, 404, 500, 603])
async def test_other_refusals_are_answers(
    names: NameServer, resolver: Resolver, make_agent: MakeAgent, status: int
) -> None:
    busy, free = Server(status), Server(200)
    servers = [await make_agent(on_invite=server) for server in (busy, free)]
    names.put("_sip._udp.vc.example", "SRV", *srv(*servers))
    names.put("one.example", "A", "127.0.0.1")
    agent, ear = await make_agent(resolver=resolver), Ear()
    agent.call("sip:room@vc.example", ear, sdp=sdp())
    assert (await ear.next("refused"))[0] == status
    assert not free.calls


@pytest.mark.rfc("3263", "4.3")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_the_next_server_is_called_when_nobody_listens_at_one(
    names: NameServer, resolver: Resolver, make_agent: MakeAgent, transport: str
) -> None:
    free = Server(200)
    dead, server = await make_agent(), await make_agent(on_invite=free)
    records = srv(dead, server)
    await dead.close()
    names.put(f"_sip._{transport}.vc.example", "SRV", *records)
    names.put("one.example", "A", "127.0.0.1")
    agent, ear = await make_agent(resolver=resolver), Ear()
    agent.call(f"sip:room@vc.example;transport={transport}", ear, sdp=sdp())
    await ear.next("answered")


@pytest.mark.rfc("3263", "4.3")
async def test_the_next_server_is_called_when_one_keeps_silent_and_the_same_again_by_the_next_process(
    names: NameServer, resolver: Resolver, make_agent: MakeAgent, make_wire: MakeWire
) -> None:
    silent, free = await make_wire(), Server(200)
    server = await make_agent(on_invite=free)
    names.put(
        "_sip._udp.vc.example",
        "SRV",
        f"10 0 {silent.address[1]} one.example.",
        f"20 0 {server.address[1]} one.example.",
    )
    names.put("one.example", "A", "127.0.0.1")
    identity = Identity.derive("dc0a1b-7-1-1.n", b"seed")
    port = 0
    for _ in range(2):
        agent, ear = await make_agent(port=port, resolver=resolver, timing=BRIEF), Ear(acks=False)
        agent.call("sip:room@vc.example", ear, sdp=sdp(), identity=identity)
        await ear.next("answered")
        port = agent.address[1]
        await agent.close()  # as a process that dies: nothing is sent
    assert len(free.calls) == 1, "the second process's INVITE is the first one's, repeated"
    branches = {request.branch for request in silent.heard}
    assert branches == {identity.branch + ".0"}


@pytest.mark.rfc("3261", "9.1", "13.2.2.4")
@pytest.mark.parametrize("wakes_with", [180, 200])
async def test_who_wakes_up_where_the_call_was_given_up_is_sent_home(
    names: NameServer, resolver: Resolver, make_agent: MakeAgent, make_wire: MakeWire, wakes_with: int
) -> None:
    late, free = await make_wire(), Server(200)
    server = await make_agent(on_invite=free)
    names.put(
        "_sip._udp.vc.example",
        "SRV",
        f"10 0 {late.address[1]} one.example.",
        f"20 0 {server.address[1]} one.example.",
    )
    names.put("one.example", "A", "127.0.0.1")
    agent, ear = await make_agent(resolver=resolver, timing=FAST), Ear()
    call = agent.call("sip:room@vc.example", ear, sdp=sdp())
    invite = await late.next("INVITE")
    assert await ear.next("answered") == sdp(port=5000)
    tag = call.dialog.remote_tag
    if wakes_with == 180:
        late.reply(invite, 180)
        cancel = await late.next("CANCEL")
        assert cancel.branch == invite.branch
        late.reply(cancel, 200)
        late.reply(invite, 487)
        assert (await late.next("ACK")).branch == invite.branch
    else:
        late.reply(invite, 200, body=sdp(port=6000))
        assert (await late.next("ACK")).to_tag == "peer-tag"
        bye = await late.next("BYE")
        assert (bye.to_tag, bye.cseq) == ("peer-tag", invite.cseq + 1)
        late.reply(bye, 200)
    # the call itself is not concerned
    assert (call.state, call.dialog.remote_tag) == (CallState.CONFIRMED, tag)
    assert not {"refused", "ended", "ringing"} & set(ear.words[ear.words.index("answered") :])


async def test_a_call_given_up_is_tried_nowhere_else(
    names: NameServer, resolver: Resolver, make_agent: MakeAgent, make_wire: MakeWire
) -> None:
    silent, free = await make_wire(), Server(200)
    server = await make_agent(on_invite=free)
    names.put(
        "_sip._udp.vc.example",
        "SRV",
        f"10 0 {silent.address[1]} one.example.",
        f"20 0 {server.address[1]} one.example.",
    )
    names.put("one.example", "A", "127.0.0.1")
    agent, ear = await make_agent(resolver=resolver, timing=BRIEF), Ear()
    call = agent.call("sip:room@vc.example", ear, sdp=sdp())
    await silent.next("INVITE")
    call.hang_up()
    assert (await ear.next("refused"))[0] == 487
    assert not free.calls


async def test_a_server_that_wants_a_password_keeps_its_call(
    names: NameServer, resolver: Resolver, make_agent: MakeAgent, make_wire: MakeWire
) -> None:
    first, second = await make_wire(), await make_wire()
    names.put(
        "_sip._udp.vc.example",
        "SRV",
        f"10 0 {first.address[1]} one.example.",
        f"20 0 {second.address[1]} one.example.",
    )
    names.put("one.example", "A", "127.0.0.1")
    agent, ear = await make_agent(resolver=resolver), Ear()
    agent.call("sip:room@vc.example", ear, sdp=sdp(), credentials=("ep", "secret"))
    first.reply(await first.next("INVITE"), 503)
    asked = await second.next("INVITE")
    second.reply(asked, 401, headers=[("WWW-Authenticate", 'Digest realm="vc", nonce="n", algorithm=MD5')])
    signed = await second.next("INVITE", after=asked)
    assert 'username="ep"' in signed.get("authorization")
    second.reply(signed, 200, body=sdp(port=5000))
    await ear.next("answered")


@pytest.mark.rfc("3263", "4.1")
@pytest.mark.rfc("5922", "7.1")
@pytest.mark.rfc("5922", "7.2")
async def test_names_lead_to_tls_and_the_name_that_was_called_is_the_one_that_counts(
    names: NameServer, resolver: Resolver, make_agent: MakeAgent, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    free, wrong = Server(200), Server(200)
    agents = []
    for server, name in ((wrong, "one.example"), (free, "vc.example")):
        own = authority.issue(name)
        agents.append(await make_agent(on_invite=server, tls=Tls(Trust(own.certificate, own.key))))
    ports = [agent.tls_address[1] for agent in agents if agent.tls_address]
    names.put("vc.example", "NAPTR", '10 50 "s" "SIPS+D2T" "" _sips._tcp.vc.example.')
    names.put("_sips._tcp.vc.example", "SRV", *(f"{n} 0 {port} one.example." for n, port in enumerate(ports)))
    names.put("one.example", "A", "127.0.0.1")
    agent, ear = await make_agent(resolver=resolver, tls=Tls(Trust(ca=authority.ca))), Ear()
    agent.call("sips:room@vc.example", ear, sdp=sdp())
    await ear.next("answered")
    assert (len(wrong.calls), len(free.calls)) == (0, 1), "a certificate for where SRV points proves nothing"


async def test_why_a_name_leads_nowhere_reaches_the_caller(resolver: Resolver, make_agent: MakeAgent) -> None:
    agent, ear = await make_agent(resolver=resolver), Ear()
    agent.call("sip:room@nothing.example", ear, sdp=sdp())
    _, reason, heard = await ear.next("refused")
    assert reason == "no way to sip:room@nothing.example: the name server knows no address of nothing.example"
    assert not heard
