"""Real peers: an Asterisk bridge, a provincial room and 41 endpoints, driven as a user would."""
