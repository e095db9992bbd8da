"""Two campaigns side by side, without a terminal: what belongs together, how it differs, how sure that is."""
