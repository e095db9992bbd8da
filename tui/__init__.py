"""The terminal dashboard's room. It sees the fleet through `daemons.client` and draws from pure values."""
