"""`diemcau` as it is, with a record of every order it gives to a device; and, to prove the record, without its guard.

The record gets one line of JSON for each SIP request, each AMI action and each lease that was
had, with the seconds since boot, which all processes of this machine share.
"""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.bridges.asterisk import connection as ami
from adapters.sip import connection as streams
from adapters.sip import udp as datagrams
from api.cli import main
from orchestrator.lease import Lease, Leases, boot_time_s

_REQUEST = re.compile(rb"([A-Z]+) \S+ SIP/2\.0\r\n")
_CALL_ID = re.compile(rb"(?mi)^call-id:[ \t]*(\S+)")
_EMPTY = re.compile(rb"(?mi)^content-length:[ \t]*0[ \t]*\r?$")


class Record:
    """Appends lines to a file; a line is one write, so processes do not mix theirs."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, kind: str, **what: object) -> None:
        line = {"at": boot_time_s(), "pid": os.getpid(), "kind": kind, **what}
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def sip(self, data: bytes, host: str, port: int) -> None:
        request = _REQUEST.match(data)
        if request is None:
            return  # an answer to somebody else's request
        method = request[1].decode()
        if method == "INFO" and _EMPTY.search(data):
            method = "OPTIONS"  # asks, as OPTIONS does (adapters.sip.pair.question)
        call = _CALL_ID.search(data)
        self.note("sip", what=method, to=f"{host}:{port}", call=call[1].decode() if call else "")


def watch(record: Record) -> None:
    """Have everything that goes to devices recorded."""
    send_udp, send_tcp, ask = datagrams.Udp.send, streams.Connection.send, ami.Connection._request
    acquire = Leases.acquire

    def udp(self: datagrams.Udp, data: bytes, host: str, port: int) -> None:
        record.sip(data, host, port)
        send_udp(self, data, host, port)

    def tcp(self: streams.Connection, data: bytes) -> None:
        record.sip(data, self.host, self.port)
        send_tcp(self, data)

    async def request(self: ami.Connection, action: Any, *rest: Any, **named: Any) -> Any:
        record.note("ami", what=action.name)
        return await ask(self, action, *rest, **named)

    async def acquired(self: Leases, shard_id: str, *, gone: str | None = None) -> Lease | None:
        lease = await acquire(self, shard_id, gone=gone)
        if lease is not None:
            record.note("lease", shard=shard_id, epoch=lease.epoch)
        return lease

    datagrams.Udp.send = udp  # type: ignore[method-assign]
    streams.Connection.send = tcp  # type: ignore[method-assign]
    ami.Connection._request = request  # type: ignore[method-assign]
    Leases.acquire = acquired  # type: ignore[method-assign]


def switch_guard_off() -> None:
    """What an engine that only dispatches would do: whoever began goes on, whatever has happened."""

    async def fence(self: Lease, session: object) -> None:
        return

    Lease.check = lambda self: None  # type: ignore[method-assign]
    Lease.fence = fence  # type: ignore[method-assign]
    Leases._lose = lambda self, lease: None  # type: ignore[method-assign]


def run(words: Sequence[str], environment: Mapping[str, str], folder: str, *, record: str, unguarded: bool) -> None:
    """Be a process of diemcau; what it says goes to the files `out` and `err` in `folder`."""
    for name in [name for name in os.environ if name.startswith("DIEMCAU_")]:
        del os.environ[name]
    os.environ.update(environment)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, number)
    # what was imported before the fork has streams of its own
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    watch(Record(record))
    if unguarded:
        switch_guard_off()
    sys.argv = ["diemcau", *words]
    main()
