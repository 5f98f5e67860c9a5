"""The unmodified PyPI SDK `livekit` on three nodes, in both forms of LiveKit's protocol."""

import asyncio
import contextlib
import time

import pytest
from livekit import rtc

import media
from guest import Guest

FORMS = pytest.mark.parametrize("single", [True, False], ids=["v1", "v0"])
TONE_HZ = 440
ORANGE = (230, 120, 20)


@FORMS
async def test_joins_within_700_ms(mesh, single):
    took = []
    for attempt in range(6):
        guest = await Guest(f"joiner-{attempt}").join(mesh, mesh.nodes[attempt % 3], f"join-{single}", single=single)
        took.append(guest.join_ms)
        await guest.leave()
    print(f"\njoins took {', '.join(f'{ms:.0f}' for ms in took)} ms")
    assert sorted(took)[len(took) // 2] < 700


@FORMS
async def test_what_is_published_on_one_node_is_seen_and_heard_on_the_others(mesh, single):
    room = f"media-{single}"
    publisher = await Guest("publisher").join(mesh, mesh.nodes[0], room, single=single)
    viewers = [await Guest(f"viewer-{n}").join(mesh, mesh.nodes[n], room, single=single) for n in (1, 2)]
    async with contextlib.AsyncExitStack() as feeds:
        await feeds.enter_async_context(media.running(await media.publish_tone(publisher.room, TONE_HZ)))
        await feeds.enter_async_context(media.running(await media.publish_picture(publisher.room, *ORANGE)))
        await asyncio.gather(*(sees_and_hears(viewer, "publisher") for viewer in viewers))
        late = await Guest("late").join(mesh, mesh.nodes[1], room, single=single)
        await sees_and_hears(late, "publisher")
    for guest in (publisher, *viewers, late):
        await guest.leave()


async def sees_and_hears(guest: Guest, identity: str):
    _, audio = await guest.track(identity, rtc.TrackKind.KIND_AUDIO)
    subscribed, video = await guest.track(identity, rtc.TrackKind.KIND_VIDEO)
    (peak_hz, sounding), (fps, colour, first) = await asyncio.gather(media.listen(audio, 3), media.look(video, 3))
    wait_ms = (first - subscribed) * 1000
    print(
        f"\n{guest.identity} hears {peak_hz:.0f} Hz, {sounding:.0%} not silent; sees {fps:.1f} fps of {colour}, "
        f"the first frame {wait_ms:.0f} ms after subscribing"
    )
    assert abs(peak_hz - TONE_HZ) < 5
    assert sounding > 0.8
    assert fps >= 15
    assert all(abs(shown - sent) < 30 for shown, sent in zip(colour, ORANGE))
    assert wait_ms < 1000


@FORMS
async def test_data_reaches_the_other_nodes_whole_in_order_and_with_its_sender(mesh, single):
    room = f"data-{single}"
    sender, *receivers = [
        await Guest(f"guest-{n}").join(mesh, mesh.nodes[n], room, single=single) for n in range(3)
    ]
    count = 50
    for number in range(count):
        await sender.room.local_participant.publish_data(f"reliable {number}", reliable=True, topic="test")
    for number in range(count):
        await sender.room.local_participant.publish_data(f"lossy {number}", reliable=False)
    for receiver in receivers:
        await receiver.event("data_received", lambda packet: packet.data == f"reliable {count - 1}".encode())
        await asyncio.sleep(0.5)
        packets = [what[0] for name, _, what in receiver._seen if name == "data_received"]
        assert {packet.participant.identity for packet in packets} == {"guest-0"}
        reliable = [packet.data.decode() for packet in packets if packet.kind == rtc.DataPacketKind.KIND_RELIABLE]
        assert reliable == [f"reliable {number}" for number in range(count)]
        lossy = [packet for packet in packets if packet.kind == rtc.DataPacketKind.KIND_LOSSY]
        print(f"\n{receiver.identity} got {len(reliable)} reliable and {len(lossy)} lossy packets of {count} each")
        assert len(lossy) >= count * 0.9
    for guest in (sender, *receivers):
        await guest.leave()


@FORMS
async def test_data_with_a_destination_reaches_nobody_else(mesh, single):
    room = f"whisper-{single}"
    sender, meant, other = [await Guest(f"guest-{n}").join(mesh, mesh.nodes[n], room, single=single) for n in range(3)]
    await sender.room.local_participant.publish_data("psst", destination_identities=["guest-1"])
    await sender.room.local_participant.publish_data("all")
    await meant.event("data_received", lambda packet: packet.data == b"psst")
    await other.event("data_received", lambda packet: packet.data == b"all")
    with pytest.raises(AssertionError):
        await other.event("data_received", lambda packet: packet.data == b"psst", timeout_s=0.3)
    for guest in (sender, meant, other):
        await guest.leave()


async def test_a_new_participant_is_known_on_the_other_nodes_and_its_leave_is_seen(mesh):
    room = "presence"
    watchers = [await Guest(f"watcher-{n}").join(mesh, mesh.nodes[n], room) for n in (1, 2)]
    newcomer = await Guest("newcomer").join(mesh, mesh.nodes[0], room)
    joined = time.monotonic()
    assert set(newcomer.room.remote_participants) == {"watcher-1", "watcher-2"}
    for watcher in watchers:
        at, _ = await watcher.event("participant_connected", lambda who: who.identity == "newcomer")
        print(f"\n{watcher.identity} knows the newcomer {(at - joined) * 1000:.0f} ms after its join returned")
        assert at - joined < 0.2
    await newcomer.leave()
    left = time.monotonic()
    for watcher in watchers:
        at, _ = await watcher.event("participant_disconnected", lambda who: who.identity == "newcomer")
        print(f"\n{watcher.identity} knows that it left {(at - left) * 1000:.0f} ms after its leave returned")
        assert at - left < 2
        await watcher.leave()


async def test_the_second_session_of_an_identity_ends_the_first_on_another_node(mesh):
    first = await Guest("twice").join(mesh, mesh.nodes[0], "duplicate")
    second = await Guest("twice").join(mesh, mesh.nodes[1], "duplicate")
    _, (reason,) = await first.event("disconnected")
    assert reason == rtc.DisconnectReason.DUPLICATE_IDENTITY
    await second.leave()


async def test_a_muted_track_is_announced_on_the_other_nodes(mesh):
    talker = await Guest("talker").join(mesh, mesh.nodes[0], "mute")
    listener = await Guest("listener").join(mesh, mesh.nodes[1], "mute")
    async with media.running(await media.publish_tone(talker.room, TONE_HZ)):
        await listener.track("talker", rtc.TrackKind.KIND_AUDIO)
        publication = next(iter(talker.room.local_participant.track_publications.values()))
        publication.track.mute()
        await listener.event("track_muted", lambda who, _: who.identity == "talker")
    await talker.leave()
    await listener.leave()


async def test_an_unpublished_track_goes_on_the_other_nodes(mesh):
    talker = await Guest("talker").join(mesh, mesh.nodes[0], "unpublish")
    listener = await Guest("listener").join(mesh, mesh.nodes[2], "unpublish")
    async with media.running(await media.publish_picture(talker.room, *ORANGE)):
        await listener.track("talker", rtc.TrackKind.KIND_VIDEO)
        sid = next(iter(talker.room.local_participant.track_publications))
        await talker.room.local_participant.unpublish_track(sid)
        await listener.event("track_unsubscribed", lambda track, *_: track.sid == sid)
    await talker.leave()
    await listener.leave()


@FORMS
async def test_a_token_with_a_wrong_secret_is_refused(mesh, single):
    token = mesh.token("refused", "stranger", secret="not-the-secret-of-this-mesh-000000000")
    with pytest.raises(rtc.ConnectError) as refusal:
        await Guest("stranger").join(mesh, mesh.nodes[0], "refused", single=single, token=token)
    print(f"\nrefused: {refusal.value}")
    assert "401" in str(refusal.value)
