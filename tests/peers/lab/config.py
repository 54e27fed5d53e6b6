"""The configuration of one Asterisk instance, as files: nothing of it is a default, every secret is given.

Facts behind it were measured on Asterisk 22.10.1 and 16.28 (chan_ooh323): without a
gatekeeper every H.323 party, calling or called, must be a peer with an address, and
`dtmfmode = rfc2833` silences all H.323 media in 22, so digits travel as H.245 signals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

# Unconfigured, each of these complains or opens a socket; none of them is needed for a conference.
UNUSED = """
    app_adsiprog app_agent_pool app_alarmreceiver app_amd app_festival app_followme app_getcpeid app_jack app_minivm
    app_queue app_sms app_stasis app_stasis_broadcast app_voicemail app_voicemail_odbc app_voicemail_imap
    cdr_adaptive_odbc cdr_csv cdr_custom cdr_manager cdr_odbc cdr_pgsql cdr_radius cdr_sqlite3_custom cdr_tds
    cel_custom cel_manager cel_odbc cel_pgsql cel_radius cel_sqlite3_custom cel_tds
    chan_audiosocket chan_console chan_dahdi chan_iax2 chan_mgcp chan_mobile chan_motif chan_phone chan_sip chan_skinny
    chan_unistim chan_websocket
    func_odbc pbx_ael pbx_dundi pbx_lua pbx_realtime
    res_adsi res_aeap res_ari res_ari_applications res_ari_asterisk res_ari_bridges res_ari_channels
    res_ari_device_states res_ari_endpoints res_ari_events res_ari_mailboxes res_ari_model res_ari_playbacks
    res_ari_recordings res_ari_sounds res_calendar res_calendar_caldav res_calendar_ews res_calendar_exchange
    res_calendar_icalendar res_cdrel_custom res_config_curl res_config_ldap res_config_odbc res_config_pgsql
    res_config_sqlite3 res_fax res_fax_spandsp res_geolocation res_hep res_hep_pjsip res_hep_rtcp res_http_post
    res_musiconhold res_odbc res_odbc_transaction res_parking res_phoneprov res_pjsip_config_wizard
    res_pjsip_geolocation res_pjsip_notify res_pjsip_phoneprov_provider res_pjsip_stir_shaken res_prometheus
    res_realtime res_resolver_unbound res_smdi res_snmp res_speech_aeap res_stasis_broadcast
    res_stasis_mailbox res_statsd
    res_stir_shaken res_stun_monitor res_websocket_client res_xmpp
"""

COPIED = (
    "acl.conf ccss.conf cdr.conf cel.conf cli_aliases.conf codecs.conf dsp.conf features.conf indications.conf "
    "musiconhold.conf pjproject.conf sorcery.conf stasis.conf udptl.conf"
)
"""Files of the package that Asterisk wants to see and that hold nothing of ours."""

EMPTY = ("websocket_client.conf", "res_http_media_cache.conf", "http.conf", "ari.conf")


@dataclass(frozen=True)
class Login:
    """A user of the manager interface."""

    name: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Folders:
    """Where an instance keeps its files, as it sees them itself."""

    etc: str
    var: str  # database, keys, spool, run, logs, each in its own folder below
    modules: str


@dataclass(frozen=True)
class Instance:
    """One Asterisk: a bridge with conferences, a room with a PIN, or a box that answers H.323 calls.

    Conferences `8xxx` ask for nothing; `9xxx` exist where `pin` is set and ask for it;
    `codecs` are numbers that answer as one codec each, in a conference of their own with a
    tone, so that both directions of sound can be seen in its roster.
    """

    name: str
    ip: str
    logins: Sequence[Login]
    pin: str = field(default="", repr=False)
    codecs: Sequence[str] = ()
    echo: str = ""  # a number that sends back what it hears
    h323_peers: Mapping[str, str] = field(default_factory=dict)  # peer name -> address
    sip_port: int = 5060
    pjsip: str = field(default="", repr=False)  # more of pjsip.conf
    tls: tuple[Path, Path, Path] | None = None  # certificate, key, CA file: SIP over TLS on the next port
    manager_port: int = 5038
    h323_port: int = 1720
    networks: Sequence[str] = ("127.0.0.0/8",)  # who may call and log in


def files(instance: Instance, folders: Folders) -> dict[str, str]:
    """File name -> text, for the folder `folders.etc`."""
    written = {
        "asterisk.conf": _asterisk(instance, folders),
        "modules.conf": _modules(),
        "logger.conf": _logger(),
        "pjsip.conf": _pjsip(instance, folders),
        "confbridge.conf": _confbridge(instance),
        "extensions.conf": _extensions(instance),
        "manager.conf": _manager(instance),
        "rtp.conf": _rtp(),
        "ooh323.conf": _ooh323(instance, folders),
    }
    for name in EMPTY:
        written[name] = "; empty on purpose\n"
    return {name: dedent(text).lstrip("\n") for name, text in written.items()}


def _asterisk(instance: Instance, folders: Folders) -> str:
    return f"""
    [directories]
    astetcdir => {folders.etc}
    astmoddir => {folders.modules}
    astvarlibdir => /var/lib/asterisk
    astdatadir => /usr/share/asterisk
    astagidir => /usr/share/asterisk/agi-bin
    astdbdir => {folders.var}/db
    astkeydir => {folders.var}/keys
    astspooldir => {folders.var}/spool
    astrundir => {folders.var}/run
    astlogdir => {folders.var}/log
    astcachedir => {folders.var}/cache
    [options]
    systemname = {instance.name}
    verbose = 3
    nocolor = yes
    live_dangerously = no
    """


def _modules() -> str:
    return "[modules]\nautoload = yes\n" + "".join(f"noload = {name}.so\n" for name in UNUSED.split())


def _logger() -> str:
    return """
    [general]
    dateformat = %F %T.%3q
    [logfiles]
    console => notice,warning,error
    full => notice,warning,error,verbose,dtmf
    """


TLS_FILES = ("sip.crt", "sip.key", "ca.crt")
"""What `Instance.tls` is called in the folder of keys."""


def _tls(instance: Instance, folders: Folders) -> str:
    if instance.tls is None:
        return ""
    certificate, key, ca = (f"{folders.var}/keys/{name}" for name in TLS_FILES)
    return f"""
[tls]
type = transport
protocol = tls
bind = {instance.ip}:{instance.sip_port + 1}
cert_file = {certificate}
priv_key_file = {key}
ca_list_file = {ca}
verify_server = yes
verify_client = no
method = tlsv1_2
"""


def _pjsip(instance: Instance, folders: Folders) -> str:
    identified = "".join(f"match = {network}\n" for network in instance.networks)
    listen = f"{instance.ip}:{instance.sip_port}"
    # rtp_timeout: a party that lost power says no goodbye; its silence has to end the call.
    # It counts for each stream, so no video is offered where none is sent.
    return f"""
[global]
type = global
user_agent = Asterisk {instance.name}
endpoint_identifier_order = ip,username,anonymous

[system]
type = system
timer_t1 = 500
disable_tcp_switch = yes

[udp]
type = transport
protocol = udp
bind = {listen}

[tcp]
type = transport
protocol = tcp
bind = {listen}

{_tls(instance, folders)}
[peer](!)
type = endpoint
context = incoming
disallow = all
allow = ulaw
allow = alaw
direct_media = no
media_address = {instance.ip}
bind_rtp_to_media_address = yes
rtp_symmetric = yes
rtp_timeout = 15
rewrite_contact = no
force_rport = yes
dtmf_mode = auto
from_domain = {instance.ip}

; every party of the lab is one of these two, told by where it calls from
[lan](peer)
transport = udp

[lan-tcp](peer)
transport = tcp

[lan-identify]
type = identify
endpoint = lan
{identified}
{instance.pjsip}"""


def _confbridge(instance: Instance) -> str:
    pinned = f"[pinned](guest)\npin = {instance.pin}\n" if instance.pin else ""
    return f"""
[general]

[default_bridge]
type = bridge

[default_user]
type = user

[main]
type = bridge
max_members = 200
video_mode = follow_talker
mixing_interval = 20

[guest]
type = user
quiet = yes
announce_only_user = no
music_on_hold_when_empty = no
talk_detection_events = yes

{pinned}"""


def _extensions(instance: Instance) -> str:
    lines = [
        "[general]",
        "static = yes",
        "writeprotect = yes",
        "",
        "[globals]",
        *(f"RINGS_{codec}=no" for codec in instance.codecs),
        "",
        "[conferences]",
        "; open conferences",
        "exten => _8XXX,1,Answer()",
        " same => n,ConfBridge(${EXTEN},main,guest)",
        " same => n,Hangup()",
    ]
    if instance.echo:
        lines += [
            "; a test number",
            f"exten => {instance.echo},1,Answer()",
            " same => n,Echo()",
            " same => n,Hangup()",
        ]
    if instance.pin:
        lines += [
            "; conferences that ask for the PIN",
            "exten => _9XXX,1,Answer()",
            " same => n,ConfBridge(${EXTEN},main,pinned)",
            " same => n,Hangup()",
        ]
    for codec in instance.codecs:
        lines += [
            f"; a codec: rings while RINGS_{codec} is yes, then answers and plays a tone",
            f"exten => {codec},1,Ringing()",
            f' same => n,While($["${{RINGS_{codec}}}" = "yes"])',
            " same => n,Wait(0.1)",
            " same => n,EndWhile()",
            " same => n,Answer()",
            f" same => n,ConfBridge({codec},main,guest)",
            " same => n,Hangup()",
        ]
    lines += [
        "",
        "[incoming]",
        "include => conferences",
        "exten => i,1,Hangup(1)",
        "",
        "[from-h323]",
        "include => conferences",
        "; chan_ooh323 takes a refusal right behind its CallProceeding for a protocol error (Q.850 111), one in three",
        "exten => i,1,Wait(0.2)",
        " same => n,Hangup(1)",
        "",
        "; the tone in a codec's own conference",
        "[tone]",
        "exten => s,1,Answer()",
        " same => n,Milliwatt()",
        "",
        "; a called room that asks for digits gets them before our side is let in",
        "[digits]",
        "exten => _8XXX,1,Answer()",
        ' same => n,Wait(${IF($["${DIGITS_DELAY}" = ""]?2:${DIGITS_DELAY})})',
        " same => n,SendDTMF(${DIGITS},250)",
        " same => n,ConfBridge(${EXTEN},main,guest)",
        " same => n,Hangup()",
    ]
    return "\n".join(lines) + "\n"


def _manager(instance: Instance) -> str:
    permits = "".join(f"permit = {network}\n" for network in instance.networks)
    users = "".join(
        f"""
[{login.name}]
secret = {login.secret}
deny = 0.0.0.0/0.0.0.0
{permits}read = system,call,agent,user,config,dtmf,reporting,dialplan
write = system,call,agent,user,config,command,reporting,originate
writetimeout = 5000
"""
        for login in instance.logins
    )
    return f"""[general]
enabled = yes
port = {instance.manager_port}
bindaddr = {instance.ip}
displayconnects = no
timestampevents = no
{users}"""


def _rtp() -> str:
    return """
    [general]
    rtpstart = 20000
    rtpend = 24000
    icesupport = no
    strictrtp = no
    """


def _ooh323(instance: Instance, folders: Folders) -> str:
    general = f"""[general]
port = {instance.h323_port}
bindaddr = {instance.ip}
gateway = no
faststart = yes
h245tunneling = yes
mediawaitforconnect = no
h323id = {instance.name}
e164 = 100
callerid = {instance.name}
gatekeeper = DISABLE
logfile = {folders.var}/log/h323_log
context = from-h323
rtptimeout = 60
disallow = all
allow = ulaw
allow = alaw
dtmfmode = h245signal
faxdetect = no
directmedia = no
directrtpsetup = no
"""
    peers = [
        f"""
[{name}]
type = friend
ip = {ip}
port = 1720
context = from-h323
dtmfmode = h245signal
disallow = all
allow = ulaw
allow = alaw
"""
        for name, ip in instance.h323_peers.items()
    ]
    return general + "".join(peers)
