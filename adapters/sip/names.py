"""Asks for names: the hosts file, the DNS, and what else the system knows; answers are kept as long as they hold.

    literal                                 itself
    in /etc/hosts                           what stands there; no NAPTR, no SRV
    without a dot, or in .local             the system (getaddrinfo); no NAPTR, no SRV
    otherwise, with name servers            the DNS; what it does not know, the system may
    otherwise                               the system

Name servers that were given by name of setting are the only ones asked.
"""

import asyncio
import ipaddress
import os
import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from adapters.sip.locate import Answer, Names, Naptr, NoWay, Plan, Srv, locate
from adapters.sip.uri import Uri

_QUERY_S = 2.5
"""For one question, repetitions included."""
_LOOK_UP_S = 8.0
"""For all questions about one name."""
_SYSTEM_S = 30.0
"""How long an answer of the system is believed, which says nothing of that."""
_NOT_THERE_S = 10.0
"""How long it is believed that a name leads nowhere, or a server's silence about a service."""
_ABSENT_S = 300.0
"""How long it is believed that a name which leads somewhere has no such record."""
_LONGEST_S = 3600.0
_SHORTEST_S = 1.0
_REMEMBERED = 10_000
"""Names remembered at once; beyond it the oldest is looked up anew."""
_AT_ONCE = 64
"""Names being looked up; others wait their turn."""
_HOSTS = Path("/etc/hosts")
_RESOLV = Path("/etc/resolv.conf")
_MAX_HOSTS = 4 * 1024 * 1024

Key = tuple[str, str, int | None, str, bool, bool]


class Resolver:
    """Finds out where URIs lead. `servers` are `address` or `address:port`; none: the system's.

    Raises ValueError for a server that is no address.
    """

    def __init__(self, servers: Sequence[str] = (), hosts: Path = _HOSTS) -> None:
        self._servers = tuple(_server(text) for text in servers)
        self._hosts_file = hosts
        self._hosts: dict[str, tuple[str, ...]] = {}
        self._hosts_at = -2
        self._system_at = -2
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._known: dict[Key, tuple[float, Plan | NoWay]] = {}
        self._under_way: dict[Key, asyncio.Task[Plan | NoWay]] = {}
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self.asked = 0
        """Questions put to name servers."""

    def close(self) -> None:
        for task in list(self._under_way.values()):
            task.cancel()

    def known(self, uri: Uri, v6: bool) -> Plan | NoWay | None:
        """What is remembered of a URI's host, if it still holds."""
        found = self._known.get(_key(uri, v6))
        return found[1] if found is not None and found[0] > asyncio.get_running_loop().time() else None

    async def find(self, uri: Uri, v6: bool) -> Plan:
        """Where a URI leads; one asking serves all who want the same. Raises NoWay."""
        known = self.known(uri, v6)
        if known is None:
            key = _key(uri, v6)
            task = self._under_way.get(key)
            if task is None:
                task = self._under_way[key] = asyncio.get_running_loop().create_task(self._look_up(key, uri, v6))
                task.add_done_callback(lambda _: self._under_way.pop(key, None))
            known = await asyncio.shield(task)
        if isinstance(known, NoWay):
            raise known
        return known

    async def _look_up(self, key: Key, uri: Uri, v6: bool) -> Plan | NoWay:
        found: Plan | NoWay
        async with self._gate:
            try:
                async with asyncio.timeout(_LOOK_UP_S):
                    found = await locate(uri, self._names(uri.maddr or uri.host, v6))
                holds_s = min(max(found.ttl_s, _SHORTEST_S), _LONGEST_S)
            except NoWay as wrong:
                found, holds_s = NoWay(*wrong.args), _NOT_THERE_S
            except TimeoutError:
                found, holds_s = NoWay(f"no name server told in time where {uri.host} is"), _NOT_THERE_S
        self._known.pop(key, None)
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[key] = (asyncio.get_running_loop().time() + holds_s, found)
        return found

    # -- whom to ask ------------------------------------------------------------------

    def _names(self, host: str, v6: bool) -> Names:
        resolver = self._dns() if "." in host and not host.endswith((".local", ".localhost", ".invalid")) else None
        if resolver is None or self._in_hosts(host, v6):
            return Names(_none, _none_of, partial(self._addresses, None, v6))
        return Names(
            partial(self._naptr, resolver), partial(self._srv, resolver), partial(self._addresses, resolver, v6)
        )

    async def _naptr(self, resolver: dns.asyncresolver.Resolver, name: str) -> Answer[Naptr]:
        records, ttl_s = await self._ask(resolver, name, "NAPTR", strict=False)
        return [
            Naptr(one.order, one.preference, _text(one.flags), _text(one.service), one.replacement.to_text(True))
            for one in records
        ], ttl_s

    async def _srv(self, resolver: dns.asyncresolver.Resolver, names: Sequence[str]) -> list[Answer[Srv]]:
        return await asyncio.gather(*(self._service(resolver, name) for name in names))

    async def _service(self, resolver: dns.asyncresolver.Resolver, name: str) -> Answer[Srv]:
        records, ttl_s = await self._ask(resolver, name, "SRV", strict=False)
        return [Srv(one.priority, one.weight, one.port, one.target.to_text(True).lower()) for one in records], ttl_s

    async def _addresses(
        self, resolver: dns.asyncresolver.Resolver | None, v6: bool, hosts: Sequence[str]
    ) -> list[Answer[str] | NoWay]:
        async def one(host: str) -> Answer[str] | NoWay:
            try:
                return await self._address(resolver, v6, host)
            except NoWay as wrong:
                return wrong

        return await asyncio.gather(*(one(host) for host in hosts))

    async def _address(self, resolver: dns.asyncresolver.Resolver | None, v6: bool, host: str) -> Answer[str]:
        try:
            return [ipaddress.ip_address(host).compressed], _LONGEST_S
        except ValueError:
            pass
        if stands := self._in_hosts(host, v6):
            return stands, _SYSTEM_S
        if resolver is not None:
            records, ttl_s = await self._ask(resolver, host, "AAAA" if v6 else "A", strict=True)
            if records or self._servers:
                if not records:
                    raise NoWay(f"the name server knows no address of {host}")
                return [one.address for one in records], ttl_s
        if host.endswith(".invalid"):  # RFC 6761: nobody needs to be asked
            raise NoWay(f"{host} is no name of anything")
        return await _system(host, v6)

    async def _ask(
        self, resolver: dns.asyncresolver.Resolver, name: str, kind: str, *, strict: bool
    ) -> tuple[list[Any], float]:
        """Records of a name. A server that does not answer counts as having none, but not when `strict`."""
        self.asked += 1
        try:
            asked = dns.name.from_text(name)
            answer = await resolver.resolve(asked, kind, raise_on_no_answer=False, search=False, lifetime=_QUERY_S)
        except dns.resolver.NXDOMAIN:
            return [], _ABSENT_S
        except (dns.exception.DNSException, OSError, ValueError, UnicodeError) as error:
            if strict:
                raise NoWay(f"where {name} is could not be found out: {_why(error)}") from None
            return [], _NOT_THERE_S
        if answer.rrset is None:
            return [], _ABSENT_S
        return list(answer.rrset), float(answer.chaining_result.minimum_ttl)

    def _dns(self) -> dns.asyncresolver.Resolver | None:
        """The name servers, read anew when the system's file has changed; None when there are none."""
        stamp = 0 if self._servers else _stamp(_RESOLV)
        if stamp != self._system_at:
            self._system_at = stamp
            self._resolver = _resolver(self._servers)
        return self._resolver

    def _in_hosts(self, host: str, v6: bool) -> tuple[str, ...]:
        stamp = _stamp(self._hosts_file)
        if stamp != self._hosts_at:
            self._hosts_at = stamp
            self._hosts = _read_hosts(self._hosts_file)
        return tuple(one for one in self._hosts.get(host.lower(), ()) if (":" in one) is v6)


def _key(uri: Uri, v6: bool) -> Key:
    return uri.host, uri.maddr, uri.port, uri.transport, uri.secure, v6


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "replace")


def _why(error: Exception) -> str:
    if isinstance(error, dns.exception.Timeout):
        return "no name server answers"
    if isinstance(error, dns.resolver.NoNameservers):
        return "the name server cannot say"
    return type(error).__name__


async def _none(name: str) -> Answer[Any]:
    return (), _LONGEST_S


async def _none_of(names: Sequence[str]) -> list[Answer[Any]]:
    return [((), _LONGEST_S) for _ in names]


async def _system(host: str, v6: bool) -> Answer[str]:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if v6 else socket.AF_INET
    try:
        found = await loop.getaddrinfo(host, None, family=family, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        raise NoWay(f"{host} has no address that this machine knows of") from None
    return list(dict.fromkeys(str(one[4][0]) for one in found)), _SYSTEM_S


def _server(text: str) -> dns.nameserver.Do53Nameserver:
    host, colon, port = text.strip().rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = text.strip(), "53"
    try:
        address = ipaddress.ip_address(host.strip("[]")).compressed
        number = int(port)
        if not 0 < number < 65536:
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{text!r} is no name server; expected an address such as 192.0.2.53 or 192.0.2.53:53"
        ) from None
    return dns.nameserver.Do53Nameserver(address, number)


def _resolver(servers: Sequence[dns.nameserver.Do53Nameserver]) -> dns.asyncresolver.Resolver | None:
    if servers:
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = list(servers)
    else:
        try:
            resolver = dns.asyncresolver.Resolver(os.fspath(_RESOLV))
        except (dns.exception.DNSException, OSError):
            return None
    resolver.cache = None  # plans are kept, with what they were made from
    resolver.timeout = 1.0
    return resolver


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1


def _read_hosts(path: Path) -> dict[str, tuple[str, ...]]:
    """Name -> addresses, as in hosts(5); lines that are none are passed over."""
    found: dict[str, tuple[str, ...]] = {}
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(_MAX_HOSTS)
    except OSError:
        return found
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        try:
            plain = ipaddress.ip_address(address).compressed
        except ValueError:
            continue
        for name in names:
            found[name.lower()] = (*found.get(name.lower(), ()), plain)
    return found
