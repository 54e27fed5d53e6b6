"""Endpoints that dial by their own control session: in, out, taken over, away, and answering by themselves."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

from sqlmodel import select

from adapters import AutoAnswerMode
from adapters.control.twin import Twin
from adapters.virtual.codec import Codec
from orchestrator.store.auto_answer import AutoAnswerLease
from orchestrator.store.inventory import Endpoint
from orchestrator.store.runs import Run
from tests.faults.conftest import Opening, Theater, site

CODE = "qt07"  # a Polycom in the sample inventory
SITES = 7
BY_ITSELF = "endpoint-dials bridge-dials"


def _twin(play: Theater) -> Twin:
    return play.province.twins[CODE]


def _codec(play: Theater) -> Codec:
    codec = play.province.endpoint(CODE)
    assert isinstance(codec, Codec)
    return codec


def _dials(play: Theater) -> int:
    return sum(command.startswith("dial ") for command in _twin(play).commands)


async def _have_answered(play: Theater) -> None:
    """The inventory says that the endpoint is to answer by itself."""
    async with play.database.write() as session:
        row = (await session.exec(select(Endpoint).where(Endpoint.name == CODE))).one()
        row.auto_answer = True


async def _leases(play: Theater) -> list[AutoAnswerLease]:
    async with play.database.read() as session:
        return list((await session.exec(select(AutoAnswerLease))).all())


async def test_an_endpoint_dials_by_its_console_and_both_sides_say_that_it_is_in(theater: Opening) -> None:
    play, conductor = await theater(SITES, consoles=True, ladder=BY_ITSELF)
    await play.begin(conductor)
    shown = site(await play.until_all_in(), CODE)
    assert (shown["way"], shown["attempts"]) == ("endpoint-dials", 1)
    assert shown["evidence"] == {"endpoint": "connected", "bridge": "in"}
    assert _codec(play).tally.rings == 0  # it was not called
    await play.end(conductor)
    assert any(command.startswith("hangup") for command in _twin(play).commands)
    assert play.calls_left() == 0
    assert not play.province.stats()["bridge_calls"]["mcu"]


async def test_a_call_that_the_console_placed_is_taken_up_and_not_dialed_again(theater: Opening) -> None:
    play, _ = await theater(SITES, consoles=True, ladder=BY_ITSELF, conducted=False)
    async with AsyncExitStack() as life:
        await play.begin(await play.conductor(life))
        await play.until_all_in()
    heir = await play.conductor()
    await play.until(lambda shown: site(shown, CODE)["evidence"] == {"endpoint": "connected", "bridge": "in"})
    assert _dials(play) == 1
    await play.end(heir)
    assert _dials(play) == 1
    assert play.calls_left() == 0


async def test_a_call_that_its_device_tells_no_later_process_of_is_left_and_the_bridge_ends_it(
    theater: Opening,
) -> None:
    code = "qt37"  # a Sony PCS-XG in the sample inventory: its calls cannot be adopted
    play, _ = await theater(37, consoles=True, ladder=BY_ITSELF, conducted=False)
    async with AsyncExitStack() as life:
        await play.begin(await play.conductor(life))
        await play.until_all_in()
    heir = await play.conductor()
    await play.until(lambda shown: site(shown, code)["evidence"]["bridge"] == "in")
    await play.end(heir)
    shown = site(await play.board(), code)
    assert (shown["way"], shown["attempts"]) == ("endpoint-dials", 1)
    assert sum(command.startswith("dial ") for command in play.province.twins[code].commands) == 1
    await play.province.until(lambda province: province.stats()["calls"] == 0)
    assert not play.province.stats()["bridge_calls"]["mcu"]


async def test_who_hangs_up_in_the_room_is_told_by_the_console_and_dialed_again(theater: Opening) -> None:
    play, conductor = await theater(SITES, consoles=True, ladder=BY_ITSELF)
    await play.begin(conductor)
    await play.until_all_in()
    codec = _codec(play)
    codec.end(next(iter(codec.call_table.values())))
    await play.until(lambda shown: site(shown, CODE)["attempts"] == 2 and site(shown, CODE)["state"] == "in")
    assert play.nobody_was_rung_twice()


async def test_where_the_console_is_away_the_next_way_is_tried(theater: Opening) -> None:
    play, conductor = await theater(SITES, consoles=True, ladder=BY_ITSELF)
    await _twin(play).stop()
    await play.begin(conductor)
    shown = site(await play.until_all_in(), CODE)
    assert shown["way"] == "bridge-dials"


async def test_a_console_that_goes_away_in_a_meeting_leaves_the_call_and_its_end_to_the_bridge(
    theater: Opening,
) -> None:
    play, conductor = await theater(SITES, consoles=True, ladder=BY_ITSELF)
    await play.begin(conductor)
    await play.until_all_in()
    await _twin(play).stop()
    await play.until_told("device-gone")
    assert site(await play.board(), CODE)["state"] == "in"
    await play.end(conductor)  # nobody can be told to hang up there: the bridge drops it
    assert play.calls_left() == 0


async def test_a_refused_log_in_is_not_tried_again_until_the_inventory_says_another_secret(
    theater: Opening,
) -> None:
    play, conductor = await theater(SITES, consoles=True, ladder=BY_ITSELF)
    twin = _twin(play)
    right, twin.secret = twin.secret, "another-secret"
    await play.begin(conductor)
    shown = site(await play.until_all_in(), CODE)
    assert (shown["way"], twin.refusals) == ("bridge-dials", 1)
    await conductor.order(play.run_id, "redial", {"site": CODE})
    await play.until(lambda shown: site(shown, CODE)["attempts"] >= 4 and site(shown, CODE)["state"] == "in")
    assert twin.refusals == 1  # devices lock out who knocks too often
    twin.secret = right
    await conductor.endpoint_changed(CODE)
    await conductor.order(play.run_id, "redial", {"site": CODE})
    await play.until(lambda shown: site(shown, CODE)["way"] == "endpoint-dials" and site(shown, CODE)["state"] == "in")


async def test_an_endpoint_answers_muted_while_the_window_is_open_and_as_before_afterwards(theater: Opening) -> None:
    play, conductor = await theater(SITES, consoles=True, ladder="bridge-dials")
    await _have_answered(play)
    codec = _codec(play)
    await play.begin(conductor)
    await play.until_all_in()
    await play.until_told("auto-answer-on")
    assert (codec.auto_answer, codec.is_muted) == (AutoAnswerMode.ON, True)
    [lease] = await _leases(play)
    assert (lease.mode, lease.microphone_muted) == ("off", False)
    await play.end(conductor)
    await play.until_told("auto-answer-restored")
    assert (codec.auto_answer, codec.is_muted) == (AutoAnswerMode.OFF, False)
    assert await _leases(play) == []


async def test_the_old_setting_comes_back_after_a_crash_too(theater: Opening) -> None:
    play, _ = await theater(SITES, consoles=True, ladder="bridge-dials", conducted=False)
    await _have_answered(play)
    codec = _codec(play)
    codec.auto_answer = AutoAnswerMode.DO_NOT_DISTURB
    async with AsyncExitStack() as life:
        await play.begin(await play.conductor(life))
        await play.until_told("auto-answer-on")
    assert codec.auto_answer is AutoAnswerMode.ON
    async with play.database.write() as session:  # the meeting's window has closed meanwhile
        [lease] = (await session.exec(select(AutoAnswerLease))).all()
        lease.until_at = datetime.now(UTC) - timedelta(seconds=1)
        run = await session.get(Run, play.run_id)
        assert run is not None
        run.ends_at = lease.until_at
    await play.conductor()
    await play.until_told("auto-answer-restored")
    assert codec.auto_answer is AutoAnswerMode.DO_NOT_DISTURB
    assert await _leases(play) == []


async def test_who_changed_the_setting_meanwhile_keeps_his(theater: Opening) -> None:
    play, conductor = await theater(SITES, consoles=True, ladder="bridge-dials")
    await _have_answered(play)
    codec = _codec(play)
    await play.begin(conductor)
    await play.until_told("auto-answer-on")
    codec.auto_answer = AutoAnswerMode.DO_NOT_DISTURB
    await play.end(conductor)
    await play.until_told("auto-answer-restored")
    assert codec.auto_answer is AutoAnswerMode.DO_NOT_DISTURB
