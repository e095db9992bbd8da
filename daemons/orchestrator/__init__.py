"""The orchestrator: the REST API in front of the store, and the duties that keep the fleet's promises.

It holds nothing that a restart would lose. Several of them may serve one store at once.
"""
