"""Data of the family: how one logs in, and at what pace. No source has a figure of pace; these are careful guesses."""

import re

from adapters.cli.profile import SECRET, USER, Login, Profile, Prompt
from adapters.control.pace import Pace

USERNAME = "sonypcs"
"""What a field installation logs in as; used where no name is given."""
_READY = Prompt("ready", re.compile(rb"[ \r\n]*CNTR> ?"), ends=b"> ")
_USER = Prompt(USER, re.compile(rb"[^\n]*login: ?", re.IGNORECASE), ends=b": ")
_PASSWORD = Prompt(SECRET, re.compile(rb"[ \r\n]*password: ?", re.IGNORECASE), ends=b": ")

PROFILE = Profile(
    ports={"telnet": 23},
    login=Login(
        ready="ready",
        prompts=(_USER, _PASSWORD, _READY),
        refused=re.compile(r"(?:login|password) (?:failed|incorrect|error)", re.IGNORECASE),
        nudge_s=3.0,  # a serial line asks for no log-in and says nothing by itself
    ),
    eol=b"\r\n",
    prompts=(_READY,),
    pace=Pace(
        gap_s=0.2,
        reply_s=8.0,  # a phone book may take 5 s; nothing here should take longer
        busy_poll_s=1.0,
        unseen_s=10.0,
        idle_poll_s=50.0,
    ),
)
