"""`python -m adapters.linecheck`: the line check's process; whoever starts it speaks to it over its pipe."""

import asyncio
import os
import signal
import sys

from adapters.linecheck.service import NoAddress, WrongWords, serve


def main() -> int:
    """Serve on stdin and stdout; what anybody prints by mistake goes to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started us; we end with the pipe, in order
    out = os.dup(1)
    os.dup2(2, 1)
    try:
        asyncio.run(serve(os.dup(0), out))
    except WrongWords as wrong:
        sys.stderr.write(f"{wrong}\n")
        return 2
    except NoAddress as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
