"""What every engine promises, as tests that the author of an engine runs after installing it.

::

    pip install 'benchfleet[conformance]' mypackage
    pytest --pyargs daemons.worker.engines.conformance -k myruntime

Engines are those of the entry-point group `benchfleet.engines`, found as a worker finds them; `-k` takes the name of
an entry point or of a unit. Units that don't work on this machine are skipped, with the reason that the probe gives.
docs/engines.md tells what each promise means.
"""
