"""Data: how a family is connected to, logged in to and spoken to in text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.control.pace import Pace


@dataclass(frozen=True, slots=True)
class Prompt:
    """Text that waits for us without a line end.

    `pattern` is matched at the start of an unfinished line, with what stands before it on that line
    given leave by the pattern itself. When a longer piece of it comes later (a space), that
    must be only blanks. `ends` are the bytes that it can end in; they only save looking.
    """

    name: str
    pattern: re.Pattern[bytes]
    ends: bytes = b":>$#? "


USER = "user"
SECRET = "secret"


@dataclass(frozen=True, slots=True)
class Login:
    """How a log-in in text goes.

    At a prompt named `user` the user name is sent, at `secret` the secret, at any other what
    `says` has for it. It is over at a line that matches `done` or a prompt of the name
    `ready`; refused at a line that matches `refused`, or when the secret is asked for again. `away` is what a
    device says that is not up yet. With `nudge_s` a line end is sent when nothing has come for so long.
    """

    done: re.Pattern[str] | None = None
    ready: str = ""
    prompts: tuple[Prompt, ...] = ()
    refused: re.Pattern[str] | None = None
    away: re.Pattern[str] | None = None
    says: Mapping[str, str] = field(default_factory=dict)
    nudge_s: float | None = None


@dataclass(frozen=True, slots=True)
class LegacySsh:
    """Algorithms that modern SSH no longer offers, for devices that know no other."""

    key_exchange: tuple[str, ...] = ()
    host_keys: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """What the conversation with one family goes by."""

    ports: Mapping[str, int]
    """The port of each transport that the family knows; the first is the default."""
    login: Login
    ssh_login: Login | None = None
    """What comes behind SSH's own log-in; None: the same as over telnet."""
    eol: bytes = b"\r\n"
    prompts: tuple[Prompt, ...] = ()
    """Prompts that stand between and inside replies after the log-in."""
    pace: Pace = field(default_factory=Pace)
    legacy: LegacySsh | None = None
    terminal: str = "ANSI"
    encoding: str = "utf-8"
    longest_line: int = 16_384
