"""Data of the family: ports, account and pace. No source has a figure of pace; these are careful guesses."""

from adapters.control.pace import Pace
from adapters.http.profile import HttpProfile

PROFILE = HttpProfile(
    ports={"https": 443, "http": 80},  # older firmware listens without TLS
    username="api",  # the account that may call every action
    pace=Pace(
        gap_s=0.1,
        reply_s=10.0,
        busy_poll_s=2.0,  # what a driver in the field polls by while dialing
        unseen_s=6.0,  # it shows its own call at once; one that fails before the first poll never shows
        idle_poll_s=30.0,  # how long an unused session lives is not known
    ),
)
