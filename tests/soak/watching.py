"""What can be seen of a fleet at work, and what is done to one part of it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil

from tests.soak.kept import Kept
from tests.soak.stack import Stack


@dataclass(frozen=True)
class Claim:
    """A job given to a worker, as it passed on the wire."""

    worker_id: str
    job_id: str
    attempt: int


def claims(stack: Stack) -> list[Claim]:
    """All so far."""
    return [
        Claim(exchange.path.split("/")[3], exchange.answer["job"]["job_id"], exchange.answer["job"]["attempt"])
        for exchange in stack.recorder.exchanges
        if "/claim" in exchange.path and exchange.status == 200
    ]


async def next_claim(stack: Stack) -> Claim:
    """The first claim from now on."""
    known = len(claims(stack))

    async def look() -> bool:
        return len(claims(stack)) > known

    await stack.until(look, "a claim")
    return claims(stack)[known]


async def is_measuring(stack: Stack, claim: Claim) -> bool:
    """Whether the attempt has come to its timed runs, as its worker said with a beat."""
    worker = await stack.ask("GET", f"/workers/{claim.worker_id}")
    return worker.get("current_job") == claim.job_id and (worker["progress"] or {}).get("phase") == "measuring"


async def claimed_again(stack: Stack, lost: Claim) -> None:
    """Return once the job was given to another worker."""

    async def look() -> bool:
        return any(claim.job_id == lost.job_id and claim.attempt > lost.attempt for claim in claims(stack))

    await stack.until(look, f"another attempt of {lost.job_id}")


async def reported(stack: Stack, claim: Claim) -> int | None:
    """The status with which the worker's own report of this attempt was answered; None before that."""
    for exchange in stack.recorder.exchanges:
        is_result = exchange.path == f"/api/jobs/{claim.job_id}/result"
        if is_result and exchange.status and exchange.body["attempt"] == claim.attempt:
            return exchange.status
    return None


async def program_of(stack: Stack, worker_id: str) -> Kept:
    """The worker's program, by the name that the harness gave its device."""
    worker: dict[str, Any] = await stack.insist("GET", f"/workers/{worker_id}")
    return stack.workers[int(worker["device_name"].rpartition(" ")[2])]


def has_ended(process: psutil.Process) -> bool:
    """Gone, or dead and only to be reaped by its parent, or by whoever got it when that died."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def all_live(processes: Iterable[psutil.Process]) -> bool:
    """Whether none of them has ended."""
    return not any(has_ended(process) for process in processes)


def all_have_ended(processes: Iterable[psutil.Process]) -> bool:
    """Whether none of them is left."""
    return all(has_ended(process) for process in processes)


@contextlib.contextmanager
def stopped(program: Kept) -> Iterator[None]:
    """SIGSTOP, and SIGCONT at the end."""
    program.send(signal.SIGSTOP)
    try:
        yield
    finally:
        program.send(signal.SIGCONT)


def is_first(mark: bytes) -> Any:
    """Whether this is the first reply that holds `mark`."""
    seen = False

    def drops(reply: bytes) -> bool:
        nonlocal seen
        is_it = not seen and mark in reply
        seen = seen or is_it
        return is_it

    return drops
