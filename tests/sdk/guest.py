"""A participant on one node, that remembers what it was told."""

import asyncio
import time

from livekit import rtc

from mesh import Mesh, Node

EVENTS = (
    "participant_connected",
    "participant_disconnected",
    "track_subscribed",
    "track_unsubscribed",
    "track_muted",
    "track_unpublished",
    "local_track_unpublished",
    "data_received",
    "room_metadata_changed",
    "participant_metadata_changed",
    "participant_attributes_changed",
    "participant_name_changed",
    "participant_permissions_changed",
    "track_unmuted",
    "reconnecting",
    "reconnected",
    "disconnected",
)


class Guest:
    """Wraps a `rtc.Room`: every event is kept with its time, so that a test can ask for one that has been."""

    def __init__(self, identity: str):
        self.identity = identity
        self.room = rtc.Room()
        self.join_ms = 0.0
        self._seen: list[tuple[str, float, tuple]] = []
        self._changed = asyncio.Event()
        for name in EVENTS:
            self.room.on(name, self._remember(name))

    async def join(
        self, mesh: Mesh, node: Node, room: str, *, single: bool = True, token: str | None = None, **options
    ):
        """Connects; `single` is v1 with one PeerConnection, else v0 with two."""
        token = token or mesh.token(room, self.identity)
        begun = time.monotonic()
        await self.room.connect(node.url, token, rtc.RoomOptions(single_peer_connection=single, **options))
        self.join_ms = (time.monotonic() - begun) * 1000
        return self

    async def event(self, name: str, where=lambda *_: True, timeout_s: float = 10):
        """The first event of that name that fits, as (time, arguments), whether it has been or is to come."""
        deadline = time.monotonic() + timeout_s
        while True:
            for seen, at, what in self._seen:
                if seen == name and where(*what):
                    return at, what
            self._changed.clear()
            remaining = deadline - time.monotonic()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0.0, remaining))
            except TimeoutError:
                got = [seen for seen, _, _ in self._seen]
                raise AssertionError(f"{self.identity} saw no {name} within {timeout_s} s, but {got}") from None

    async def track(self, identity: str, kind):
        """The track of that kind that someone publishes, with the time of its subscription."""
        at, (track, _, _) = await self.event(
            "track_subscribed", lambda track, _, who: who.identity == identity and track.kind == kind
        )
        return at, track

    def count(self, name: str) -> int:
        """How many events of that name there have been."""
        return sum(seen == name for seen, _, _ in self._seen)

    async def sees(self, identity: str):
        """Waits until somebody is known."""
        if identity not in self.room.remote_participants:
            await self.event("participant_connected", lambda who: who.identity == identity)
        return self.room.remote_participants[identity]

    @property
    def me(self) -> rtc.LocalParticipant:
        """Its side of the room."""
        return self.room.local_participant

    async def leave(self):
        """Leaves the room."""
        await self.room.disconnect()

    def _remember(self, name: str):
        def remember(*what):
            self._seen.append((name, time.monotonic(), what))
            self._changed.set()

        return remember


async def gather(mesh: Mesh, room: str, **nodes: int) -> list[Guest]:
    """Guests of one room, each on its node, who know each other."""
    guests = [await Guest(identity).join(mesh, mesh.nodes[n], room) for identity, n in nodes.items()]
    for guest in guests:
        for other in guests:
            if other is not guest:
                await guest.sees(other.identity)
    return guests


async def leave_all(*guests: Guest):
    """Everybody leaves."""
    await asyncio.gather(*(guest.leave() for guest in guests))


async def eventually(what: str, holds, timeout_s: float = 10):
    """Waits until something holds."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        await asyncio.sleep(0.05)
