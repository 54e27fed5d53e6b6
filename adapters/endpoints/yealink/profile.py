"""Data of the family: no log-in as a rule, a line that says who it is, and its pace."""

import re

from adapters.cli.profile import SECRET, Login, Profile, Prompt
from adapters.control.pace import Pace

PROFILE = Profile(
    ports={"telnet": 6024},
    login=Login(
        # The first line it pushes; an error is an answer to our nudge, and a sign that nobody asks for a password.
        done=re.compile(r"version \"|error: ?command"),
        prompts=(Prompt(SECRET, re.compile(rb"[ \r\n]*password: ?", re.IGNORECASE), ends=b": "),),
        nudge_s=3.0,
    ),
    eol=b"\r\n",
    pace=Pace(
        reply_s=10.0,
        busy_poll_s=3.0,  # it tells of changes; that it tells of all is not sure
        idle_poll_s=50.0,
        unseen_s=10.0,
    ),
    terminal="",
)
