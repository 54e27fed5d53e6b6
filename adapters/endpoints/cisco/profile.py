"""Data of the family: how one logs in, and at what pace."""

import re

from adapters.cli.profile import SECRET, USER, Login, Profile, Prompt
from adapters.control.pace import Pace

_USER = Prompt(USER, re.compile(rb"[ \r\n]*(?!last )(?:[\w.-]+ )?login: ?", re.IGNORECASE), ends=b": ")
_PASSWORD = Prompt(SECRET, re.compile(rb"[ \r\n]*password: ?", re.IGNORECASE), ends=b": ")

PROFILE = Profile(
    ports={"telnet": 23, "ssh": 22},
    login=Login(
        # Behind "*r Login successful": an answer of that kind ends here, and the next OK is another's.
        done=re.compile(r"OK$"),
        prompts=(_USER, _PASSWORD),
        refused=re.compile(r"login incorrect|permission denied", re.IGNORECASE),
        away=re.compile(r"tshell: failed to connect", re.IGNORECASE),
    ),
    eol=b"\r\n",
    pace=Pace(
        reply_s=10.0,
        idle_poll_s=50.0,  # the session has an idle time that can be configured; drivers say something every 30 to 90 s
        digit_gap_s=0.5,  # between two strings of 32 digits
    ),
)
