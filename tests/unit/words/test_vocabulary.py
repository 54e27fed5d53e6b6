"""Machine names of the lower rooms all have words."""

from adapters import AdapterError, ClearCause, Side
from api.vocabulary import CAUSES, SIDES, device_words, meaning, reason


def test_every_cause_side_and_error_of_the_hands_has_words() -> None:
    assert {str(cause) for cause in ClearCause} <= set(CAUSES)
    assert {error.__name__ for error in AdapterError.__subclasses__()} <= set(CAUSES)
    assert {str(side) for side in Side} - {"unknown"} == set(SIDES)


def test_a_reason_says_words_and_the_devices_code() -> None:
    assert reason("en", "busy", "far_end", "486 Busy Here") == "busy in another call (SIP 486 Busy Here)"
    assert reason("vi", "busy", "far_end", "SIP 486 Busy Here").endswith("(SIP 486 Busy Here)")
    assert reason("en", "lost", "network", "") == "the connection was lost (the network)"
    assert reason("en", "", "", "") == ""


def test_unlisted_names_are_shown_as_they_stand() -> None:
    assert meaning("vi", CAUSES, "brand-new") == "brand-new"
    assert reason("en", "brand-new") == "brand-new"


def test_only_a_sip_status_is_called_one() -> None:
    assert device_words("SIP/2.0 603 Decline") == "SIP 603 Decline"
    assert device_words("Q.850 17 user busy") == "Q.850 17 user busy"
    assert device_words("17") == "17"
