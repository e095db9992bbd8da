"""How every command is asked for its help."""

from __future__ import annotations

from typing import Any, Final

HELP: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"]}
"""Context settings of each command: one that is called outside its group takes `-h`, too."""
