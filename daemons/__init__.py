"""The programs of benchfleet: orchestrator, worker, command line, and what they share."""

__version__ = "0.1.0"
