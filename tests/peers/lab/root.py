"""A Debian system in a folder with Asterisk and its H.323 channel, built once and kept.

Debian carries asterisk and asterisk-ooh323 in sid (22) and bullseye (16) only, so neither
can be installed beside the system's own packages. The folder is built by debootstrap from
the mirror that this machine's own apt uses (or `DIEMCAU_LAB_MIRROR`), as root.

Run `python -m tests.peers.lab.root` to build it by itself.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.peers.lab.place import LabError, Lock, lab_folder, need, search_path

SUITES = ("sid", "bullseye")
PACKAGES = ("asterisk", "asterisk-ooh323")
BUILDING = "asterisk-root.building"  # lies beside the folder while it is built: a folder with it is a broken build
SOURCE = re.compile(r"^(?:deb[ \t]+(?:\[[^\]]*\][ \t]*)?|URIs:[ \t]*)(https?://\S+)", re.MULTILINE)

Say = Callable[[str], None]


def asterisk_root() -> Path:
    return lab_folder() / "asterisk-root"


def modules_folder(root: Path) -> str:
    """Where the modules are, as seen from inside: it differs between suites and architectures."""
    for found in [*sorted(root.glob("usr/lib/*/asterisk/modules")), root / "usr/lib/asterisk/modules"]:
        if (found / "chan_ooh323.so").exists():
            return "/" + str(found.relative_to(root))
    raise LabError(f"{root} has no chan_ooh323.so; remove that folder and build it again")


def mirrors(sources: Path = Path("/etc/apt")) -> list[str]:
    """The archive mirrors of this machine's apt, the named one first, security archives last."""
    named = os.environ.get("DIEMCAU_LAB_MIRROR")
    found: list[str] = [named] if named else []
    files = [sources / "sources.list", *sorted((sources / "sources.list.d").glob("*"))]
    for file in files:
        if file.suffix not in (".list", ".sources") or not file.is_file():
            continue
        text = file.read_text(errors="replace")
        found.extend(match[1].rstrip("/") for match in SOURCE.finditer(text))
    debian = [uri for uri in dict.fromkeys(found) if uri == named or uri.endswith("/debian")]
    return debian or [uri for uri in dict.fromkeys(found) if "security" not in uri]


def complete(root: Path) -> bool:
    """Asterisk runs in it and its H.323 channel is there."""
    return not (root.parent / BUILDING).exists() and (root / "usr/sbin/asterisk").exists() and _runs(root)


def _runs(root: Path) -> bool:
    try:
        modules_folder(root)
        answer = subprocess.run(
            ["chroot", str(root), "/usr/sbin/asterisk", "-V"],
            env={"PATH": search_path()},
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (LabError, OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.startswith(b"Asterisk ")


def ensure_root(say: Say = print) -> Path:
    """The folder, built if it is not there or was left half built. Safe to repeat."""
    need("chroot")
    if os.geteuid() != 0:
        raise LabError("the lab runs Asterisk in a root folder of its own (chroot), which only root may do: use sudo")
    root = asterisk_root()
    lock = Lock(lab_folder() / "root.lock", "the Asterisk folder")
    lock.take(wait=True)
    try:
        if not complete(root):
            _build(root, say, lock)
        return root
    finally:
        lock.release()


def _build(root: Path, say: Say, lock: Lock) -> None:
    need("debootstrap", "chroot")
    candidates = mirrors()
    if not candidates:
        raise LabError("no Debian mirror in /etc/apt; set DIEMCAU_LAB_MIRROR to the address of one")
    troubles = []
    marker = root.parent / BUILDING
    for suite in SUITES:
        for mirror in candidates:
            if root.exists():
                say(f"lab: removing a half built {root}")
                shutil.rmtree(root)
            root.parent.mkdir(parents=True, exist_ok=True)
            marker.touch()
            say(f"lab: building Asterisk from {suite} in {root} (one to two minutes, once)")
            trouble = _try(root, suite, mirror, say, lock)
            if trouble is None:
                marker.unlink()
                say(f"lab: ready, {_version(root)}")
                return
            troubles.append(f"{suite}: {trouble}")
            say(f"lab: {suite} cannot be had: {trouble}")
    shutil.rmtree(root, ignore_errors=True)
    marker.unlink(missing_ok=True)
    raise LabError("no Asterisk with H.323 could be built; tried " + "; ".join(troubles))


def _try(root: Path, suite: str, mirror: str, say: Say, lock: Lock) -> str | None:
    """Build from one suite; returns what went wrong, None when nothing did."""
    log = lab_folder() / f"build-{suite}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    env = {**os.environ, "PATH": search_path(), "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}

    def run(what: str, *command: str) -> str | None:
        say(f"lab:   {what}")
        with log.open("ab") as out:
            # a step that outlives us keeps the lock: nobody builds over it
            done = subprocess.run(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                check=False,
                pass_fds=(lock.fileno(),),
            )
        if done.returncode == 0:
            return None
        tail = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-3:]
        return f"{what} failed ({' / '.join(tail)}; all of it in {log})"

    inside = ("chroot", str(root))
    if trouble := run("fetching the base system", "debootstrap", "--variant=minbase", suite, str(root), mirror):
        return trouble
    # packages must not start services here, nor carry manuals
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    excluded = ("doc", "man", "locale", "info")
    (root / "etc/dpkg/dpkg.cfg.d/lean").write_text("".join(f"path-exclude /usr/share/{one}/*\n" for one in excluded))
    for name in ("etc/resolv.conf", "etc/hosts"):
        if Path("/", name).exists():
            (root / name).unlink(missing_ok=True)
            shutil.copyfile(Path("/", name).resolve(), root / name)
    authorities = Path("/etc/ssl/certs/ca-certificates.crt")  # for a mirror behind https
    if authorities.exists() and not (root / authorities.relative_to("/")).exists():
        (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(authorities, root / authorities.relative_to("/"))
    valid = ("-o", "Acquire::Check-Valid-Until=false")  # an archive snapshot is as old as it is meant to be
    lean = ("install", "-y", "--no-install-recommends", *PACKAGES)
    steps = (
        run("reading the package lists", *inside, "apt-get", *valid, "update")
        or run("installing Asterisk", *inside, "apt-get", *lean)
        or run("cleaning", *inside, "apt-get", "clean")
    )
    if steps:
        return steps
    shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
    return None if _runs(root) else f"what was installed does not run (see {log})"


def _version(root: Path) -> str:
    answer = subprocess.run(
        ["chroot", str(root), "/usr/sbin/asterisk", "-V"], capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()


if __name__ == "__main__":
    try:
        print(f"lab: {_version(ensure_root())}")
    except LabError as error:
        sys.exit(f"lab: {error}")
