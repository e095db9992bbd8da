"""Where the board's news come from: the REST event stream, Redis, or a recording. All of them tell the same things."""
