"""`diemcau check`: the table, the exit code, and what is wrong with what was given."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.journeys.checks.conftest import furnish_folder
from tests.journeys.inventory.test_commands import diemcau
from tests.support.echo import Echo


@pytest.fixture
def folder(tmp_path: Path, far: Echo) -> Path:
    asyncio.run(furnish_folder(tmp_path, far))
    return tmp_path


def check(folder: Path, *words: str, **variables: str) -> tuple[int, str, str]:
    given = {"DIEMCAU_LANGUAGE": "en", "DIEMCAU_CHECK_RING_S": "5"} | variables
    done = diemcau(folder, "check", *words, "--seconds", "2", **given)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_a_good_line_is_a_row_and_exit_code_0(folder: Path) -> None:
    code, out, errors = check(folder, "qt01")
    assert code == 0, out + errors
    head, row = out.splitlines()
    assert head.split()[:3] == ["Site", "Line", "Sent/received"]
    assert row.split()[:2] == ["qt01", "good"] and " 0.0 % " in row and "PCMU" in row
    vietnamese = check(folder, "qt01", DIEMCAU_LANGUAGE="vi")[1]
    assert vietnamese.splitlines()[1].split()[1] == "tốt" and "0,0 %" in vietnamese


def test_a_bad_one_among_good_ones_is_exit_code_1_with_its_reason(folder: Path) -> None:
    code, out, _ = check(folder, "qt01", "qt03", "qt02", "qt04")
    rows = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert code == 1 and list(rows) == ["qt01", "qt03", "qt02", "qt04"]
    assert rows["qt03"].split()[1] == "bad" and "% of the packets to us are lost" in rows["qt03"]
    assert rows["qt02"].split()[1] == "fair" and "only silence comes" in rows["qt02"]
    assert "not answered" in rows["qt04"] and "busy in another call (SIP 486 Busy Here)" in rows["qt04"]


def test_nobody_there_and_nobody_callable_are_exit_code_3(folder: Path) -> None:
    code, out, _ = check(folder, "qt05", "qt40", "qt01")
    rows = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert code == 3
    assert "not answered" in rows["qt05"] and rows["qt05"].rstrip().endswith("nobody answered")
    assert "not checked" in rows["qt40"] and "it has no SIP address" in rows["qt40"]
    assert rows["qt01"].split()[1] == "good"


def test_a_test_number_on_a_bridge(folder: Path) -> None:
    code, out, _ = check(folder, "--bridge", "main", "--number", "echo", "--json")
    (found,) = json.loads(out)["checks"]
    assert (code, found["kind"], found["code"], found["verdict"]) == (0, "bridge", "main/echo", "good")
    assert found["figures"]["received"] >= 90 and found["figures"]["echo_s"] is not None
    assert 90 < found["r"] <= 93.2 and 4.3 < found["mos"] <= 4.5
    assert found["ended_at"] > found["asked_at"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["qt99"], "there is no site 'qt99'"),
        (["qt01", "qt99"], "there is no site 'qt99'"),
        ([], "no SITE given"),
        (["--bridge", "main"], "--bridge and --number belong together"),
        (["--number", "600"], "--bridge and --number belong together"),
        (["--bridge", "main", "--number", "6 00"], "is no number"),
        (["--bridge", "nowhere", "--number", "600"], "there is no bridge 'nowhere'"),
        (["qt01", "--seconds", "999"], "--seconds"),
    ],
)
def test_wrong_usage_is_exit_code_2(folder: Path, words: list[str], told: str) -> None:
    done = diemcau(folder, "check", *words, DIEMCAU_LANGUAGE="en")
    text = done.stderr.decode()
    assert (done.returncode, done.stdout) == (2, b"") and told in text and "Traceback" not in text
