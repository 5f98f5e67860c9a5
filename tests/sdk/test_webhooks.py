"""Webhooks of two nodes, read with the unmodified PyPI SDK `livekit-api`; the room's home is killed on the way."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp
import pytest
from livekit import api

import media
from guest import Guest
from mesh import ORIGO

KEY, SECRET = "webhookkey", "a webhook secret of more than 32 bytes"
ROOM = "hooked"


class Receiver:
    """An application's server. While it is not `open` it answers 503, but keeps what it was shown."""

    def __init__(self):
        self.shown: list[api.WebhookEvent] = []
        self.taken: list[api.WebhookEvent] = []
        self.open = True
        reader = api.WebhookReceiver(api.TokenVerifier(KEY, SECRET))
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                assert self.headers["content-type"] == "application/webhook+json"
                event = reader.receive(body, self.headers["authorization"])
                receiver.shown.append(event)
                if receiver.open:
                    receiver.taken.append(event)
                self.send_response(200 if receiver.open else 503)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/livekit"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def names(self):
        """What was taken, each event once."""
        return list(dict.fromkeys((event.event, event.participant.identity, event.id) for event in self.taken))

    async def until(self, has, seconds: float = 15):
        """Waits until it has taken what is asked for."""
        deadline = time.monotonic() + seconds
        while not has():
            assert time.monotonic() < deadline, [name for name in self.names()]
            await asyncio.sleep(0.05)

    def close(self):
        self._server.shutdown()


class Node:
    """One node of a mesh of two, that can be killed and started again."""

    def __init__(self, index: int, base: int, folder: Path, urls: str):
        self.port = base + 10 * index
        self.url = f"ws://127.0.0.1:{self.port}"
        self._folder = folder / f"node-{index}"
        self._log = folder / f"node-{index}.log"
        self._command = [ORIGO, "node", "--port", str(self.port), "--workers", "1", "--data-dir", str(self._folder)]
        self._command += ["--seeds", f"127.0.0.1:{base + 10 * (1 - index) + 1}", "--webhook-urls", urls]
        self._command += ["--api-key", KEY, "--api-secret", SECRET, "--log", "info"]
        # A stop is no drain, which would wait for the receiver that never answers.
        self._command += ["--drain-deadline", "0"]
        self.start()

    def start(self):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ORIGO_")}
        self._process = subprocess.Popen(self._command, stderr=self._log.open("a"), env=environment)

    def kill(self, how=signal.SIGKILL):
        self._process.send_signal(how)
        self._process.wait(10)


@contextlib.asynccontextmanager
async def two_nodes(folder: Path, urls: str):
    # Below the ports that the system gives to whoever asks for any.
    base = 11_000 + 100 * random.randrange(90)
    nodes = [Node(index, base, folder, urls) for index in range(2)]
    try:
        for node in nodes:
            await ready(node)
        yield nodes
    finally:
        for node in nodes:
            node.kill(signal.SIGTERM)


async def ready(node: Node):
    """Waits until a node sees its peer."""
    deadline = time.monotonic() + 15
    async with aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(node.url.replace("ws", "http") + "/health") as answer:
                    if answer.status == 200 and (await answer.json())["nodes"] == 2:
                        return
            assert time.monotonic() < deadline, "the nodes do not find each other"
            await asyncio.sleep(0.05)


async def join(node: Node, identity: str) -> Guest:
    grants = api.VideoGrants(room_join=True, room=ROOM)
    token = api.AccessToken(KEY, SECRET).with_identity(identity).with_grants(grants).to_jwt()
    return await Guest(identity).join(None, node, ROOM, token=token)


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


async def test_an_application_hears_of_a_room_across_nodes_in_order_and_once_per_id(tmp_path, receiver):
    silent = "http://127.0.0.1:9/nobody"
    async with two_nodes(tmp_path, f"{silent},{receiver.url}") as nodes:
        ann = await join(nodes[0], "ann")
        async with media.running(await media.publish_tone(ann.room, 440)):
            await receiver.until(lambda: any(event.event == "track_published" for event in receiver.taken))
        bob = await join(nodes[1], "bob")
        await receiver.until(lambda: len(receiver.names()) >= 4)
        await ann.leave()
        await receiver.until(lambda: any(event.event == "participant_left" for event in receiver.taken))
        await bob.leave()
        await receiver.until(lambda: receiver.taken[-1].event == "room_finished")
    assert [name[:2] for name in receiver.names()] == [
        ("room_started", ""),
        ("participant_joined", "ann"),
        ("track_published", "ann"),
        ("participant_joined", "bob"),
        ("track_unpublished", "ann"),
        ("participant_left", "ann"),
        ("participant_left", "bob"),
        ("room_finished", ""),
    ]
    assert len({event.room.sid for event in receiver.taken}) == 1
    assert all(event.id.startswith("EV_") and event.created_at > 0 for event in receiver.taken)


async def test_what_was_not_taken_before_a_kill_is_delivered_after_it_with_the_same_id(tmp_path, receiver):
    receiver.open = False
    async with two_nodes(tmp_path, receiver.url) as nodes:
        guests = [await join(node, identity) for node, identity in zip(nodes, ("ann", "bob"))]
        sids = [guest.room.local_participant.sid for guest in guests]
        # One of the two is the room's home; it has tried in vain.
        await receiver.until(lambda: receiver.shown)
        await asyncio.sleep(1)
        first = receiver.shown[0]
        assert first.event == "room_started" and not receiver.taken
        for node in nodes:
            node.kill()
        for node in nodes:
            node.start()
        receiver.open = True
        for node in nodes:
            await ready(node)
        gone = {guest_sid: "participant_left" for guest_sid in sids}
        await receiver.until(
            lambda: gone.items() <= {event.participant.sid: event.event for event in receiver.taken}.items(), seconds=30
        )
        for guest in guests:
            await guest.leave()
    assert (receiver.taken[0].event, receiver.taken[0].id) == ("room_started", first.id)
    for sid in sids:
        told = [event.event for event in receiver.taken if event.participant.sid == sid]
        assert list(dict.fromkeys(told)) == ["participant_joined", "participant_left"]
