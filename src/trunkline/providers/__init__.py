"""Where it is said: a row for each provider, its keys and addresses, and the transports that reach it.

`catalog` holds the rows, `exchange` one conversation with one target, `http` the only code that touches the network.
"""
