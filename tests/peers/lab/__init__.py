"""The lab: real SIP and H.323 peers on loopback addresses, started and ended by process id."""
