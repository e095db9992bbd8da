"""What benchfleet knows, as pure values: no I/O, no clock, no network, no event loop.

Everything here can be tested by calling it. The other packages depend on this one; it depends on none of them.
"""
