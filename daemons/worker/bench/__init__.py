"""How a number is made: a process of its own for each job, and the runner that starts, watches and ends it."""
