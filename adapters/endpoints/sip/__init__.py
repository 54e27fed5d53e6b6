"""SIP endpoints without a control session: third-party call control makes their calls."""
