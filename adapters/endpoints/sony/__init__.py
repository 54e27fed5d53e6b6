"""Sony IPELA PCS-XG and its kin, driven over telnet or a serial line."""
