"""Text conversations with devices: transports, the dialogue (pexpect), log-in, one command at a time."""
