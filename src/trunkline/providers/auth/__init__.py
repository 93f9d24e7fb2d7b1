"""How a request shows a key, and where keys come from that expire: a file for each scheme.

`plain` needs nothing; `aws` and `google` use an optional package each; `azure` takes a function of the user's.
"""

from .plain import Auth, bearer, header, query

__all__ = ["Auth", "bearer", "header", "query"]
