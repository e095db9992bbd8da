"""What the dashboard knows of the fleet: events and snapshots in, rows out. Pure: no terminal, no network, no clock."""
