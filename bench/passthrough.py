"""The floor: uvicorn and aiohttp, and a gateway between them that knows nothing. It hands bytes from one to the other.

python passthrough.py PORT UPSTREAM
"""

import sys

import aiohttp
import uvicorn

UPSTREAM = sys.argv[2]
session: aiohttp.ClientSession | None = None


async def app(scope, receive, send) -> None:
    """Send the request's body to the same path upstream; send back what comes, as it comes."""
    global session  # noqa: PLW0603 made in the running loop
    if scope["type"] != "http":
        return
    if session is None:
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), read_bufsize=2**18)
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    headers = {"content-type": "application/json", "authorization": "Bearer sk-bench"}
    async with session.post(UPSTREAM + scope["path"], data=body, headers=headers) as response:
        kind = response.headers["content-type"].encode()
        start = {"type": "http.response.start", "status": response.status, "headers": [(b"content-type", kind)]}
        if response.content_length is not None:
            start["headers"].append((b"content-length", str(response.content_length).encode()))
            whole = await response.read()
            await send(start)
            await send({"type": "http.response.body", "body": whole})
            return
        await send(start)
        while data := await response.content.readany():
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning", lifespan="off")
