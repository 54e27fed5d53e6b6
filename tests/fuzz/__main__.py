"""`python -m tests.fuzz [SECONDS]`: atheris over every target for that long in all, then hypothesis with many examples.

atheris is there on Linux x86_64 up to Python 3.13; elsewhere hypothesis does it alone, and this says so. A find
is printed with the bytes that made it, and kept in the folder it names.
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
FINDS = Path(tempfile.gettempdir()) / "diemcau-fuzz"
MEMORY_MB = 1024
SLOW_S = 5
"""One input that takes longer is a find."""
LONGEST = 70_000
EXAMPLES = 3000
_EXECUTED = re.compile(r"number_of_executed_units: (\d+)")


def guided(subject: str, seconds: int) -> int:
    """Let atheris search one target in a process of its own; 0 when it found nothing."""
    corpus, finds = FINDS / "corpus" / subject, FINDS / "finds" / subject
    for folder in (corpus, finds):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[subject]):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MB}", f"-timeout={SLOW_S}", f"-max_len={LONGEST}"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.guided", subject, str(corpus), *limits, f"-artifact_prefix={finds}/",
         "-print_final_stats=1", "-verbosity=0"],
        cwd=ROOT, timeout=seconds + 120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
    )  # fmt: skip
    if done.returncode:
        print(done.stdout[-4000:], flush=True)
    else:
        print(f"fuzz: {subject}: {(_EXECUTED.search(done.stdout) or ['', '?'])[1]} inputs, nothing found", flush=True)
    return done.returncode


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    words.add_argument("seconds", nargs="?", type=int, default=60, help="for atheris, over all targets (60)")
    words.add_argument("--only", choices=list(TARGETS), help="this target")
    arguments = words.parse_args()
    subjects = [arguments.only] if arguments.only else list(TARGETS)
    wrong: list[str] = []
    if importlib.util.find_spec("atheris") is None:
        print("fuzz: there is no atheris for this Python and machine; hypothesis alone", flush=True)
    else:
        each = max(1, arguments.seconds // len(subjects))
        wrong = [subject for subject in subjects if guided(subject, each)]
    chosen = ["-k", arguments.only] if arguments.only else []
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/fuzz", *chosen],
        cwd=ROOT, env={**os.environ, "DIEMCAU_FUZZ_EXAMPLES": str(EXAMPLES)},
    )  # fmt: skip
    if wrong:
        print(f"fuzz: found something in {', '.join(wrong)}; the bytes are in {FINDS / 'finds'}", file=sys.stderr)
    return 1 if wrong or done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
