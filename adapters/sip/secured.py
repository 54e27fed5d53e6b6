"""One connection over TLS. The handshake and every check come before the first byte of SIP.

On `ssl.MemoryBIO`: asyncio's own TLS keeps 256 KiB for every connection (measured: 290 KiB, this
one 30), and drops the alert that would tell a peer why it was refused.
"""

from __future__ import annotations

import asyncio
import ssl

from cryptography import x509

from adapters.sip.connection import Connection
from adapters.sip.tls import in_words

_CHUNK = 64 * 1024


class Secured(Connection):
    """A connection with TLS."""

    __slots__ = ("_in", "_out", "_session")
    transport = "TLS"

    _session: ssl.SSLObject | None
    _in: ssl.MemoryBIO
    _out: ssl.MemoryBIO

    def _begin(self) -> None:
        tls = self._streams.tls
        assert tls is not None
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = self.names[0] if self.names else self.host
        try:
            if self.outgoing:
                context = tls.client(self.names)
                self._session = context.wrap_bio(self._in, self._out, server_hostname=name)
            else:
                self._session = tls.server().wrap_bio(self._in, self._out, server_side=True)
        except ValueError as error:  # a host that can be no name in a handshake, or files that have gone bad
            self.close(str(error))
            return
        self._set_alarm(self._streams.terms.connect_s, self._too_slow)
        self._shake_hands()

    def _too_slow(self) -> None:
        self.close(in_words(TimeoutError()))

    def _shake_hands(self) -> None:
        session, tls = self._session, self._streams.tls
        if session is None or tls is None:
            return
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._refuse(error)
            return
        self._flush()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self.outgoing and (wrong := tls.objection(session, self.names)):
            self.close(wrong)
        else:
            self._stand()

    def _refuse(self, error: ssl.SSLError) -> None:
        """The handshake failed: the alert goes out, and it is found out what was wrong."""
        self._flush()
        self._session = None
        if isinstance(error, ssl.SSLCertVerificationError):
            self._streams.start(self._explain(error))
        else:
            self._leave(in_words(error))

    async def _explain(self, error: ssl.SSLCertVerificationError) -> None:
        shown = await _shown(self.host, self.port, self.name, self._streams.terms.connect_s)
        self._leave(in_words(error, shown))

    def _leave(self, why: str) -> None:
        if self._transport is not None:
            self._transport.close()  # not aborted: the alert is on its way
        self._gone(why)

    def data_received(self, data: bytes) -> None:
        session = self._session
        if session is None or self.closed:
            return
        self._in.write(data)
        if not self.stood:
            self._shake_hands()
        try:
            while self.stood and not self.closed:
                plain = session.read(_CHUNK)
                if plain:
                    self._read(plain)
                else:
                    self.close("the peer closed the connection")
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self.close(in_words(error))

    def _write(self, data: bytes) -> None:
        session = self._session
        if session is None:
            return
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[session.write(rest) :]
        except ssl.SSLError as error:
            self.close(in_words(error))
            return
        self._flush()

    def _flush(self) -> None:
        if self._out.pending and self._transport is not None:
            self._transport.write(self._out.read())

    def connection_lost(self, exc: Exception | None) -> None:
        if self.stood:
            super().connection_lost(exc)
        elif self._session is not None:  # without one, it is being found out why
            self._gone(in_words(exc or ConnectionResetError()))


async def _shown(host: str, port: int, name: str, limit_s: float) -> x509.Certificate | None:
    """The certificate that somebody shows and that is not believed, to say what is wrong with it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is only read: not a byte of SIP goes over this connection
    try:
        async with asyncio.timeout(limit_s):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name or host)
    except (OSError, TimeoutError, ValueError):
        return None
    shown = writer.get_extra_info("ssl_object")
    raw = shown.getpeercert(binary_form=True) if shown is not None else None
    writer.transport.abort()
    try:
        return x509.load_der_x509_certificate(raw) if raw else None
    except ValueError:
        return None
