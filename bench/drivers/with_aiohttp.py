"""What the wire costs: aiohttp and json by hand, no types, no retries, no errors."""

import json

import aiohttp
from host import ASKED, MESSAGES

BODY = {"model": "gpt-4o-mini", "messages": MESSAGES, **ASKED}
HEADERS = {"content-type": "application/json", "authorization": "Bearer sk-bench"}


class Driver:
    """One session for all calls."""

    def __init__(self, base_url):
        self.session = aiohttp.ClientSession()
        self.url = f"{base_url}/v1/chat/completions"

    async def call(self):
        async with self.session.post(self.url, data=json.dumps(BODY), headers=HEADERS) as response:
            body = json.loads(await response.read())
        usage = body["usage"]
        return body["choices"][0]["message"]["content"], usage["prompt_tokens"], usage["completion_tokens"]

    async def stream(self):
        body = json.dumps({**BODY, "stream": True, "stream_options": {"include_usage": True}})
        async with self.session.post(self.url, data=body, headers=HEADERS) as response:
            async for line in response.content:
                if line.startswith(b"data: {"):
                    for choice in json.loads(line[6:])["choices"]:
                        if word := choice["delta"].get("content"):
                            yield word
