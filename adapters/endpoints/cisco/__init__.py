"""Cisco TelePresence and Webex devices (TC, CE, RoomOS), driven over telnet or SSH."""
