"""`python -m daemons` is `benchfleet`."""

from daemons.cli import main

main()
