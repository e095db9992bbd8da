"""Engines: what can load a model and run it on a compute unit. Others are found by entry point, see `base`."""
