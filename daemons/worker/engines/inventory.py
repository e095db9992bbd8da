"""Says what a Python environment holds, and whether that is what gets imported. Run by the environment's own Python.

``FILE``: where the answer goes. It is started as the measuring process is, so that it finds what that one would find.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from sysconfig import get_path

import msgspec
from msgspec import Struct

from daemons.core.requirement import normalized


class Inventory(Struct, frozen=True):
    """What an environment holds."""

    versions: dict[str, str]
    """Of each package, by normalized name."""
    elsewhere: list[str]
    """Modules of these packages that would be imported from outside of the environment."""


def main(arguments: list[str]) -> None:
    """Write the inventory into the file that is named."""
    Path(arguments[0]).write_bytes(msgspec.json.encode(taken_stock(get_path("purelib"))))


def taken_stock(folder: str) -> Inventory:
    """Of the packages in `folder`."""
    held = list(metadata.distributions(path=[folder]))
    modules = {module for one in held for module in modules_of(one)}
    return Inventory(
        versions={normalized(one.name): one.version for one in held},
        elsewhere=sorted(module for module in modules - sys.stdlib_module_names if not comes_from(module, folder)),
    )


def modules_of(distribution: metadata.Distribution) -> Iterator[str]:
    """The names under which a package's code is imported, as far as they are the package's alone.

    A folder without an `__init__` may be shared between packages, and is not looked at.
    """
    for path in distribution.files or ():
        head, *rest = path.parts
        if rest == ["__init__.py"] and head.isidentifier():
            yield head
        elif not rest and path.suffix == ".py":
            yield path.stem


def comes_from(module: str, folder: str) -> bool:
    """Whether importing `module` would take it from `folder`. Nothing is imported."""
    found = importlib.util.find_spec(module)
    return found is not None and found.origin is not None and Path(found.origin).is_relative_to(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
