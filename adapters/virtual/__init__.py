"""The virtual province: sites, a bridge and a provincial room on loopback, with real sockets and scripted behavior.

It is for the demo, the tests and the bench; the adapters of real devices drive it as they
drive those. Start with `province.Province`.
"""
