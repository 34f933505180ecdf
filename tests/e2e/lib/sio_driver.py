# sio_driver.py - Debian's python3-socketio, told what to do line by line.
# SPDX-License-Identifier: MIT
#
#   sio_driver.py threaded|asyncio
#   stdin   {"id": 1, "do": "connect", "url": .., "nsp": .., "transports": [..], "headers": {..}}
#            "wait": true}    false: returns before the namespace has answered
#           {"id": 2, "do": "call", "name": .., "data": ..}    or emit, transport, disconnect
#   stdout  {"id": 1, "answer": ..} or {"id": 1, "error": ..}, and {"event": name, "args": [..]}
# A string "base64:.." in data becomes bytes.
import asyncio
import base64
import json
import sys
import threading

import socketio

TIMEOUT = 15
HEARD = ["connect", "disconnect", "connect_error", "ai_progress", "resync", "task_error", "pong"]
OPTIONS = {"reconnection_delay": 0.1, "reconnection_delay_max": 0.3, "randomization_factor": 0}
lock = threading.Lock()


def say(**what):
    with lock:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


def revived(data):
    if isinstance(data, str) and data.startswith("base64:"):
        return base64.b64decode(data[7:])
    if isinstance(data, dict):
        return {key: revived(value) for key, value in data.items()}
    if isinstance(data, list):
        return [revived(value) for value in data]
    return data


def listen(client, nsp):
    """Handlers of plain functions: both clients take them."""
    for name in HEARD:
        client.on(name, lambda *args, name=name: say(event=name, args=args), namespace=nsp)


def connect_options(ask):
    return {"namespaces": [ask["nsp"]], "transports": ask.get("transports"),
            "headers": ask.get("headers", {}), "wait": ask["wait"], "wait_timeout": TIMEOUT}


def act(client, ask):
    """What the client gives back: an answer, or something to await."""
    nsp, name, data = ask["nsp"], ask.get("name"), revived(ask.get("data"))
    if ask["do"] == "connect":
        listen(client, nsp)
        return client.connect(ask["url"], **connect_options(ask))
    if ask["do"] == "call":
        return client.call(name, data, namespace=nsp, timeout=TIMEOUT)
    if ask["do"] == "emit":
        return client.emit(name, data, namespace=nsp)
    if ask["do"] == "transport":
        return client.transport()
    return client.disconnect()


def threaded():
    client = socketio.Client(**OPTIONS)
    for line in sys.stdin:
        ask = json.loads(line)
        try:
            say(id=ask["id"], answer=act(client, ask))
        except Exception as error:
            say(id=ask["id"], error=f"{type(error).__name__}: {error}")


async def asynchronous():
    client = socketio.AsyncClient(**OPTIONS)
    lines = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        ask = json.loads(line)
        try:
            answer = act(client, ask)
            say(id=ask["id"], answer=await answer if asyncio.iscoroutine(answer) else answer)
        except Exception as error:
            say(id=ask["id"], error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    if sys.argv[1] == "threaded":
        threaded()
    else:
        asyncio.run(asynchronous())
