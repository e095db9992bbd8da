"""Process plumbing that would serve any daemon: configuration, logs, supervision, locks, the end of a program."""
