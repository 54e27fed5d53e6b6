"""Data of the family: how one logs in, and at what pace."""

import re

from adapters.cli.profile import SECRET, Login, Profile, Prompt
from adapters.control.pace import Pace

_PASSWORD = Prompt(SECRET, re.compile(rb"[ \r\n]*password: ?", re.IGNORECASE), ends=b": ")

PROFILE = Profile(
    ports={"telnet": 23},
    # A driver waits for the welcome, a password where one is set, and OK; there are no users.
    login=Login(done=re.compile(r"OK$"), prompts=(_PASSWORD,)),
    eol=b"\r\n",
    pace=Pace(reply_s=10.0, idle_poll_s=50.0, digit_gap_s=0.2),
)
