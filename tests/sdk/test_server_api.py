"""The unmodified PyPI SDK `livekit-api`: every method, asked of a node that does not hold what it is about."""

import asyncio
import contextlib

import pytest
from livekit import api, rtc

import media
from guest import Guest

TONE_HZ = 440


@contextlib.asynccontextmanager
async def server_api(mesh, node, *, key=None, secret=None):
    """The SDK's client, pointed at one node."""
    url = node.url.replace("ws", "http", 1)
    client = api.LiveKitAPI(url, key or mesh.api_key, secret or mesh.api_secret)
    try:
        yield client
    finally:
        await client.aclose()


async def sounds(track: rtc.RemoteAudioTrack) -> bool:
    """Whether a track brings more than silence."""
    try:
        _, sounding = await asyncio.wait_for(media.listen(track, 1.5), 4)
    except TimeoutError:
        return False
    return sounding > 0.5


async def eventually(probe, seconds: float = 5):
    """Asks until the answer is true."""
    for _ in range(int(seconds * 20)):
        answer = await probe()
        if answer:
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to be")


async def test_a_made_room_is_the_same_on_every_node_and_keeps_what_was_asked(mesh):
    wish = api.CreateRoomRequest(name="made", metadata="plan A", empty_timeout=60, max_participants=2)
    made = []
    for node in mesh.nodes:
        async with server_api(mesh, node) as client:
            made.append(await client.room.create_room(wish))
            listed = await client.room.list_rooms(api.ListRoomsRequest(names=["made", "no such room"]))
            assert [(room.sid, room.metadata, room.num_participants) for room in listed.rooms] == [
                (made[0].sid, "plan A", 0)
            ]
    assert len({room.sid for room in made}) == 1
    assert (made[0].empty_timeout, made[0].max_participants) == (60, 2)

    guests = [await Guest(f"guest-{n}").join(mesh, mesh.nodes[n], "made") for n in range(2)]
    for guest in guests:
        assert guest.room.metadata == "plan A"
        assert await guest.room.sid == made[0].sid
    with pytest.raises(rtc.ConnectError):
        await Guest("one too many").join(mesh, mesh.nodes[2], "made")
    async with server_api(mesh, mesh.nodes[2]) as client:
        (room,) = (await client.room.list_rooms(api.ListRoomsRequest(names=["made"]))).rooms
        assert room.num_participants == 2
        await client.room.update_room_metadata(api.UpdateRoomMetadataRequest(room="made", metadata="plan B"))
        for guest in guests:
            await guest.event("room_metadata_changed", lambda _, new: new == "plan B")
        await client.room.delete_room(api.DeleteRoomRequest(room="made"))
        for guest in guests:
            await guest.event("disconnected", lambda reason: reason == rtc.DisconnectReason.ROOM_DELETED)
        assert not (await client.room.list_rooms(api.ListRoomsRequest(names=["made"]))).rooms
        with pytest.raises(api.TwirpError) as refused:
            await client.room.delete_room(api.DeleteRoomRequest(room="made"))
        assert refused.value.code == "not_found"


async def guests_elsewhere(mesh, asked: int, room: str) -> list[Guest]:
    """Two participants on the two nodes that are not asked. One of three nodes is no home of the room, and each is asked."""
    return [await Guest(name).join(mesh, mesh.nodes[(asked + n) % 3], room) for n, name in ((1, "ann"), (2, "bob"))]


@pytest.mark.parametrize("asked", range(3))
async def test_participants_are_listed_changed_and_removed_from_another_node(mesh, asked):
    room = "admin"
    ann, bob = await guests_elsewhere(mesh, asked, room)
    who = api.RoomParticipantIdentity(room=room, identity="ann")
    async with server_api(mesh, mesh.nodes[asked]) as client:
        listed = await client.room.list_participants(api.ListParticipantsRequest(room=room))
        assert [participant.identity for participant in listed.participants] == ["ann", "bob"]
        assert (await client.room.get_participant(who)).sid == ann.room.local_participant.sid

        update = api.UpdateParticipantRequest(
            room=room, identity="ann", metadata="chair", name="Ann", attributes={"seat": "1"}
        )
        changed = await client.room.update_participant(update)
        assert (changed.metadata, changed.name, changed.attributes["seat"]) == ("chair", "Ann", "1")
        for guest in (ann, bob):
            await guest.event("participant_metadata_changed", lambda who, *_: who.metadata == "chair")
            await guest.event("participant_attributes_changed", lambda changed, _: changed == {"seat": "1"})

        sent = api.SendDataRequest(room=room, data=b"to all", kind=1, topic="news")
        await client.room.send_data(sent)
        for guest in (ann, bob):
            await guest.event("data_received", lambda packet: (packet.data, packet.topic) == (b"to all", "news"))
        only = api.SendDataRequest(room=room, data=b"to bob", kind=0, destination_identities=["bob"])
        await client.room.send_data(only)
        await bob.event("data_received", lambda packet: packet.data == b"to bob")
        with pytest.raises(AssertionError):
            await ann.event("data_received", lambda packet: packet.data == b"to bob", timeout_s=0.5)

        await client.room.remove_participant(who)
        await ann.event("disconnected", lambda reason: reason == rtc.DisconnectReason.PARTICIPANT_REMOVED)
        await bob.event("participant_disconnected", lambda gone: gone.identity == "ann")
        with pytest.raises(api.TwirpError) as refused:
            await client.room.get_participant(who)
        assert refused.value.code == "not_found"
    await bob.leave()


@pytest.mark.parametrize("asked", range(3))
async def test_tracks_are_muted_subscribed_and_forbidden_from_another_node(mesh, asked):
    room = "tracks"
    ann, bob = await guests_elsewhere(mesh, asked, room)
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(server_api(mesh, mesh.nodes[asked]))
        await stack.enter_async_context(media.running(await media.publish_tone(ann.room, TONE_HZ)))
        _, audio = await bob.track("ann", rtc.TrackKind.KIND_AUDIO)
        assert await sounds(audio)
        (publication,) = ann.room.local_participant.track_publications.values()

        choice = {"room": room, "identity": "bob", "track_sids": [publication.sid]}
        await client.room.update_subscriptions(api.UpdateSubscriptionsRequest(**choice, subscribe=False))
        assert not await sounds(audio)
        await client.room.update_subscriptions(api.UpdateSubscriptionsRequest(**choice, subscribe=True))

        mute = api.MuteRoomTrackRequest(room=room, identity="ann", track_sid=publication.sid, muted=True)
        assert (await client.room.mute_published_track(mute)).track.muted
        await bob.event("track_muted", lambda _who, muted: muted.sid == publication.sid)
        with pytest.raises(api.TwirpError) as refused:
            unmute = api.MuteRoomTrackRequest(room=room, identity="ann", track_sid=publication.sid, muted=False)
            await client.room.mute_published_track(unmute)
        assert refused.value.code == "failed_precondition"

        listening = api.ParticipantPermission(can_subscribe=True, can_publish=False, can_publish_data=False)
        await client.room.update_participant(
            api.UpdateParticipantRequest(room=room, identity="ann", permission=listening)
        )
        await bob.event("track_unpublished", lambda gone, _who: gone.sid == publication.sid)

        async def has_no_tracks():
            found = await client.room.get_participant(api.RoomParticipantIdentity(room=room, identity="ann"))
            return not found.tracks and not found.permission.can_publish

        await eventually(has_no_tracks)
    for guest in (ann, bob):
        await guest.leave()


async def test_a_call_that_cannot_be_done_says_why(mesh):
    async def code_of(call) -> str:
        with pytest.raises(api.TwirpError) as refused:
            await call
        return refused.value.code

    nobody = {"room": "empty", "identity": "nobody"}
    for node in mesh.nodes:
        async with server_api(mesh, node) as client:
            room = client.room
            for call in (
                room.get_participant(api.RoomParticipantIdentity(**nobody)),
                room.remove_participant(api.RoomParticipantIdentity(**nobody)),
                room.update_participant(api.UpdateParticipantRequest(**nobody, metadata="x")),
                room.mute_published_track(api.MuteRoomTrackRequest(**nobody, track_sid="TR_23456789ABCD", muted=True)),
                room.update_subscriptions(
                    api.UpdateSubscriptionsRequest(**nobody, track_sids=["TR_23456789ABCD"], subscribe=True)
                ),
                room.send_data(api.SendDataRequest(room="empty", data=b"x")),
                room.update_room_metadata(api.UpdateRoomMetadataRequest(room="empty", metadata="x")),
                room.delete_room(api.DeleteRoomRequest(room="empty")),
            ):
                assert await code_of(call) == "not_found"
            assert await code_of(room.create_room(api.CreateRoomRequest(name=""))) == "invalid_argument"
            assert await code_of(room.create_room(api.CreateRoomRequest(name="x" * 300))) == "resource_exhausted"


async def test_tokens_of_others_and_methods_that_are_not_served_are_refused(mesh):
    async with server_api(mesh, mesh.nodes[1], secret="not the secret of this key") as client:
        with pytest.raises(api.TwirpError) as refused:
            await client.room.list_rooms(api.ListRoomsRequest())
        assert (refused.value.code, refused.value.status) == ("unauthenticated", 401)
    async with server_api(mesh, mesh.nodes[1]) as client:
        for call in (
            client.egress.list_egress(api.ListEgressRequest()),
            client.room.move_participant(api.MoveParticipantRequest(room="a", identity="b", destination_room="c")),
        ):
            with pytest.raises(api.TwirpError) as refused:
                await call
            assert (refused.value.code, refused.value.status) == ("unimplemented", 501)
