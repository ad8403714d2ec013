"""Tokens a second of all answers together, for one stream and for several at once.

usage: throughput.py BASE_URL MODEL [STREAMS…]
"""

import asyncio
import json
import sys
import time

import httpx

BASE, MODEL = sys.argv[1:3]
STREAMS = [int(count) for count in sys.argv[3:]] or [1, 4, 16]
TOKENS = 64


async def stream(client, number):
    """Times of the first and of the last piece."""
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": f"Tell a long story about the number {number}."}],
        "temperature": 0,
        "max_tokens": TOKENS,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    times, tokens = [], 0
    async with client.stream("POST", "/v1/chat/completions", json=body) as told:
        async for line in told.aiter_lines():
            if line.startswith("data: {"):
                chunk = json.loads(line[6:])
                if chunk["usage"]:
                    tokens = chunk["usage"]["completion_tokens"]
                elif chunk["choices"][0]["delta"].get("content"):
                    times.append(time.monotonic())
    return times[0], tokens


async def main():
    base = None
    async with httpx.AsyncClient(base_url=BASE, timeout=600) as client:
        await stream(client, 0)
        print("| streams | first piece, s | tokens a second | times one stream |\n|---|---|---|---|")
        for count in STREAMS:
            start = time.monotonic()
            told = await asyncio.gather(*(stream(client, 100 * count + n) for n in range(count)))
            seconds = time.monotonic() - start
            rate = sum(tokens for _, tokens in told) / seconds
            base = base or rate
            first = sorted(first - start for first, _ in told)[count // 2]
            print(f"| {count} | {first:.2f} | {rate:.1f} | {rate / base:.2f} |", flush=True)


asyncio.run(main())
