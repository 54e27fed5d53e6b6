"""Data of the family: how one logs in, at what pace, and what SSH of such devices needs."""

import re

from adapters.cli.profile import SECRET, USER, LegacySsh, Login, Profile, Prompt
from adapters.control.pace import Pace

_READY = re.compile(r"(?:-> ?)*Hi, my name is ?:", re.IGNORECASE)
_PASSWORD = Prompt(SECRET, re.compile(rb"[ \r\n]*password: ?", re.IGNORECASE), ends=b": ")
_USER = Prompt(USER, re.compile(rb"[ \r\n]*(?:user ?name|login): ?", re.IGNORECASE), ends=b": ")
_ARROW = Prompt("arrow", re.compile(rb"[ \r]*-> ?"), ends=b"> ")
_REFUSED = re.compile(r"(?:login|password) (?:failed|incorrect)", re.IGNORECASE)

PROFILE = Profile(
    ports={"telnet": 24, "ssh": 22},
    login=Login(done=_READY, prompts=(_USER, _PASSWORD, _ARROW), refused=_REFUSED),
    eol=b"\r",  # it takes \r, \n and \r\n; most drivers in the field send \r
    prompts=(_ARROW,),
    pace=Pace(
        gap_s=0.2,  # "at least 200 ms between commands"
        reply_s=15.0,  # a hang-up may take so long (HDX)
        busy_poll_s=2.0,
        idle_poll_s=50.0,  # what a driver in the field polls by to keep the session
    ),
    legacy=LegacySsh(host_keys=("ssh-rsa",)),  # all that a Group's SSH offers
)
