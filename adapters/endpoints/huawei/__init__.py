"""Huawei TE and CloudLink, driven over HTTP."""
