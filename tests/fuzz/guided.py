"""`python -m tests.fuzz.guided SUBJECT CORPUS -max_total_time=...`: atheris over one target; libFuzzer's options."""

import sys

import atheris

with atheris.instrument_imports(include=["adapters.sip"]):
    from tests.fuzz.targets import TARGETS


if __name__ == "__main__":
    subject = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[subject])
    atheris.Fuzz()
