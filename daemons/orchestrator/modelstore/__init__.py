"""Models that the orchestrator keeps: uploaded under a name, or fetched once for all devices of a campaign.

All of it lies in one folder, which several orchestrators may share: nothing is in memory that another one would need,
and a reset of the store leaves it alone. Nothing here knows HTTP; `daemons.orchestrator.api.models` does.
"""
