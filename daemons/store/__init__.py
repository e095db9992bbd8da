"""The only place that speaks to Redis or Valkey: its keys, its atomic scripts, and the embedded server.

Every state change is one script in `scripts/`, one round trip; the modules here turn arguments and answers into the
types of `daemons.core` and refusals into its errors. Whoever uses this package imports `Store`.
"""

from daemons.store.connect import Store, open_store

__all__ = ["Store", "open_store"]
