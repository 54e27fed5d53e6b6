"""The command line as a person or a script meets it: real processes, a folder, exit codes."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from orchestrator.sheet import COLUMNS

ROOT = Path(__file__).parents[3]
SITES = ROOT / "adapters" / "virtual" / "sites.csv"


def environment(folder: Path, **variables: str) -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("DIEMCAU_")}
    return mine | {
        "PYTHONPATH": str(ROOT), "DIEMCAU_DATA_DIR": str(folder), "DIEMCAU_SIP_PORT": "0", "NO_COLOR": "1",
    } | variables  # fmt: skip


def diemcau(folder: Path, *words: str, give: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "api.cli", *words]
    return subprocess.run(command, input=give, capture_output=True, env=environment(folder, **variables), timeout=60)


@contextmanager
def serving(folder: Path, **variables: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """`diemcau serve` on a free port; yields its URL and its process."""
    command = [sys.executable, "-m", "api.cli", "serve", "--port", "0"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=environment(folder, **variables)
    ) as process:
        try:
            assert process.stderr is not None
            told: list[str] = []
            for line in process.stderr:
                told.append(line)
                if line.startswith("listening on "):
                    yield line.split()[-1], process
                    break
            else:
                pytest.fail(f"it did not start: {''.join(told)}")
        finally:
            if process.poll() is None:
                process.kill()


def test_the_inventory_comes_in_and_goes_out_as_it_was(tmp_path: Path) -> None:
    sites = tmp_path / "sites.csv"
    wanted = SITES.read_bytes().replace(b",lifesize,", b",aver,", 1)  # a family that there is no adapter for
    sites.write_bytes(wanted)
    dry = diemcau(tmp_path, "import", str(sites), "--dry-run", "--json")
    assert dry.returncode == 0, dry.stderr
    told = json.loads(dry.stdout)
    assert (told["dry_run"], len(told["created"]), told["created"][0]) == (True, 41, "qt01")
    assert {"row": 4, "column": "family"}.items() <= told["notices"][0].items()
    assert diemcau(tmp_path, "export").stdout.splitlines() == [",".join(COLUMNS).encode()]
    taken = diemcau(tmp_path, "import", "-", give=wanted)
    assert (taken.returncode, taken.stdout) == (0, b"sites: 41 created, 0 updated, 0 left as they are\n")
    assert b"row 4, family: family aver has no adapter yet" in taken.stderr
    out = tmp_path / "out.csv"
    assert diemcau(tmp_path, "export", str(out)).returncode == 0
    assert out.read_bytes().splitlines() == wanted.splitlines()
    again = diemcau(tmp_path, "import", str(out))
    assert again.stdout == b"sites: 0 created, 0 updated, 41 left as they are\n"


def test_a_bad_file_ends_with_2_and_every_error(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(",".join(COLUMNS) + "\nqt01,A,,99,,,sip,,,,,sip:a@h,walk,\nqt02,B,,,,,sip,,,,,sip:a@h,,\n")
    refused = diemcau(tmp_path / "data", "import", str(bad))
    assert (refused.returncode, refused.stdout) == (2, b"")
    lines = refused.stderr.decode().splitlines()
    assert lines[0] == "row 2, priority: '99' does not fit; expected a whole number from 1 to 9"
    assert [line.split(":")[0] for line in lines[1:3]] == ["row 2, ladder", "row 3, addresses"]
    assert lines[3].endswith("3 errors; nothing of it was taken in")
    as_json = diemcau(tmp_path / "data", "import", str(bad), "--json")
    assert as_json.returncode == 2
    assert [error["row"] for error in json.loads(as_json.stdout)["errors"]] == [2, 2, 3]


@pytest.mark.parametrize(
    ("words", "variables", "told"),
    [
        (["import", "/no/such/file.csv"], {}, "/no/such/file.csv: No such file or directory"),
        (["import", "/"], {}, "/: Is a directory"),
        (["export", "/no/such/folder/out.csv"], {}, "/no/such/folder/out.csv: No such file or directory"),
        (["import"], {}, "Missing argument"),
        (["fly"], {}, "No such command"),
        (["serve", "--port", "70000"], {}, "DIEMCAU_PORT: "),
        (["serve"], {"DIEMCAU_TIME_ZONE": "Mars/Olympus"}, "DIEMCAU_TIME_ZONE: 'Mars/Olympus' is no time zone"),
        (["serve"], {"DIEMCAU_TOKEN": "short"}, "DIEMCAU_TOKEN: the token is too short"),
        (
            ["export"],
            {"DIEMCAU_DATABASE_URL": "mysql://a@b/c"},
            "database 'mysql' is not supported",
        ),
        (["serve"], {"DIEMCAU_DATABASE_URL": "what"}, "DIEMCAU_DATABASE_URL: this is no database URL"),
        (["export"], {"DIEMCAU_DATABASE_URL": "postgresql://u:hidden@127.0.0.1:1/x"}, "does not answer"),
        (["serve"], {"DIEMCAU_HOST": "192.0.2.1"}, "cannot listen on 192.0.2.1:0"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_what_cannot_be_is_told_on_stderr_with_exit_code_2(
    tmp_path: Path, words: list[str], variables: dict[str, str], told: str
) -> None:
    refused = diemcau(tmp_path, *words, **{"DIEMCAU_PORT": "0"} | variables)
    text = refused.stderr.decode()
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert told in text
    assert "Traceback" not in text
    assert not any(value in text for value in ("short\n", "hidden"))


def test_serve_makes_its_folder_serves_and_ends_when_told(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    with serving(folder) as (url, process):
        token = (folder / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        made = httpx.post(f"{url}/api/v1/sites", json={"code": "qt01", "name": "A"}, headers=headers, trust_env=False)
        assert made.status_code == 201
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        rest = process.stderr.read()
        assert (process.wait(30), "Traceback" in rest, token in rest) == (0, False, False)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "key", folder / "token")}
    assert modes == {"data": 0o700, "key": 0o600, "token": 0o600}
    with serving(folder) as (url, _):
        assert httpx.get(f"{url}/api/v1/sites/qt01", headers=headers, trust_env=False).status_code == 200
        assert httpx.get(f"{url}/readyz", trust_env=False).json() == {"status": "ready"}


def test_serve_killed_in_the_middle_keeps_what_it_accepted(tmp_path: Path) -> None:
    token = "a-token-for-this-test"
    headers = {"Authorization": f"Bearer {token}"}
    with serving(tmp_path, DIEMCAU_TOKEN=token) as (url, process):
        for number in range(20):
            body = {"code": f"s{number}", "name": "A"}
            assert httpx.post(f"{url}/api/v1/sites", json=body, headers=headers, trust_env=False).status_code == 201
        process.kill()
        process.wait(30)
    assert len(diemcau(tmp_path, "export").stdout.splitlines()) == 21


def test_two_imports_and_a_service_at_once_lose_nothing(tmp_path: Path) -> None:
    header = ",".join(COLUMNS)
    for name in ("a", "b"):
        rows = [f"{name}{n:03},Site,,,,,sip,,,,,sip:{name}{n}@h,," for n in range(300)]
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *rows, ""]))
    data = tmp_path / "data"
    with serving(data, DIEMCAU_TOKEN="a-token-for-this-test"):
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "api.cli", "import", str(tmp_path / f"{name}.csv")],
                env=environment(data), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for name in ("a", "b")
        ]  # fmt: skip
        ends = [(process.communicate(timeout=60), process.returncode) for process in running]
        assert [code for _, code in ends] == [0, 0], ends
    assert len(diemcau(data, "export").stdout.splitlines()) == 601


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = diemcau(tmp_path, "serve", "--port", str(port))
        assert refused.returncode == 2
        assert refused.stderr.decode() == f"cannot listen on 127.0.0.1:{port}: Address already in use\n"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken_sip:
        taken_sip.bind(("127.0.0.1", 0))
        port = taken_sip.getsockname()[1]
        refused = diemcau(tmp_path, "serve", "--port", "0", DIEMCAU_SIP_PORT=str(port))
        assert refused.returncode == 2
        assert f"no SIP on 127.0.0.1:{port}" in refused.stderr.decode()


def test_a_secret_under_a_lost_key_is_reported_at_the_start(tmp_path: Path) -> None:
    token = "a-token-for-this-test"
    room = {"name": "tinh", "address": "sip:9001@127.0.30.1", "pin": "4711"}
    with serving(tmp_path, DIEMCAU_TOKEN=token) as (url, process):
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.post(f"{url}/api/v1/rooms", json=room, headers=headers, trust_env=False).status_code == 201
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    (tmp_path / "key").unlink()
    command = [sys.executable, "-m", "api.cli", "serve", "--port", "0"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment(tmp_path, DIEMCAU_LOG_FORMAT="json")
    ) as process:
        assert process.stderr is not None
        events = []
        for line in process.stderr:
            if line.startswith("{"):
                events.append(json.loads(line))
            if line.startswith("listening"):
                process.send_signal(signal.SIGTERM)
    [reported] = [event for event in events if event["event"] == "secret-unreadable"]
    assert reported["device"] == "tinh"
    assert "another key" in reported["reason"]


def test_an_installed_package_brings_its_revisions_and_words(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=ROOT, capture_output=True
    )
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("*.whl")
    site = tmp_path / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    started = subprocess.run(
        [sys.executable, "-m", "api.cli", "export"],
        capture_output=True,
        env=environment(tmp_path / "data") | {"PYTHONPATH": str(site)},
        cwd=tmp_path,
        timeout=60,
    )
    assert (started.returncode, started.stdout) == (0, ",".join(COLUMNS).encode() + b"\r\n"), started.stderr
    assert (site / "api" / "locale" / "vi.po").exists()
