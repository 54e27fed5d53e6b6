"""One file a family: `VENDORS`, the dialects that the clauses are run over. A file put here is found."""

import importlib
import pkgutil

from tests.conformance.vendor.rig import Vendor

VENDORS: tuple[Vendor, ...] = tuple(
    vendor
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__))
    for vendor in importlib.import_module(f"{__name__}.{module}").VENDORS
)
