"""Coming back with the unmodified PyPI SDK `livekit`: after a cut socket, and after the node was killed."""

import asyncio
import contextlib
import os
import signal
from dataclasses import replace
from urllib.parse import urlsplit

from livekit import rtc

import media
from guest import Guest, gather, leave_all
from mesh import TARGET, Mesh, Node
from test_call import TONE_HZ

AUDIO = rtc.TrackKind.KIND_AUDIO


async def hears(guest: Guest, track) -> None:
    peak_hz, sounding = await media.listen(track, 1.5)
    assert abs(peak_hz - TONE_HZ) < 5 and sounding > 0.7, f"{guest.identity} hears {peak_hz} Hz, {sounding:.0%}"


async def test_media_goes_on_while_a_cut_socket_comes_back(mesh):
    ann, ben = await gather(mesh, "py-resume", ann=0, ben=1)
    async with media.running(await media.publish_tone(ann.room, TONE_HZ)):
        _, track = await ben.track("ann", AUDIO)
        await hears(ben, track)
        sid = ann.me.sid
        await ann.room.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT)
        listening = asyncio.create_task(media.listen(track, 4))
        await ann.event("reconnected", timeout_s=30)
        peak_hz, sounding = await listening
        assert abs(peak_hz - TONE_HZ) < 5 and sounding > 0.9, f"{peak_hz} Hz, {sounding:.0%}"
        assert ann.me.sid == sid, "it is the same session"
        await ann.me.publish_data("still here")
        await ben.event("data_received", lambda packet: packet.data == b"still here")
        assert ben.count("participant_disconnected") == 0, "nobody else has noticed"
    await leave_all(ann, ben)


class ClusterName:
    """One name for many nodes: each connection goes to the first node that takes it."""

    def __init__(self, nodes: list[Node]):
        self._addresses = [(urlsplit(node.url).hostname, urlsplit(node.url).port) for node in nodes]

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        for address in self._addresses:
            with contextlib.suppress(OSError):
                node_reader, node_writer = await asyncio.open_connection(*address)
                await asyncio.gather(self._pass(reader, node_writer), self._pass(node_reader, writer))
                return
        writer.close()

    @staticmethod
    async def _pass(reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()


async def test_a_participant_whose_node_is_killed_goes_on_by_another():
    mesh = Mesh(TARGET / "test-logs" / "mesh-sdk-python-killed.log")
    try:
        async with ClusterName(mesh.nodes[:2]) as cluster:
            door = replace(mesh.nodes[0], url=cluster.url)
            ann = await Guest("ann").join(mesh, door, "py-killed")
            ben = await Guest("ben").join(mesh, mesh.nodes[2], "py-killed")
            async with media.running(await media.publish_tone(ann.room, TONE_HZ)):
                _, first = await ben.track("ann", AUDIO)
                await hears(ben, first)
                os.kill(mesh.nodes[0].pid, signal.SIGKILL)
                await ann.event("reconnected", timeout_s=45)
                # The node where ann is back did not have the room, and still it is the same track.
                async with asyncio.timeout(20):
                    while (await media.listen(first, 1))[1] < 0.7:
                        pass
                await hears(ben, first)
                await ben.me.publish_data("welcome back")
                await ann.event("data_received", lambda packet: packet.data == b"welcome back")
            assert set(ben.room.remote_participants) == {"ann"}
            seen = [ben.count(name) for name in ("participant_disconnected", "track_unsubscribed", "track_unpublished")]
            assert seen == [0, 0, 0], "nobody has seen ann leave"
            await leave_all(ann, ben)
    finally:
        mesh.stop()


async def test_two_who_were_alone_on_a_killed_node_go_on_by_another_as_who_they_were():
    mesh = Mesh(TARGET / "test-logs" / "mesh-sdk-python-alone.log")
    try:
        async with ClusterName(mesh.nodes[:2]) as cluster:
            door = replace(mesh.nodes[0], url=cluster.url)
            ann = await Guest("ann").join(mesh, door, "py-alone")
            ben = await Guest("ben").join(mesh, door, "py-alone")
            async with media.running(await media.publish_tone(ann.room, TONE_HZ)):
                _, first = await ben.track("ann", AUDIO)
                await hears(ben, first)
                sids = [guest.me.sid for guest in (ann, ben)]
                published = first.sid
                os.kill(mesh.nodes[0].pid, signal.SIGKILL)
                await asyncio.gather(*(guest.event("reconnected", timeout_s=45) for guest in (ann, ben)))
                assert [guest.me.sid for guest in (ann, ben)] == sids, "they are who they were"
                is_again = lambda track, _, who: who.identity == "ann" and track is not first
                _, (track, *_) = await ben.event("track_subscribed", is_again, timeout_s=20)
                assert track.sid == published, "and it is the same track"
                await hears(ben, track)
            await leave_all(ann, ben)
    finally:
        mesh.stop()
