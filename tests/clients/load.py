"""Many clients at once against `wisp serve`, some of which go away: every answer must be the one
that the same request gets alone, and nothing may be left behind.

usage: load.py BASE_URL MODEL [SECONDS] [CLIENTS]
"""

import asyncio
import json
import random
import re
import sys
import time

import httpx

BASE, MODEL = sys.argv[1:3]
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 300
CLIENTS = int(sys.argv[4]) if len(sys.argv) > 4 else 64
GOES_AWAY = 0.1
TOPICS = ["cats", "rain", "bread", "trains", "the sea", "winter", "music", "maps"]


def body(topic, stream):
    messages = [{"role": "user", "content": f"Say something about {topic}."}]
    return {"model": MODEL, "messages": messages, "temperature": 0, "max_tokens": 16, "stream": stream}


async def whole(client, topic):
    told = await client.post("/v1/chat/completions", json=body(topic, False))
    return told.status_code, told.json()["choices"][0]["message"]["content"] if told.is_success else ""


async def streamed(client, topic, leave_after):
    """The text, or None where the client has gone away."""
    text, pieces = "", 0
    async with client.stream("POST", "/v1/chat/completions", json=body(topic, True)) as told:
        if told.status_code != 200:
            await told.aread()
            return told.status_code, ""
        async for line in told.aiter_lines():
            if line == "data: [DONE]":
                return 200, text
            if line.startswith("data: "):
                chunk = json.loads(line[6:])
                text += chunk["choices"][0]["delta"].get("content") or ""
                pieces += 1
                if pieces == leave_after:
                    return 200, None
    raise AssertionError("a stream broke off")


async def main():
    counts = {"answered": 0, "gone": 0, "told to come back": 0}
    limits = httpx.Limits(max_connections=2 * CLIENTS)
    async with httpx.AsyncClient(base_url=BASE, timeout=600, limits=limits) as client:
        alone = {topic: (await whole(client, topic))[1] for topic in TOPICS}
        end = time.monotonic() + SECONDS

        async def person(number):
            dice = random.Random(number)
            while time.monotonic() < end:
                topic = dice.choice(TOPICS)
                if dice.random() < 0.5:
                    status, text = await whole(client, topic)
                else:
                    leave = dice.randint(1, 8) if dice.random() < 2 * GOES_AWAY else None
                    status, text = await streamed(client, topic, leave)
                if status == 429:
                    counts["told to come back"] += 1
                    await asyncio.sleep(1)
                    continue
                assert status == 200, status
                if text is None:
                    counts["gone"] += 1
                    continue
                assert text == alone[topic], (topic, text, alone[topic])
                counts["answered"] += 1

        await asyncio.gather(*(person(number) for number in range(CLIENTS)))
        for _ in range(100):
            metrics = (await client.get("/metrics")).text
            value = lambda name: float(re.search(rf"^wisp_{name}\{{.*\}} (\S+)$", metrics, re.M)[1])
            if value("requests_in_progress") == 0 and value("kv_pages_free") == value("kv_pages"):
                break
            await asyncio.sleep(0.1)
        else:
            raise AssertionError("something is left behind:\n" + metrics)
    print(f"{CLIENTS} clients, {SECONDS:.0f} s: " + ", ".join(f"{n} {k}" for k, n in counts.items()))


asyncio.run(main())
