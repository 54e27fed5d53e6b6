"""Certificates: pinned on first use, before the secret leaves; another one gets not a byte of a request."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.errors import Unreachable
from adapters.events import SessionGone, SessionReady
from adapters.hostkeys import HostKeysInMemory
from adapters.http.certificate import Pin, context, fingerprint
from adapters.http.server import Certificate
from tests.conformance.vendor.families.huawei import BOX
from tests.conformance.vendor.rig import Rig, quick


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig(BOX)
    try:
        yield await rig.start()
    finally:
        await rig.stop()


def shown(rig: Rig) -> str:
    certificate = rig.twin.certificate  # type: ignore[attr-defined]
    return fingerprint(ssl.PEM_cert_to_DER_cert(certificate.pem.decode().partition("-----BEGIN PRIVATE")[0]))


class Watched(HostKeysInMemory):
    """Remembers how many had logged in when a place was pinned."""

    def __init__(self, rig: Rig) -> None:
        super().__init__()
        self._rig = rig
        self.at: list[int] = []

    async def pin(self, place: str, key: str) -> None:
        self.at.append(self._rig.twin.log_ins)
        await super().pin(place, key)


async def test_what_is_shown_first_is_kept_before_the_password_leaves(rig: Rig) -> None:
    rig._hosts = hosts = Watched(rig)
    endpoint = rig.adapter()
    await endpoint.open()
    host, port = rig.twin.address
    assert await hosts.pinned(f"{host}:{port}") == shown(rig)
    assert hosts.at == [0]
    await endpoint.close()
    await endpoint.open()
    assert hosts.at == [0]


async def test_another_certificate_gets_nothing_of_us(rig: Rig) -> None:
    endpoint = rig.adapter()
    await endpoint.open()
    await endpoint.close()
    await rig.twin.stop()
    kept, rig.twin.certificate = rig.twin.certificate, Certificate.made("somebody else")  # type: ignore[attr-defined]
    await rig.twin.come_back()
    heard, log_ins = rig.twin.heard_bytes, rig.twin.log_ins
    with pytest.raises(Unreachable, match="another certificate than the one pinned") as refused:
        await endpoint.open()
    assert "forget" in str(refused.value)
    assert (rig.twin.heard_bytes, rig.twin.log_ins) == (heard, log_ins)
    await rig.twin.stop()
    rig.twin.certificate = kept  # type: ignore[attr-defined]
    await rig.twin.come_back()
    await endpoint.open()


async def test_a_device_that_is_exchanged_in_the_middle_is_not_talked_to(rig: Rig) -> None:
    endpoint = rig.adapter(profile=quick(BOX.profile, idle_poll_s=0.05))
    await endpoint.open()
    await rig.twin.stop()
    rig.twin.certificate = Certificate.made("somebody else")  # type: ignore[attr-defined]
    await rig.twin.come_back()
    heard = rig.twin.heard_bytes
    await rig.heard.until(lambda: rig.heard.of(SessionGone))
    with pytest.raises(Unreachable, match="another certificate"):
        await endpoint.open()
    assert rig.twin.heard_bytes == heard and not rig.heard.of(SessionReady)


async def test_a_pin_of_another_place_does_not_count() -> None:
    rig = await Rig(replace(BOX, label="other")).start()
    try:
        await rig._hosts.pin("127.0.0.1:1", "sha256:00")
        await rig.adapter().open()
    finally:
        await rig.stop()


def test_the_pin_is_judged_where_it_is_used_or_not_at_all() -> None:
    pin = Pin(None)
    with pytest.raises(ssl.SSLCertVerificationError):
        pin.judge(None)
    pin.judge(b"one")
    with pytest.raises(ssl.SSLCertVerificationError):
        pin.judge(b"two")
    assert pin.is_changed
    import socket

    with socket.socket() as plain, pytest.raises(TypeError, match="asyncio"):
        context(pin).wrap_socket(plain)
