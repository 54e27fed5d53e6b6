"""LifeSize Room, Team, Express and Icon, driven over SSH or telnet."""
