"""A log line has a machine name, is one line of JSON, and shows no secret."""

import json
import logging
from pathlib import Path

import pytest

from api.logs import logger, start_logging
from api.settings import Settings


@pytest.fixture
def lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> "list[dict[str, object]]":
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        start_logging(Settings(data_dir=tmp_path, log_format="json"))
        log = logger("test.logs")
        log.info("door-opened", door="main", access_token="hidden-1", PIN="hidden-2", control_secret="hidden-3")
        log.debug("not-said")
        logging.getLogger("some.library").warning("it %s", "happened", extra={"password": "hidden-4"})
        try:
            raise ValueError("điểm cầu")
        except ValueError:
            log.exception("broke", pinned=True)
    finally:
        root.handlers, root.level = handlers, level
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_lines_carry_name_level_and_facts(lines: "list[dict[str, object]]") -> None:
    assert [line["event"] for line in lines] == ["door-opened", "it happened", "broke"]
    assert [line["level"] for line in lines] == ["info", "warning", "error"]
    assert lines[0]["door"] == "main"
    assert lines[2]["pinned"] is True
    assert "ValueError: điểm cầu" in str(lines[2]["exception"])
    assert all(str(line["timestamp"]).endswith("Z") for line in lines)


def test_no_secret_is_shown(lines: "list[dict[str, object]]") -> None:
    assert "hidden" not in json.dumps(lines)
    assert (lines[0]["access_token"], lines[0]["PIN"], lines[1]["password"]) == ("***", "***", "***")
