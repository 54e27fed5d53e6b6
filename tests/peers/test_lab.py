"""The lab's own promises, as far as they need no Asterisk: ledger, lock, mirrors, traces, configuration."""

import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.lab import root, trace
from tests.peers.lab.asterisk import eyes
from tests.peers.lab.config import Folders, Instance, Login, files
from tests.peers.lab.place import LabError, Lock
from tests.peers.lab.process import Ledger, started_ticks
from tests.peers.lab.sites import inventory, province

WAITS = (sys.executable, "-c", "import signal; signal.pause()")


def test_stop_all_ends_every_child_and_forgets_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    children = [ledger.start(f"child-{n}", WAITS, tmp_path / "log") for n in range(3)]
    assert all(child.alive for child in children)
    ledger.stop_all()
    assert [started_ticks(child.pid) for child in children] == [None] * 3
    assert not ledger.path.exists()


def test_a_run_after_a_killed_one_ends_what_was_left_and_nothing_else(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    left = ledger.start("left", WAITS, tmp_path / "log")
    # the same number, but started at another time: somebody else's by now
    bystander = subprocess.Popen(WAITS)
    try:
        text = ledger.path.read_text()
        ticks = started_ticks(bystander.pid)
        assert ticks is not None
        alien = re.sub(r'"pid": \d+', f'"pid": {bystander.pid}', text)
        alien = re.sub(r'"ticks": \d+', f'"ticks": {ticks - 1}', alien)
        ledger.path.write_text(text + alien + '{"pid": 1, "ti')
        assert Ledger(ledger.path).sweep() == ["left"]
        assert left.process.wait(5) == -signal.SIGKILL
        assert started_ticks(bystander.pid) == ticks
        assert Ledger(ledger.path).sweep() == []
    finally:
        bystander.kill()
        bystander.wait()


def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import signal, sys
from pathlib import Path
from tests.peers.lab.process import Ledger
waits = [sys.executable, "-c", "import signal; signal.pause()"]
child = Ledger(Path({str(tmp_path / "ledger")!r})).start("child", waits, Path({str(tmp_path / "log")!r}))
print(child.pid, flush=True)
signal.pause()
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    watched = os.pidfd_open(child)
    try:
        parent.kill()
        parent.wait()
        parent.stdout.close()
        ended, _, _ = select.select([watched], [], [], 10.0)
        assert ended, "the child outlived its parent"
    finally:
        os.close(watched)


def test_a_second_user_of_the_lab_is_told_who_has_it(tmp_path: Path) -> None:
    first, second = (Lock(tmp_path / "lock", "the lab 'x'") for _ in range(2))
    first.take()
    with pytest.raises(LabError, match=rf"the lab 'x' is in use by process {os.getpid()}"):
        second.take()
    first.release()
    second.take()
    second.release()


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("sources.list", "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ bookworm main\n", "debian"),
        ("sources.list.d/a.sources", "Types: deb\nURIs: https://mirror.example/debian\nSuites: x\n", "debian"),
        ("sources.list", "# deb http://off.example/debian x main\ndeb http://mirror.example/other x main\n", "other"),
    ],
)
def test_the_mirror_is_the_one_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, found: str
) -> None:
    monkeypatch.delenv("DIEMCAU_LAB_MIRROR", raising=False)
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("deb http://mirror.example/debian-security bookworm-security main\n" + text)
    mirrors = root.mirrors(tmp_path)
    assert [uri.rpartition("/")[2] for uri in mirrors if "security" not in uri] == [found]
    assert all(uri.partition("://")[2].startswith("mirror.example") for uri in mirrors)
    monkeypatch.setenv("DIEMCAU_LAB_MIRROR", "http://named.example/d")
    assert root.mirrors(tmp_path)[0] == "http://named.example/d"


def test_a_build_that_was_broken_off_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "asterisk-root"
    (folder / "usr/sbin").mkdir(parents=True)
    assert not root.complete(folder)
    (folder / "usr/sbin/asterisk").write_text("")
    (tmp_path / root.BUILDING).touch()
    assert not root.complete(folder)


PACKET = (
    b"\x1b[36;1m#\nUDP %s -> %s\n%s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9;branch=z9\r\n"
    b"To: <sip:a@127.0.0.2>%s\r\nCall-ID: %s\r\nContent-Length: 0\r\n\r\n\x1b[;m\n"
)


def test_only_calls_that_come_in_are_counted_and_each_once() -> None:
    there, here = b"127.0.0.1:5060", b"127.0.0.2:5060"
    text = b"".join(
        [
            PACKET % (there, here, b"INVITE sip:a@127.0.0.2", b"", b"one"),
            PACKET % (there, here, b"INVITE sip:a@127.0.0.2", b"", b"one"),  # sent again
            PACKET % (there, here, b"INVITE sip:a@127.0.0.2", b";tag=4", b"one"),  # re-INVITE
            PACKET % (here, there, b"INVITE sip:b@127.0.0.1", b"", b"own"),
            PACKET % (there, here, b"INVITE sip:a@127.0.0.2", b"", b"two"),
            PACKET % (there, here, b"BYE sip:a@127.0.0.2", b";tag=4", b"one"),
            PACKET % (here, there, b"BYE sip:b@127.0.0.1", b";tag=5", b"two"),
        ]
    )
    seen = trace.read(text, "127.0.0.2:5060")
    assert seen.invited == ["one", "two"]
    assert (seen.got_bye, seen.said_bye) == ({"one"}, {"two"})


def test_secrets_are_given_and_nothing_else_opens_the_manager() -> None:
    one, two = eyes(), eyes()
    assert one.secret != two.secret
    login = Login("diemcau", "s3cret-of-this-run")
    written = files(
        Instance("main", "127.0.10.1", [one, login], pin="314159"), Folders("/etc/x", "/var/x", "/usr/lib/x")
    )
    users = dict(re.findall(r"^\[(\S+)\]\nsecret = (\S+)$", written["manager.conf"], re.MULTILINE))
    assert users == {one.name: one.secret, "diemcau": "s3cret-of-this-run"}
    assert re.findall(r"^pin = (\S+)$", written["confbridge.conf"], re.MULTILINE) == ["314159"]
    assert written["http.conf"].startswith(";")
    assert "314159" not in repr(Instance("main", "127.0.10.1", [], pin="314159"))
    assert login.secret not in repr(login)


def test_without_a_pin_there_is_no_conference_that_asks_for_one() -> None:
    written = files(Instance("main", "127.0.10.1", [eyes()]), Folders("/etc/x", "/var/x", "/usr/lib/x"))
    assert "_9XXX" not in written["extensions.conf"]
    assert "pinned" not in written["confbridge.conf"]


def test_the_province_has_41_sites_of_all_three_ways_at_addresses_of_their_own() -> None:
    rows = province()
    assert len({row.code for row in rows}) == len({row.address for row in rows}) == 41
    assert {row.way for row in rows} == {"third-party", "bridge-dials sip", "bridge-dials h323"}
    assert len(inventory(rows).splitlines()) == 42
