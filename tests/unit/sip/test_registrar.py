"""The registrar on real sockets: who may register, what is kept of it, and where the registered are called."""

import asyncio
from datetime import timedelta

import pytest

from adapters.sip.agent import SipAgent
from adapters.sip.binding import MOST_BINDINGS, Binding
from adapters.sip.message import Response
from adapters.sip.registrar import NOT_REGISTERED
from tests.unit.sip.conftest import MakeAgent, MakeWire
from tests.unit.sip.roll import DOMAIN, MemoryRoll, Registrant, Turnable, enrol
from tests.unit.sip.wire import Ear, Wire, sdp

AOR = f"sip:qt05@{DOMAIN}"


def bindings(roll: MemoryRoll, address: str = AOR) -> list[Binding]:
    return [Binding.from_json(row) for row in roll.rows[address].bindings]


@pytest.fixture
def roll() -> MemoryRoll:
    return MemoryRoll(qt05="s3cret", qt06="other")


@pytest.fixture
async def agent(make_agent: MakeAgent, roll: MemoryRoll) -> SipAgent:
    """One with a registrar."""
    agent = await make_agent()
    enrol(agent, roll)
    return agent


@pytest.fixture
async def wire(make_wire: MakeWire) -> Wire:
    return await make_wire()


@pytest.fixture
def device(wire: Wire, agent: SipAgent) -> Registrant:
    """One that registers with it."""
    return Registrant(wire, agent.address)


# -- who may register ---------------------------------------------------------------------


@pytest.mark.rfc("3261", "10.3", "22.2", "26.2.3")
@pytest.mark.rfc("8760", "2.1")
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256"])
async def test_registers_with_each_algorithm(wire: Wire, device: Registrant, roll: MemoryRoll, algorithm: str) -> None:
    challenge = await device.send()
    assert challenge.status == 401
    device.learn(challenge, algorithm)
    accepted = await device.send()
    assert accepted.status == 200
    assert [binding.contact for binding in bindings(roll)] == [wire.uri("qt05")]
    assert accepted.headers["contact"] == [f"<{wire.uri('qt05')}>;expires=300"]
    assert accepted.get("date").endswith("GMT")


@pytest.mark.rfc("8760", "2.3")
async def test_the_strongest_algorithm_is_offered_first(device: Registrant) -> None:
    response = await device.send()
    assert offered(response) == ["SHA-512-256", "SHA-256", "MD5"]


def offered(response: Response) -> list[str]:
    """The algorithms of a 401, in order."""
    return [value.partition("algorithm=")[2].partition(",")[0] for value in response.headers["www-authenticate"]]


async def test_who_cannot_choose_among_algorithms_is_offered_md5_alone_the_next_time(device: Registrant) -> None:
    assert len(offered(await device.send())) == 3
    device.cseq -= 1
    assert len(offered(await device.send())) == 3  # the same once more is no giving up
    second = await device.send()
    assert offered(second) == ["MD5"]
    device.learn(second)
    assert (await device.send()).status == 200
    device.nc = 0
    assert offered(await device.send()) == ["MD5"]  # grown stale: asked again for what it knows
    assert offered(await device.send(signed=False)) == ["MD5"]


async def test_who_knows_better_is_not_offered_less_later(device: Registrant) -> None:
    for _ in range(3):  # one that asks anew each time
        challenge = await device.send(signed=False)
        assert len(offered(challenge)) == 3
        device.learn(challenge)
        assert (await device.send()).status == 200


@pytest.mark.rfc("3261", "22.1")
async def test_a_wrong_password_and_an_unknown_name_look_the_same(
    make_agent: MakeAgent, make_wire: MakeWire, roll: MemoryRoll
) -> None:
    agent, wire = await make_agent(), await make_wire()
    registrar = enrol(agent, roll)
    wrong = await Registrant(wire, agent.address, secret="guess").register()
    unknown = await Registrant(wire, agent.address, user="nobody").register()
    assert (wrong.status, unknown.status) == (403, 403)
    assert wrong.reason == unknown.reason and wrong.headers.keys() == unknown.headers.keys()
    assert registrar.refused == 2 and not roll.rows


async def test_somebody_elses_password_does_not_register_an_address(
    agent: SipAgent, wire: Wire, roll: MemoryRoll
) -> None:
    device = Registrant(wire, agent.address, user="qt06", secret="other")
    assert (await device.register()).status == 200
    assert (await device.send(to=f"<{AOR}>")).status == 403
    assert AOR not in roll.rows


@pytest.mark.rfc("3261", "10.3")
async def test_another_domain_is_not_ours_and_nobody_is_asked(
    agent: SipAgent, device: Registrant, roll: MemoryRoll
) -> None:
    assert (await device.send(to="<sip:qt05@elsewhere.example>")).status == 404
    assert roll.asked == 0 and agent.transactions == 0


async def test_without_a_registrar_it_is_no_method_of_ours(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, wire = await make_agent(), await make_wire()
    assert (await Registrant(wire, agent.address).send()).status == 405


async def test_guessing_is_slowed_for_the_guesser(make_agent: MakeAgent, make_wire: MakeWire, roll: MemoryRoll) -> None:
    agent, wire, honest = await make_agent(), await make_wire(), await make_wire("127.0.0.2")
    clock = Turnable()
    enrol(agent, roll, clock)
    guesser = Registrant(wire, agent.address, secret="guess")
    guesser.learn(await guesser.send())
    assert [(await guesser.send()).reason for _ in range(5)] == ["Forbidden"] * 5
    asked = roll.asked
    guesser.secret = "s3cret"  # even the right one waits now
    late = await guesser.send()
    assert (late.status, late.get("retry-after"), roll.asked) == (403, "10", asked)
    assert (await Registrant(honest, agent.address).register()).status == 200
    clock.at += timedelta(seconds=11)
    assert (await guesser.send()).status == 200


@pytest.mark.rfc("7616", "3.4", "5.5")
async def test_an_nc_is_good_once(device: Registrant) -> None:
    assert (await device.register()).status == 200
    device.nc = 0  # as somebody would who repeats what he overheard
    again = await device.send()
    assert again.status == 401 and all("stale=true" in value for value in again.headers["www-authenticate"])
    device.learn(again)
    assert (await device.send()).status == 200


@pytest.mark.rfc("7616", "3.3")
async def test_an_old_nonce_is_stale_and_a_made_up_one_is_not(
    make_agent: MakeAgent, make_wire: MakeWire, roll: MemoryRoll
) -> None:
    agent, wire = await make_agent(), await make_wire()
    clock = Turnable()
    enrol(agent, roll, clock)
    device = Registrant(wire, agent.address)
    device.learn(await device.send())
    clock.at += timedelta(seconds=301)
    assert "stale=true" in (await device.send()).headers["www-authenticate"][0]
    assert device.nonce is not None
    for made_up in ("0.0.x.y", "\u00e9", device.nonce.nonce[:-1] + "A", "." * 90):
        device.nonce = type(device.nonce)(DOMAIN, made_up, "MD5", False, ("auth",), None, False, "MD5", False)
        response = await device.send()
        assert response.status == 401 and "stale" not in response.headers["www-authenticate"][0]
    assert roll.asked == 0


async def test_a_nonce_is_for_one_source(agent: SipAgent, device: Registrant, make_wire: MakeWire) -> None:
    other = await make_wire("127.0.0.2")
    device.learn(await device.send())
    thief = Registrant(other, agent.address)
    thief.nonce = device.nonce
    assert "stale=true" in (await thief.send()).headers["www-authenticate"][0]


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Basic cXQwNTpzM2NyZXQ=", 400),
        ("Digest", 400),
        (f'Digest username="qt05", realm="{DOMAIN}", nonce="x", uri="sip:x", response="0"', 400),  # no qop
        (f'Digest username="qt05", realm="{DOMAIN}", nonce="x", uri="sip:x", response="0", algorithm=ROT13', 400),
        ('Digest username="qt05", realm="elsewhere", nonce="x", uri="sip:x", response="0", qop=auth, nc=00000001, '
         'cnonce="c"', 401),
        ("Digest " + 'a="b",' * 2000, 400),
    ],
)  # fmt: skip
async def test_an_answer_that_is_none_is_refused_without_asking_anybody(
    agent: SipAgent, device: Registrant, roll: MemoryRoll, authorization: str, status: int
) -> None:
    response = await device.send(authorization=authorization)
    assert (response.status, roll.asked, agent.transactions) == (status, 0, 0)


@pytest.mark.rfc("3261", "8.2.2.3", "10.3")
async def test_an_extension_we_do_not_have_is_named(device: Registrant) -> None:
    response = await device.register(require="path, gruu")
    assert (response.status, response.get("unsupported")) == (420, "gruu")


async def test_the_database_being_away_is_503(device: Registrant, roll: MemoryRoll) -> None:
    roll.away = True
    response = await device.register()
    assert (response.status, response.get("retry-after")) == (503, "10")


# -- what is kept -------------------------------------------------------------------------


@pytest.mark.rfc("3261", "10.2.1.1", "10.3")
async def test_expiry_is_asked_for_and_bounded(device: Registrant) -> None:
    brief = await device.register(expires="59")
    assert (brief.status, brief.get("min-expires")) == (423, "60")
    assert (await device.send(expires="60")).get("contact").endswith(";expires=60")
    assert (await device.send(expires="999999")).get("contact").endswith(";expires=3600")
    own = f"{device.contact};expires=120;q=0.5"
    assert (await device.send([own], expires="600")).get("contact").endswith(";expires=120;q=0.5")
    assert (await device.send([f"{device.contact};q=2"])).status == 400


@pytest.mark.rfc("3261", "10.2.3")
async def test_a_question_changes_nothing(wire: Wire, device: Registrant, roll: MemoryRoll) -> None:
    empty = await device.register([])
    assert (empty.status, "contact" in empty.headers, roll.stored) == (200, False, 0)
    await device.send()
    assert (await device.send([])).headers["contact"] == [f"<{wire.uri('qt05')}>;expires=300"]
    assert roll.stored == 1


@pytest.mark.rfc("3261", "10.2.2")
async def test_a_contact_leaves_by_itself_and_all_leave_by_the_star(device: Registrant, roll: MemoryRoll) -> None:
    await device.register(["<sip:a@192.0.2.1>", "<sip:b@192.0.2.1>", "<sip:c@192.0.2.1>"])
    left = await device.send(["<sip:b@192.0.2.1>;expires=0"])
    assert sorted(each.split(">")[0] for each in left.headers["contact"]) == ["<sip:a@192.0.2.1", "<sip:c@192.0.2.1"]
    assert (await device.send(["*"])).status == 400
    assert (await device.send(["*", device.contact], expires="0")).status == 400
    assert len(bindings(roll)) == 2
    gone = await device.send(["*"], expires="0")
    assert (gone.status, "contact" in gone.headers, bindings(roll)) == (200, False, [])


@pytest.mark.rfc("3261", "10.3")
async def test_what_comes_out_of_order_changes_nothing(device: Registrant, roll: MemoryRoll) -> None:
    device.cseq = 10
    await device.register()
    before = bindings(roll)
    device.cseq = 5
    assert (await device.send([f"{device.contact};expires=0"])).status == 500
    assert (await device.send(["*"], expires="0")).status == 500
    assert (await device.send(["<sip:new@192.0.2.1>", device.contact])).status == 500  # all or nothing
    assert bindings(roll) == before
    device.call_id = "started-anew"
    assert (await device.send([f"{device.contact};expires=0"])).status == 200


async def test_a_fifth_contact_takes_the_place_of_the_oldest(
    make_agent: MakeAgent, make_wire: MakeWire, roll: MemoryRoll
) -> None:
    agent, wire = await make_agent(), await make_wire()
    clock = Turnable()
    enrol(agent, roll, clock)
    device = Registrant(wire, agent.address)
    device.learn(await device.send())
    for number in range(MOST_BINDINGS + 1):
        clock.at += timedelta(seconds=1)
        assert (await device.send([f"<sip:c{number}@192.0.2.1>"])).status == 200
    assert {binding.contact for binding in bindings(roll)} == {f"sip:c{n}@192.0.2.1" for n in (1, 2, 3, 4)}
    assert (await device.send([f"<sip:c{n}@192.0.2.1>" for n in range(9)])).status == 400


async def test_a_device_that_comes_with_a_new_contact_replaces_its_old_one(
    device: Registrant, roll: MemoryRoll
) -> None:
    mark = ';+sip.instance="<urn:uuid:1>"'
    await device.register([f"<sip:old@192.0.2.1>{mark}"])
    await device.send([f"<sip:new@192.0.2.1>{mark}"])
    assert [binding.contact for binding in bindings(roll)] == ["sip:new@192.0.2.1"]


async def test_a_repetition_is_answered_again_and_stored_once(device: Registrant, roll: MemoryRoll) -> None:
    await device.register()
    device.cseq -= 1
    device.nc -= 1  # byte for byte what was sent before
    assert (await device.send()).status == 200
    assert roll.stored == 1


async def test_a_repetition_that_comes_while_it_is_stored_adds_nothing(
    agent: SipAgent, wire: Wire, device: Registrant, make_wire: MakeWire, roll: MemoryRoll
) -> None:
    other = await make_wire()
    device.learn(await device.send())
    roll.gate = asyncio.Event()
    first = asyncio.create_task(device.send())
    await until_asked(roll, 1)
    wire.send(device.sent)
    other.request("OPTIONS", agent.address)
    await other.next(200)  # what was sent before it has been read
    roll.gate.set()
    assert (await first).status == 200
    assert (roll.asked, roll.stored) == (1, 1)


async def until_asked(roll: MemoryRoll, times: int) -> None:
    async with asyncio.timeout(5):
        while roll.asked < times:  # noqa: ASYNC110 - a roll tells of no event
            await asyncio.sleep(0.005)


# -- where the registered are called ------------------------------------------------------


async def answer(wire: Wire) -> str:
    """Take the next call; returns its request URI."""
    invite = await wire.next("INVITE")
    wire.reply(invite, 200, body=sdp())
    await wire.next("ACK")
    uri: str = invite.uri
    return uri


@pytest.mark.rfc("3261", "10.1")
async def test_the_registered_are_called_at_their_contact(agent: SipAgent, wire: Wire, device: Registrant) -> None:
    await device.register()
    ear = Ear()
    call = agent.call(AOR, ear, sdp=sdp())
    assert await answer(wire) == wire.uri("qt05")
    await ear.next("answered")
    assert call.dialog.remote == f"<{AOR}>"
    call.hang_up()
    assert (await wire.next("BYE")).uri == wire.uri()


async def test_nobody_registered_is_told_in_words(make_agent: MakeAgent, roll: MemoryRoll) -> None:
    agent = await make_agent()
    enrol(agent, roll)
    ear = Ear()
    agent.call(AOR, ear, sdp=sdp())
    assert await ear.next("refused") == (408, NOT_REGISTERED, False)
    assert len(agent) == 0


async def test_who_has_run_out_is_told_with_since_when(
    make_agent: MakeAgent, make_wire: MakeWire, roll: MemoryRoll
) -> None:
    agent, wire = await make_agent(), await make_wire()
    clock = Turnable()
    enrol(agent, roll, clock)
    await Registrant(wire, agent.address).register()
    clock.at += timedelta(seconds=301)
    ear = Ear()
    agent.call(AOR, ear, sdp=sdp())
    _, why, _ = await ear.next("refused")
    assert why == f"{NOT_REGISTERED} since {roll.rows[AOR].until_at:%Y-%m-%dT%H:%M}+00:00"  # type: ignore[str-format]
    assert wire.quiet()


async def test_a_roll_that_does_not_answer_is_told_as_such(make_agent: MakeAgent, roll: MemoryRoll) -> None:
    agent = await make_agent()
    enrol(agent, roll)
    roll.away = True
    ear = Ear()
    agent.call(AOR, ear, sdp=sdp())
    assert (await ear.next("refused"))[1] == "where it is registered cannot be looked up"


@pytest.mark.rfc("3581", "4")
@pytest.mark.rfc("5626", "5.3")
async def test_behind_a_nat_it_is_called_where_it_came_from(agent: SipAgent, wire: Wire, device: Registrant) -> None:
    accepted = await device.register(["<sip:qt05@10.9.9.9:5062>"])
    assert accepted.get("contact") == "<sip:qt05@10.9.9.9:5062>;expires=60"  # its hole closes soon
    ear = Ear()
    call = agent.call(AOR, ear, sdp=sdp())
    invite = await wire.next("INVITE")
    assert invite.uri == "sip:qt05@10.9.9.9:5062"
    response = wire.reply(invite, 200, body=sdp(), headers=[("Contact", "<sip:qt05@10.9.9.9:5062>")])
    assert len(response.headers["contact"]) == 2
    await wire.next("ACK")
    await ear.next("answered")
    call.hang_up()
    await wire.next("BYE")


@pytest.mark.rfc("3327", "5.1", "5.3")
async def test_along_its_path(agent: SipAgent, wire: Wire, device: Registrant, make_wire: MakeWire) -> None:
    edge = await make_wire("127.0.0.3")
    path = f"<sip:edge@{edge.address[0]}:{edge.address[1]};lr>"
    accepted = await device.register(path=path, supported="path")
    assert accepted.headers["path"] == [path]
    agent.call(AOR, Ear(), sdp=sdp())
    invite = await edge.next("INVITE")
    assert (invite.uri, invite.headers["route"]) == (wire.uri("qt05"), [path])
    assert wire.quiet()


@pytest.mark.rfc("3261", "10.2.1.2", "8.1.2")
async def test_the_best_place_first_and_then_the_next(agent: SipAgent, device: Registrant, make_wire: MakeWire) -> None:
    low, high, deaf = await make_wire(), await make_wire(), await make_wire()
    places = [f"<{low.uri('low')}>;q=0.1", f"<{high.uri('high')}>;q=0.9", f"<{deaf.uri('deaf')}>;q=0.5"]
    await device.register(places)
    deaf.close()  # its port is closed: refused at once
    ear = Ear()
    call = agent.call(AOR, ear, sdp=sdp())
    first = await high.next("INVITE")
    high.reply(first, 480)
    second = await low.next("INVITE")
    assert (second.call_id, second.to_tag) == (first.call_id, "") and second.cseq > first.cseq
    low.reply(second, 200, tag="low", body=sdp())
    await ear.next("answered")
    assert (await low.next("ACK")).to_tag == "low"
    call.hang_up()
    await low.next("BYE")


async def test_when_no_place_takes_it_the_last_word_is_told(
    agent: SipAgent, wire: Wire, device: Registrant, make_wire: MakeWire
) -> None:
    other = await make_wire()
    await device.register([f"<{wire.uri('a')}>;q=0.9", f"<{other.uri('b')}>;q=0.1"])
    ear = Ear()
    agent.call(AOR, ear, sdp=sdp())
    wire.reply(await wire.next("INVITE"), 404)
    other.reply(await other.next("INVITE"), 404)
    assert (await ear.next("refused"))[0] == 404


async def test_busy_is_busy_and_no_other_place_is_tried(
    agent: SipAgent, wire: Wire, device: Registrant, make_wire: MakeWire
) -> None:
    other = await make_wire()
    await device.register([f"<{wire.uri('a')}>;q=0.9", f"<{other.uri('b')}>;q=0.1"])
    ear = Ear()
    agent.call(AOR, ear, sdp=sdp())
    wire.reply(await wire.next("INVITE"), 486)
    assert (await ear.next("refused"))[0] == 486 and other.quiet()


async def test_given_up_while_it_is_looked_up(agent: SipAgent, wire: Wire, device: Registrant) -> None:
    await device.register()
    ear = Ear()
    agent.call(AOR, ear, sdp=sdp()).hang_up()
    assert (await ear.next("refused"))[0] == 487
    assert len(agent) == 0 and not any(getattr(each, "method", "") == "INVITE" for each in wire.heard)


async def test_a_request_outside_calls_finds_the_registered_too(
    agent: SipAgent, wire: Wire, device: Registrant
) -> None:
    await device.register()
    told: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
    agent.send("MESSAGE", AOR, told.set_result)
    request = await wire.next("MESSAGE")
    assert request.uri == wire.uri("qt05")
    wire.reply(request, 200)
    response = await told
    assert response is not None and response.status == 200
