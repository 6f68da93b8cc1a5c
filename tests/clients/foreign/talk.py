"""One small conversation of python-socketio's asyncio client, told as JSON lines on stdout.

    talk.py GATEWAY TRANSPORT ROOM TEXT [TOKEN NAME]

With a token it talks in the room (004); without one it relays in the lobby as a guest (000).
Each way it says TEXT, then waits for somebody else's answer to it, which must begin with TEXT.
"""

import asyncio
import json
import sys

import socketio

PATIENCE = 10


def tell(what, body):
    print(json.dumps({"what": what, "body": body}), flush=True)


async def main(gateway, transport, room, text, token=None, name=None):
    client = socketio.AsyncClient(reconnection=False)
    answered = asyncio.get_running_loop().create_future()
    event, sent = "chat message", {"roomId": room, "user": name, "text": text}
    field = "text"
    if token is None:
        event, field = "broadcast:message", "content"
        sent = {"author": "python-guest", "content": text, "timestamp": 1_700_000_000_000}

    def hear(message):
        is_answer = message[field].startswith(text) and message[field] != text
        if is_answer and not answered.done():
            answered.set_result(message)

    client.on(event, hear)
    client.on("message history", lambda messages: tell("history", messages))
    auth = {"token": token} if token else None
    await client.connect(gateway, auth=auth, transports=[transport])
    tell("transport", client.transport())
    if token is None:
        await client.emit("send:message", sent)
    else:
        place = {"roomId": room, "user": name}
        tell("joined", await client.call("join room", place, timeout=PATIENCE))
        tell("said", await client.call("chat message", sent, timeout=PATIENCE))
    tell("heard", await asyncio.wait_for(answered, PATIENCE))
    await client.disconnect()


asyncio.run(main(*sys.argv[1:]))
