"""The errors that benchfleet raises for people, in one tree.

::

    BenchfleetError                  anything below; its text is a sentence that a person can act on
    ├── InvalidInput                 what was sent can't be accepted; nothing was changed
    │   ├── TooLarge                 … because it is over a size limit
    │   ├── UnsupportedMediaType     … because it is not JSON
    │   └── WrongHash                … because it has another hash than was said
    ├── NotAcceptable                it can't be given in any of the forms that the caller accepts
    ├── NotFound                     no such campaign, job, worker, file or path
    ├── Conflict                     it contradicts what is recorded; nothing was changed
    │   ├── StaleAttempt             the attempt is not the job's newest, or the job has ended
    │   ├── WorkerReplaced           a newer process of the same device has registered
    │   └── PreconditionFailed       the request was to be heeded on a condition that doesn't hold
    ├── NoRoom                       it doesn't fit on the disk, or in what may be used of it
    ├── NotAllowed                   the caller may not do this
    │   └── NotAuthenticated         … and has not said who it is
    ├── Unavailable                  something that may pass is away; try again
    │   ├── StoreUnavailable         Redis or Valkey doesn't answer
    │   └── OrchestratorUnavailable  the orchestrator doesn't answer
    ├── ConfigInvalid                a configuration file, key or option is wrong
    └── AlreadyRunning               another process holds what this one needs

A failed *job* is data (`daemons.core.results`), never one of these. What each means to HTTP stands in
`daemons.orchestrator.api.errors`, what it means to an exit status in `daemons.runtime.boot`.
"""

from __future__ import annotations


class BenchfleetError(Exception):
    """An error whose text says what was wrong, where, what is allowed and what to do."""


class InvalidInput(BenchfleetError):
    """What was sent can't be accepted. `mistakes` names each place, as text, when there are several."""

    def __init__(self, text: str, *, field: str | None = None, mistakes: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.field = field
        self.mistakes = mistakes or (text,)


class TooLarge(InvalidInput):
    """What was sent is over a size limit that the text names."""


class UnsupportedMediaType(InvalidInput):
    """A body came with a content type other than the one that is taken."""


class WrongHash(InvalidInput):
    """What has come has another hash than was said of it."""


class NotAcceptable(BenchfleetError):
    """What was asked for can't be given in any of the forms that the caller accepts."""


class NotFound(BenchfleetError):
    """Nothing has this name."""


class Conflict(BenchfleetError):
    """The request contradicts what is recorded, and changed nothing."""


class StaleAttempt(Conflict):
    """The attempt named is not the newest of its job, or the job has ended: whoever works on it can stop."""


class WorkerReplaced(Conflict):
    """A newer process has registered as this device: the caller must end."""


class PreconditionFailed(Conflict):
    """The request says on what condition it is meant, and that doesn't hold."""


class NoRoom(BenchfleetError):
    """There is no room for what was sent. The text says how much there is, and how to make more."""


class NotAllowed(BenchfleetError):
    """The caller may not do this."""


class NotAuthenticated(NotAllowed):
    """The caller has not shown a token that is known."""


class Unavailable(BenchfleetError):
    """Something that may pass is in the way; the same request may succeed in `retry_after_s` seconds."""

    retry_after_s = 2


class StoreUnavailable(Unavailable):
    """Redis or Valkey doesn't answer."""


class OrchestratorUnavailable(Unavailable):
    """The orchestrator doesn't answer."""


class ConfigInvalid(BenchfleetError):
    """A configuration can't be used. `mistakes` holds one line for each mistake found."""

    def __init__(self, text: str, *, mistakes: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.mistakes = mistakes or (text,)


class AlreadyRunning(BenchfleetError):
    """Another process holds the folder, socket or port that this one needs."""
