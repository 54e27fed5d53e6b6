"""`make peers`: the main job on real calls, driven from outside as a user would.

A bridge and a provincial room (Asterisk), 41 endpoints (baresip, and Asterisk for H.323)
and `diemcau serve` as a child process. First run: everybody in by three ways, the province
linked through its PIN, dropped sites back in. Second run: the orchestrator is killed in the
middle of dialing and started again. What is proven is asked of the peers, not of us.

The last line is `peers: connected=41/41 link=up double_dials=0 leftovers=0
foreign_calls_kept=1`; the exit status is 0 only if it says so and nothing else was wrong.
"""

import asyncio
import contextlib
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from zoneinfo import ZoneInfo

from tests.peers import proof
from tests.peers.lab.place import LabError, lab_folder
from tests.peers.lab.scene import MAIN_IP, PROVINCE_IP, ROOM, Scene, running_lab
from tests.peers.lab.sites import CODECS_IP, THIRD_PARTY, inventory, province
from tests.peers.rest import Board, Orchestrator

SITES = 41
ZONE = "Asia/Ho_Chi_Minh"
WHOLE_S = 460.0
ROOM_NAME = "Tỉnh"

# the second run: these ring until somebody picks up, so that "in the middle" is real
RINGING_BRIDGE = ("qt02", "qt04")
RINGING_THIRD_PARTY = ("qt01", "qt03")
RINGING_H323 = ("qt13",)
LATEST_KILL = 28  # sites rung; by then the middle is nearly over
PICKED_UP_WHILE_DEAD = ("qt02", "qt03")

Look = Callable[[], Awaitable[str]]

_began = time.monotonic()


def say(text: str) -> None:
    print(f"{time.monotonic() - _began:6.1f} s  {text}", flush=True)


class Story:
    """The scenario, and what it found."""

    def __init__(self, lab: Scene, server: Orchestrator) -> None:
        self.lab = lab
        self.server = server
        self.wrong: list[str] = []
        self.connected = 0
        self.link_up = False
        self.double_dials = 0
        self.leftovers = 0
        self.foreign_kept = 0

    def check(self, fine: bool, otherwise: str) -> None:
        if not fine:
            say(f"WRONG: {otherwise}")
            self.wrong.append(otherwise)

    def line(self) -> str:
        link = "up" if self.link_up else "down"
        return (
            f"peers: connected={self.connected}/{SITES} link={link} double_dials={self.double_dials} "
            f"leftovers={self.leftovers} foreign_calls_kept={self.foreign_kept}"
        )

    @property
    def fine(self) -> bool:
        figures = (self.connected, self.link_up, self.double_dials, self.leftovers, self.foreign_kept)
        return not self.wrong and figures == (SITES, True, 0, 0, 1)

    # --- booking ---------------------------------------------------------------------------

    async def book_inventory(self) -> None:
        lab, server = self.lab, self.server
        settings = {
            "sip_endpoint": "lan",
            "bridge_profile": "main",
            "user_profile": "guest",
            "h323_peers": {CODECS_IP: "codecs"},
        }
        bridges = (
            ("Cầu chính", MAIN_IP, lab.login, 8100, 8199),
            ("Cầu tỉnh", PROVINCE_IP, lab.province_login, 9000, 9099),
        )
        for name, ip, login, first, last in bridges:
            await server.post(
                "/bridges",
                {
                    "name": name,
                    "family": "asterisk",
                    "control_host": ip,
                    "control_port": 5038,
                    "control_username": login.name,
                    "control_secret": login.secret,
                    "conference_address": f"sip:{{number}}@{ip}:5060",
                    "first_number": first,
                    "last_number": last,
                    "settings": settings,
                },
            )
        await server.post(
            "/rooms",
            {"name": ROOM_NAME, "address": lab.room_address, "pin": lab.pin, "bridge": "Cầu tỉnh", "number": ROOM},
        )
        await server.post_csv("/sites/import", inventory(lab.rows))

    async def book_meeting(self, title: str) -> int:
        """A meeting that is due now: dialing opens ten minutes before its start."""
        start = datetime.now(ZoneInfo(ZONE)) + timedelta(minutes=2)
        meeting = await self.server.post(
            "/meetings",
            {
                "title": title,
                "start": start.strftime("%Y-%m-%dT%H:%M"),
                "time_zone": ZONE,
                "duration_min": 30,
                "bridge": "Cầu chính",
                "sites": "all",
                "links": [ROOM_NAME],
                "lead_min": 10,
            },
        )
        return int(meeting["id"])

    # --- what the board and the peers say ----------------------------------------------------

    async def everybody_in(self, run: int, within_s: float) -> Board:
        board = await self.server.until(run, "everybody to be in", all_in, within_s)
        number = str(board["number"])
        await settle("sound in every direction", self.no_silence(number), within_s=25.0, otherwise=self.check)
        several = proof.one_call_each(self.lab)
        self.check(not several, f"not exactly one call up at {', '.join(several)}")
        room = await proof.in_the_room(self.lab)
        self.check(len(room) == 1, f"the provincial room has {len(room)} callers, not 1")
        self.connected = board["counts"]["in"]
        self.link_up = len(room) == 1 and all(link["state"] == "in" for link in board["links"])
        return board

    def no_silence(self, number: str) -> Look:
        async def look() -> str:
            missing = await proof.sound(self.lab, number)
            return "" if missing.complete else str(missing)

        return look

    async def over(self, run: int) -> None:
        """End the run as an operator would, and see that nothing of ours is left anywhere."""
        hung_up = len(self.lab.main.manager.events.seen)
        await self.server.post(f"/runs/{run}/end")
        board = await self.server.until(run, "the run to be over", lambda board: bool(board["over"]), 60.0)
        self.check(board["state"] == "done", f"the run ended as {board['state']}, not as done")

        async def look() -> str:
            return ", ".join(await proof.leftovers(self.lab))

        left = await settle("every call of ours to end", look, within_s=10.0)
        if left:
            self.leftovers += len(left.split(", "))
            self.check(False, f"still up after the end: {left}")
        silent = proof.ended_by_silence(self.lab, hung_up)
        self.check(not silent, f"ended for want of sound, not by a goodbye: {', '.join(silent)}")

    def count_double_dials(self, before: Counter[str], drops: Counter[str], what: str) -> None:
        """Every site may have been rung once, and once more for each time that it was dropped."""
        for code, times in (proof.rung(self.lab) - before).items():
            allowed = 1 + drops[code]
            if times > allowed:
                self.double_dials += times - allowed
                self.check(False, f"{what}: {code} was rung {times} times, not {allowed}")

    # --- the two runs ------------------------------------------------------------------------

    async def everybody_in_by_three_ways(self) -> None:
        lab = self.lab
        before = proof.rung(lab)
        run = await self.server.run_of(await self.book_meeting("Giao ban: mọi điểm cầu"))
        board = await self.everybody_in(run, 90.0)
        say(f"all in: {board['counts']['in']}/{SITES}, link {[link['state'] for link in board['links']]}")
        ways: Counter[str] = Counter()
        for row in lab.rows:
            site = next(site for site in board["sites"] if site["code"] == row.code)
            used = THIRD_PARTY if site["way"] == "third-party" else f"{site['way']} {site['address'].partition(':')[0]}"
            ways[used] += 1
            self.check(used == row.way, f"{row.code} came in by {used}, not by {row.way}")
        say("ways: " + ", ".join(f"{way}: {count}" for way, count in ways.items()))
        drops = await self.drop_some(run)
        self.count_double_dials(before, drops, "first run")
        await self.over(run)
        await self.both_sides_said_goodbye()
        record = await self.server.get(f"/runs/{run}/attendance")
        absent = [line["code"] for line in record["participants"] if not line["was_there"]]
        there = len(record["participants"]) - len(absent)
        self.check(there == SITES + 1 and not absent, f"attendance counts {there} present, absent: {absent}")
        say("first run over: nothing of ours is left, and attendance has everybody")

    async def drop_some(self, run: int) -> Counter[str]:
        """A person hangs up, two rooms lose power, an H.323 box lets go: all of them come back."""
        lab = self.lab
        hung_up, dark, let_go = "qt05", ("qt07", "qt08"), "qt25"
        gone = {hung_up, *dark, let_go}
        say(f"dropping: {hung_up} hangs up, {' and '.join(dark)} lose power, {let_go} (H.323) lets go")
        await lab.endpoints[hung_up].hang_up()
        for code in dark:
            await lab.endpoints[code].cut_power()
        for one in await lab.codecs.manager.roster(let_go):
            if one["Channel"].startswith("OOH323/"):
                await lab.codecs.manager.ask("Hangup", Channel=one["Channel"])

        def missed(board: Board) -> bool:
            return any(site["state"] != "in" for site in board["sites"] if site["code"] in gone)

        await self.server.until(run, "the board to show the drops", missed, 30.0)
        for code in dark:
            await lab.endpoints[code].start()
        await self.everybody_in(run, 120.0)
        say("dropped sites are back in")
        return Counter(gone)

    async def both_sides_said_goodbye(self) -> None:
        """A third-party call has two ends: each got its BYE from us."""
        for row in self.lab.rows:
            if row.way == THIRD_PARTY:
                endpoint = self.lab.endpoints[row.code]
                seen = endpoint.seen()
                last = seen.invited[-1] if seen.invited else ""
                self.check(last in seen.got_bye, f"{row.code} got no BYE for its last call")

    async def killed_in_the_middle(self) -> None:
        lab = self.lab
        for code in (*RINGING_BRIDGE, *RINGING_THIRD_PARTY):
            await lab.endpoints[code].set_mode("manual")
        for code in RINGING_H323:
            await lab.codecs.set_ringing(code, True)
        before = proof.rung(lab)
        run = await self.server.run_of(await self.book_meeting("Giao ban: giữa chừng mất điện"))
        number = str((await self.server.board(run))["number"])
        await lab.guest.dial(f"sip:{number}@{MAIN_IP}:5060")
        sip_ringing = (*RINGING_BRIDGE, *RINGING_THIRD_PARTY)

        async def middle() -> str:
            quiet = [code for code in sip_ringing if not lab.endpoints[code].ringing]
            rung = proof.rung(lab) - before
            if len(rung) < LATEST_KILL:  # chan_ooh323 loses a set-up now and then: not waited for without end
                quiet += [code for code in RINGING_H323 if not rung[code]]
            if not await proof.in_the_room(lab):
                quiet.append(ROOM_NAME)  # a PIN entered by half cannot be taken up: that link would be dialed anew
            return ", ".join(quiet)

        quiet = await settle("the middle of dialing", middle, 30.0, every_s=0.05)
        assert self.server.child is not None
        self.server.child.kill()
        rung = proof.rung(lab) - before
        up = {code: endpoint.living[0].ident for code, endpoint in lab.endpoints.items() if endpoint.living}
        undialed = [row.code for row in lab.rows if not rung[row.code]]
        ringing = len(sip_ringing) + sum(bool(rung[code]) for code in RINGING_H323)
        say(f"killed: {len(up)} SIP endpoints up, {ringing} sites ringing, {len(undialed)} not yet dialed")
        self.check(not quiet, f"not ringing at the kill: {quiet}")
        self.check(bool(up) and bool(undialed), "the kill did not come in the middle of dialing")
        for code in PICKED_UP_WHILE_DEAD:
            await lab.endpoints[code].accept()
        await self.server.start()
        say("started again on the same folder")
        for code in sip_ringing:
            if code not in PICKED_UP_WHILE_DEAD and lab.endpoints[code].ringing:
                await lab.endpoints[code].accept()
        for code in RINGING_H323:
            await lab.codecs.set_ringing(code, False)
        board = await self.everybody_in(run, 150.0)
        say(f"after the restart: {board['counts']['in']}/{SITES}, link {[link['state'] for link in board['links']]}")
        for code, ident in up.items():
            same = [call.ident for call in lab.endpoints[code].living]
            self.check(same == [ident], f"{code}: the call of before the kill was not kept ({same}, not {ident})")
        self.count_double_dials(before, Counter(), "over the kill")
        await self.over(run)
        await self.both_sides_said_goodbye()
        self.foreign_kept = int(await proof.guest_is_in(lab, number))
        self.check(self.foreign_kept == 1, "the call that was placed by hand did not stay up")

    async def tell(self) -> None:
        await self.server.start()
        say(f"orchestrator up on port {self.server.port}")
        await self.book_inventory()
        await self.everybody_in_by_three_ways()
        await self.killed_in_the_middle()
        status = await self.server.stop()
        self.check(status == 0, f"diemcau serve ended with status {status} when it was asked to end")


def all_in(board: Board) -> bool:
    return board["counts"]["in"] == SITES and all(link["state"] == "in" for link in board["links"])


async def settle(
    what: str,
    look: Look,
    within_s: float,
    *,
    otherwise: Callable[[bool, str], None] | None = None,
    every_s: float = 0.25,
) -> str:
    """Look until nothing is missing; returns (and tells `otherwise`) what still is when the time is up."""
    until = time.monotonic() + within_s
    while missing := await look():
        if time.monotonic() > until:
            if otherwise is not None:
                otherwise(False, f"no {what} within {within_s:g} s: {missing}")
            return missing
        await asyncio.sleep(every_s)
    return ""


async def story() -> int:
    data = Path(mkdtemp(prefix="diemcau-peers-"))
    try:
        async with asyncio.timeout(WHOLE_S), running_lab(province(SITES), say=say) as lab:
            say(f"lab up: 3 Asterisk, {len(lab.endpoints)} SIP endpoints, logs in {lab.logs}")
            server = Orchestrator(data, lab.logs, lab.ledger)
            told = Story(lab, server)
            try:
                await told.tell()
            except (LabError, TimeoutError) as error:
                told.check(False, str(error))
            finally:
                with contextlib.suppress(Exception):
                    await server.close()
        print(told.line(), flush=True)
        if told.fine:
            return 0
        for text in told.wrong:
            print(f"peers: {text.splitlines()[0]}", file=sys.stderr)
        # the journal is in it: what was decided, when and why
        await asyncio.to_thread(
            shutil.copytree, data, lab.logs / "data", ignore=shutil.ignore_patterns("key", "token"), dirs_exist_ok=True
        )
        print(f"peers: logs of everybody are in {lab.logs}", file=sys.stderr)
        return 1
    except TimeoutError:
        print(f"peers: not done within {WHOLE_S:g} s; logs are in {lab_folder() / 'runs'}", file=sys.stderr)
        return 1
    except LabError as error:
        print(f"peers: {error}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(data, ignore_errors=True)


def main() -> int:
    async def guarded() -> int:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await story()

    try:
        return asyncio.run(guarded())
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("peers: interrupted; everything that was started has been ended", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
