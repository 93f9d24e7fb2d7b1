"""The same over HTTP: an OpenAI- and Anthropic-compatible server in front of the engine.

app.py      the ASGI application: which path is answered by whom
guard.py    what is refused before anything is read
reading.py  a request body, as words
relay.py    a call's answer, as an HTTP response
listing.py  what can be called, in each dialect's own list
server.py   the listening socket and its workers
"""
