"""WHIP and WHEP with a client that is neither a browser nor ours: `aiortc`."""

import asyncio
import os
import subprocess
import time
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from yarl import URL

from mesh import ORIGO, TARGET, Mesh

ROOM = "aiortc"


class Session:
    """One session over HTTP: its connection, and its URL."""

    def __init__(self, http: aiohttp.ClientSession, pc: RTCPeerConnection, token: str):
        self.pc = pc
        self.url = self.etag = ""
        self.frames = {"audio": 0, "video": 0}
        self._http, self._readers = http, []
        self._headers = {"Authorization": f"Bearer {token}"}
        pc.on("track", self._read)

    async def open(self, endpoint: str) -> int:
        """Offers, takes the answer and waits until media can flow; gives the status."""
        await self.pc.setLocalDescription(await self.pc.createOffer())
        headers = self._headers | {"Content-Type": "application/sdp"}
        async with self._http.post(endpoint, data=self.pc.localDescription.sdp, headers=headers) as answer:
            if answer.status != 201:
                return answer.status
            self.url = str(answer.url.join(URL(answer.headers["Location"])))
            self.etag = answer.headers["ETag"]
            assert answer.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
            await self.pc.setRemoteDescription(RTCSessionDescription(await answer.text(), "answer"))
        async with asyncio.timeout(10):
            while self.pc.connectionState != "connected":
                await asyncio.sleep(0.02)
        return 201

    async def trickle(self, etag: str) -> int:
        headers = self._headers | {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": etag}
        body = "a=mid:0\r\na=end-of-candidates\r\n"
        async with self._http.patch(self.url, data=body, headers=headers) as answer:
            return answer.status

    async def delete(self) -> int:
        async with self._http.delete(self.url, headers=self._headers) as answer:
            return answer.status

    async def plays(self, **more: int):
        """Waits until so many more frames of each kind are decoded."""
        goal = {kind: self.frames[kind] + count for kind, count in more.items()}
        async with asyncio.timeout(20):
            while any(self.frames[kind] < count for kind, count in goal.items()):
                await asyncio.sleep(0.02)

    async def close(self):
        for reader in self._readers:
            reader.cancel()
        await self.pc.close()

    def _read(self, track):
        async def read():
            while True:
                await track.recv()
                self.frames[track.kind] += 1

        self._readers.append(asyncio.ensure_future(read()))


@asynccontextmanager
async def sessions(mesh: Mesh):
    """Makes sessions, and closes them all."""
    opened = []
    async with aiohttp.ClientSession() as http:

        def publisher(identity: str) -> Session:
            pc = RTCPeerConnection()
            pc.addTransceiver(AudioStreamTrack(), "sendonly")
            pc.addTransceiver(VideoStreamTrack(), "sendonly")
            opened.append(Session(http, pc, mesh.token(ROOM, identity)))
            return opened[-1]

        def viewer(identity: str) -> Session:
            pc = RTCPeerConnection()
            pc.addTransceiver("audio", "recvonly")
            pc.addTransceiver("video", "recvonly")
            opened.append(Session(http, pc, mesh.token(ROOM, identity)))
            return opened[-1]

        try:
            yield publisher, viewer
        finally:
            for session in opened:
                await session.close()


async def watch(viewer, endpoint: str) -> Session:
    """A viewer of what is published on another node, which this one knows of a moment later."""
    async with asyncio.timeout(5):
        while True:
            watching = viewer("watching")
            status = await watching.open(endpoint)
            if status == 201:
                return watching
            assert status == 409, "nobody publishes yet"
            await asyncio.sleep(0.05)


async def test_aiortc_publishes_on_one_node_and_watches_on_another(mesh: Mesh):
    here, there = (node.url.replace("ws", "http", 1) for node in mesh.nodes[:2])
    async with sessions(mesh) as (publisher, viewer):
        assert await viewer("early").open(f"{there}/whep/v1") == 409
        camera = publisher("camera")
        assert await camera.open(f"{here}/whip/v1") == 201
        assert [await camera.trickle(camera.etag), await camera.trickle('"old"')] == [204, 412]
        watching = await watch(viewer, f"{there}/whep/v1?participant=camera")
        await watching.plays(audio=50, video=30)
        assert [await watching.delete(), await camera.delete(), await camera.delete()] == [200, 200, 404]


async def test_a_player_sees_the_next_publisher_without_another_exchange(mesh: Mesh):
    here, there = (node.url.replace("ws", "http", 1) for node in mesh.nodes[:2])
    async with sessions(mesh) as (publisher, viewer):
        first = publisher("first")
        assert await first.open(f"{here}/whip/v1") == 201
        watching = await watch(viewer, f"{there}/whep/v1")
        await watching.plays(audio=30, video=20)
        assert await first.delete() == 200
        await asyncio.sleep(1)
        assert await publisher("second").open(f"{here}/whip/v1") == 201
        await watching.plays(audio=30, video=20)
        assert await watching.delete() == 200


async def test_an_encoder_stays_while_its_node_drains_and_is_told_goodbye_at_the_deadline():
    mesh = Mesh(TARGET / "test-logs" / "mesh-sdk-python-whip-drain.log")
    try:
        here, there = (node.url.replace("ws", "http", 1) for node in mesh.nodes[:2])
        async with sessions(mesh) as (publisher, viewer):
            camera = publisher("camera")
            assert await camera.open(f"{here}/whip/v1") == 201
            watching = await watch(viewer, f"{there}/whep/v1?participant=camera")
            command = [ORIGO, "node", "drain", "--deadline", "4", "--metrics", urlsplit(mesh.nodes[0].metrics).netloc]
            subprocess.run(command, check=True, timeout=10, env={"PATH": os.environ["PATH"]})
            await watching.plays(audio=50, video=30)
            begun = time.monotonic()
            async with asyncio.timeout(8):
                while camera.pc.connectionState != "closed":
                    await asyncio.sleep(0.02)
            # Without a goodbye it would find out by silence, which takes half a minute.
            assert time.monotonic() - begun < 7
    finally:
        mesh.stop()
