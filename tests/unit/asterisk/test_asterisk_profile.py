"""Settings of a bridge, and the dial strings that follow from them."""

from typing import Any

import pytest

from adapters.bridges.asterisk import profile
from adapters.bridges.asterisk.profile import SettingError
from adapters.values import Address, Control


def read(**settings: Any) -> profile.Profile:
    return profile.read(Control("main", "192.0.2.1", secret="hunter2", settings=settings))


@pytest.mark.parametrize(
    ("settings", "address", "expected"),
    [
        ({}, "sip:qt01@192.0.2.7", "PJSIP/diemcau/sip:qt01@192.0.2.7"),
        ({"sip_endpoint": "wan"}, "sip:qt01@192.0.2.7:5070", "PJSIP/wan/sip:qt01@192.0.2.7:5070"),
        (
            {"sip_channel": "PJSIP/lab{transport}/{address}"},
            "sip:qt01@192.0.2.7;transport=tcp",
            "PJSIP/labtcp/sip:qt01@192.0.2.7;transport=tcp",
        ),
        ({"sip_channel": "SIP/{user}@{host}:{port}"}, "sips:a@192.0.2.7", "SIP/a@192.0.2.7:5061"),
        ({}, "h323:room@192.0.2.8", "OOH323/room@192.0.2.8"),
        ({}, "h323:192.0.2.8", "OOH323/192.0.2.8"),
        ({"h323_peers": {"H.example": "unit-8"}}, "h323:room@h.EXAMPLE", "OOH323/room@unit-8"),
        ({"h323_channel": "OOH323/{user}"}, "h323:room@192.0.2.8", "OOH323/room"),
    ],
)
def test_dial_strings(settings: dict[str, Any], address: str, expected: str) -> None:
    assert profile.channel(read(**settings), Address.parse(address)) == expected


@pytest.mark.parametrize("user", ["a,b", "a&b", "a'b", "a|b", "ä"])
def test_a_user_that_could_mean_more_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="before @"):
        profile.channel(read(), Address("sip", user, "192.0.2.7"))


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"sip_chanel": "x"}, "sip_chanel"),
        ({"sip_channel": "PJSIP/{number}"}, "{address}"),
        ({"sip_channel": "PJSIP/{"}, "sip_channel"),
        ({"sip_channel": "PJSIP/{address.x}"}, "sip_channel"),
        ({"sip_channel": "PJSIP/{}"}, "sip_channel"),
        ({"sip_channel": 5}, "must be text"),
        ({"conference_address": "{number}@host"}, "is not an address"),
        ({"menu": "a,b"}, "menu"),
        ({"codecs": "ulaw;h264"}, "ulaw,alaw,h264"),
        ({"h323_peers": {"h": "a/b"}}, "h323_peers"),
        ({"h323_peers": "h"}, "h323_peers"),
        ({"ports": 0}, "ports"),
        ({"ports": True}, "ports"),
        ({"ports": "40"}, "ports"),
    ],
)
def test_a_wrong_setting_is_named_with_its_bridge(settings: dict[str, Any], names: str) -> None:
    with pytest.raises(SettingError) as caught:
        read(**settings)
    assert str(caught.value).startswith("main: settings: ")
    assert names in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_setting_without_a_value_is_left_out() -> None:
    assert read(conference_address="", ports=None, menu="") == profile.Profile()


def test_settings_that_are_right() -> None:
    found = read(ports=40, bridge_profile="main", user_profile="guest", menu="m", codecs="ulaw")
    assert found.ports == 40
    assert found.application_profiles == ("main", "guest", "m")
