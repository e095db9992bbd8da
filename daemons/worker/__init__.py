"""The worker: takes jobs from the orchestrator, measures them on this device, and delivers the results.

It speaks HTTP to the orchestrator and nothing else; it sees neither the database nor, in this process, any engine.
"""
