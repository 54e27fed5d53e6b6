"""Data of the family: how one logs in and at what pace, on Room and on Icon."""

import re
from dataclasses import replace

from adapters.cli.profile import SECRET, USER, Login, Profile, Prompt
from adapters.control.pace import Pace

_USER = Prompt(USER, re.compile(rb"[ \r\n]*(?:[\w.-]+ )?login(?: as)?: ?", re.IGNORECASE), ends=b": ")
_PASSWORD = Prompt(SECRET, re.compile(rb"[ \r\n]*(?:[^\r\n:]{0,80}'s )?password: ?", re.IGNORECASE), ends=b": ")
_SHELL = Prompt("shell", re.compile(rb"[ \r]*\$ ?"), ends=b"$ ")
_ANY_SHELL = Prompt("shell", re.compile(rb"[ \r]*[\w@.:~/\[\]-]{0,64} ?\$ ?"), ends=b"$ ")
"""Before `clish` an Icon may show the prompt of another shell."""

_LOGIN = Login(
    ready="shell",
    prompts=(_USER, _PASSWORD, _ANY_SHELL),
    refused=re.compile(r"login incorrect", re.IGNORECASE),
    away=re.compile(r"can't resolve /var/services/", re.IGNORECASE),
    nudge_s=3.0,  # a shell that has shown its prompt before we listened (a serial line) shows it again
)

PROFILE = Profile(
    ports={"ssh": 22, "telnet": 23},
    login=_LOGIN,
    eol=b"\n",  # what the longest-lived driver of Room sends
    prompts=(_SHELL,),
    pace=Pace(
        reply_s=10.0,
        busy_poll_s=2.0,  # a driver in the field asks every 2 s
        idle_poll_s=30.0,
        unseen_s=10.0,  # the same driver waits 5 s for a dialed call to show
    ),
)
ICON_PROFILE = replace(PROFILE, eol=b"\r")  # what the drivers of Icon send
