"""Secrets are sealed, opened by the right key only, and never shown."""

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from orchestrator.keys import Keys, SecretMissing
from orchestrator.private_file import PrivateFileBad


def test_the_key_file_is_made_once_with_mode_600(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key"
    sealed = Keys.open_or_create(path).seal("s3cret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Keys.open_or_create(path).unseal(sealed) == "s3cret"
    assert [file.name for file in path.parent.iterdir()] == ["key"]


def test_a_sealed_text_does_not_show_the_secret_and_never_repeats(tmp_path: Path) -> None:
    keys = Keys.open_or_create(tmp_path / "key")
    one, two = keys.seal("s3cret"), keys.seal("s3cret")
    assert one != two
    assert "s3cret" not in one + repr(keys)


def test_another_key_is_refused_naming_device_and_file(tmp_path: Path) -> None:
    sealed = Keys.open_or_create(tmp_path / "old").seal("s3cret")
    with pytest.raises(SecretMissing, match=r"qt07.*another key.*new") as caught:
        Keys.open_or_create(tmp_path / "new").unseal(sealed, "qt07")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("stored", ["plain text", "fernet:", "fernet:ễ", "fernet:AAAA"])
def test_what_no_key_sealed_is_refused(tmp_path: Path, stored: str) -> None:
    with pytest.raises(SecretMissing):
        Keys.open_or_create(tmp_path / "key").unseal(stored, "qt07")


def test_an_environment_secret_is_looked_up_when_needed(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    keys = Keys.open_or_create(tmp_path / "key", environment)
    stored = keys.seal("env:SITE_QT07_SECRET")
    assert stored == "env:SITE_QT07_SECRET"
    with pytest.raises(SecretMissing, match=r"qt07.*SITE_QT07_SECRET, which is not set"):
        keys.unseal(stored, "qt07")
    environment["SITE_QT07_SECRET"] = "s3cret"
    assert keys.unseal(stored, "qt07") == "s3cret"


@pytest.mark.parametrize("text", ["env:", "env:1A", "env:A B", "env:A-B", "env:" + "A" * 200])
def test_an_env_that_names_no_variable_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="env:NAME"):
        Keys.open_or_create(tmp_path / "key").seal(text)


def test_no_secret_stays_no_secret(tmp_path: Path) -> None:
    keys = Keys.open_or_create(tmp_path / "key")
    assert keys.unseal(keys.seal(""), "qt07") == ""


def test_a_key_file_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    Keys.open_or_create(path)
    os.chmod(path, 0o644)
    with pytest.raises(PrivateFileBad, match="mode 600"):
        Keys.open_or_create(path)


def test_a_file_that_is_no_key_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("hello")
    path.chmod(0o600)
    with pytest.raises(PrivateFileBad, match="holds no key"):
        Keys.open_or_create(path)
    assert path.read_text() == "hello"


def _seal(path: Path, text: str) -> str:
    return Keys.open_or_create(path).seal(text)


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        sealed = pool.starmap(_seal, [(path, f"secret {n}") for n in range(12)])
    keys = Keys.open_or_create(path)
    assert [keys.unseal(text) for text in sealed] == [f"secret {n}" for n in range(12)]
