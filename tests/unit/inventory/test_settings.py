"""Settings come from the environment, once, and a bad one is named without its value."""

import os
from pathlib import Path

import pytest

from api.settings import SettingsWrong, default_data_dir, read_settings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine's own."""
    for name in [name for name in os.environ if name.startswith("DIEMCAU_")]:
        monkeypatch.delenv(name)


def test_without_variables_it_is_a_small_local_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    settings = read_settings()
    assert settings.data_dir == default_data_dir() == tmp_path / "diemcau"
    assert settings.database == f"sqlite:///{tmp_path}/diemcau/diemcau.sqlite3"
    assert (settings.host, settings.port, settings.is_local) == ("127.0.0.1", 8080, True)
    assert (settings.time_zone, settings.language, settings.lead_min) == ("Asia/Ho_Chi_Minh", "vi", 10)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert str(default_data_dir()) == "/var/lib/diemcau"


def test_variables_set_them_and_empty_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIEMCAU_DATABASE_URL", "postgresql://diemcau@db/diemcau")
    monkeypatch.setenv("DIEMCAU_PORT", "")
    monkeypatch.setenv("DIEMCAU_LEAD_MIN", "15")
    settings = read_settings(host="::1")
    assert (settings.database, settings.port, settings.lead_min) == ("postgresql://diemcau@db/diemcau", 8080, 15)
    assert settings.is_local


@pytest.mark.parametrize(
    ("host", "local"), [("localhost", True), ("127.8.8.8", True), ("0.0.0.0", False), ("a.b", False)]
)
def test_only_loopback_is_local(host: str, local: bool) -> None:
    assert read_settings(host=host).is_local is local


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DIEMCAU_PORT", "eighty"),
        ("DIEMCAU_PORT", "65536"),
        ("DIEMCAU_TIME_ZONE", "localtime"),
        ("DIEMCAU_LANGUAGE", "fr"),
        ("DIEMCAU_TOKEN", "tooshort"),
        ("DIEMCAU_LEAD_MIN", "-1"),
        ("DIEMCAU_LOG_LEVEL", "loud"),
        ("DIEMCAU_SIP_TLS_PORT", "65536"),
        ("DIEMCAU_SIP_PINS", "vc.example"),
        ("DIEMCAU_NAME_SERVERS", "192.0.2.53"),
    ],
)
def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsWrong) as caught:
        read_settings()
    assert str(caught.value).startswith(f"{variable}: ")
    assert "tooshort" not in str(caught.value)


def test_all_bad_variables_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIEMCAU_PORT", "x")
    monkeypatch.setenv("DIEMCAU_TIME_ZONE", "x")
    with pytest.raises(SettingsWrong) as caught:
        read_settings()
    assert sorted(line.partition(":")[0] for line in str(caught.value).splitlines()) == [
        "DIEMCAU_PORT",
        "DIEMCAU_TIME_ZONE",
    ]


def test_the_token_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "a-secret-token-of-ours" not in repr(read_settings(token="a-secret-token-of-ours"))
