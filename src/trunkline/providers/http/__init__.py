"""The network: the only code that touches it.

transport.py  what the engine holds: a pool for each event loop
pool.py       connections, and the HTTP library's errors as ours
"""
