"""Files over the network: addresses are judged, bytes counted and hashed, and what broke off goes on.

It knows HTTP and the disk; models, jobs and caches are its callers'. Workers and the orchestrator fetch with it alike.
"""
