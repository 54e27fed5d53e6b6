"""How fast a device may be spoken to, and how patient to be with it. Data; seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Figures of one family; its card says where each comes from."""

    open_s: float = 15.0
    """Connection, log-in and first questions together."""
    gap_s: float = 0.0
    """The least time between two orders."""
    settle_s: float = 0.0
    """How long a device wants to be left alone after the log-in."""
    reply_s: float = 10.0
    busy_poll_s: float = 2.0
    """How often calls are asked for while one of ours is set up, ends, or the device tells of no changes."""
    idle_poll_s: float = 50.0
    """How often they are asked for otherwise; it also keeps the session alive."""
    unseen_s: float = 20.0
    """A call that was ordered and that the device shows nowhere for so long did not come about."""
    retry_first_s: float = 1.0
    retry_most_s: float = 60.0
    digit_gap_s: float = 0.0
    """Between two DTMF digits, where each is an order of its own."""
