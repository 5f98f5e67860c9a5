"""Media between nodes with the unmodified PyPI SDK `livekit`: codecs, layers, encryption, rights."""

import asyncio

import pytest
from livekit import api, rtc
from livekit.rtc.participant import PublishTrackError

import media
from guest import Guest, eventually, gather, leave_all
from test_call import ORANGE, TONE_HZ, sees_and_hears

VIDEO = rtc.TrackKind.KIND_VIDEO
AUDIO = rtc.TrackKind.KIND_AUDIO


@pytest.mark.parametrize("codec", ["VP9", "AV1", "H264"])
async def test_a_picture_in_another_codec_crosses(mesh, codec):
    ann, ben = await gather(mesh, f"py-{codec}", ann=0, ben=2)
    feed = await media.publish_picture(ann.room, *ORANGE, video_codec=getattr(rtc.VideoCodec, codec))
    async with media.running(feed):
        _, track = await ben.track("ann", VIDEO)
        fps, colour, _ = await media.look(track, 1.5)
        (publication,) = ben.room.remote_participants["ann"].track_publications.values()
        print(f"\n{publication.mime_type}: {fps:.1f} fps of {colour}")
        assert publication.mime_type.lower() == f"video/{codec.lower()}"
        assert fps > 10
        assert all(abs(shown - sent) < 30 for shown, sent in zip(colour, ORANGE))
    await leave_all(ann, ben)


async def test_simulcast_climbs_to_the_full_picture_on_another_node(mesh):
    ann, ben = await gather(mesh, "py-simulcast", ann=0, ben=1)
    encoding = rtc.VideoEncoding(max_bitrate=900_000, max_framerate=20)
    how = {"simulcast": True, "size": (1280, 720), "video_encoding": encoding}
    async with media.running(await media.publish_picture(ann.room, *ORANGE, **how)):
        _, track = await ben.track("ann", VIDEO)
        (publication,) = ben.room.remote_participants["ann"].track_publications.values()
        assert publication.simulcasted
        assert await media.until_width(track, 1280) == 1280
    await leave_all(ann, ben)


async def test_an_encrypted_call_is_understood_with_the_key_and_not_without_it(mesh):
    def keyed(key: bytes):
        options = rtc.KeyProviderOptions(shared_key=key, failure_tolerance=-1)
        return rtc.E2EEOptions(key_provider_options=options)

    keys = {"ann": b"the right key", "ben": b"the right key", "eve": b"a wrong key"}
    ann, ben, eve = [
        await Guest(name).join(mesh, mesh.nodes[n], "py-e2ee", encryption=keyed(key))
        for n, (name, key) in enumerate(keys.items())
    ]
    async with (
        media.running(await media.publish_tone(ann.room, TONE_HZ)),
        media.running(await media.publish_picture(ann.room, *ORANGE)),
    ):
        await sees_and_hears(ben, "ann")
        for publication in ben.room.remote_participants["ann"].track_publications.values():
            assert publication.encryption_type == rtc.EncryptionType.GCM
        _, track = await eve.track("ann", VIDEO)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(media.look(track, 1), 3)
    await leave_all(ann, ben, eve)


async def test_a_muted_track_is_silent_and_sounds_again(mesh):
    ann, ben = await gather(mesh, "py-mute", ann=0, ben=1)
    async with media.running(await media.publish_tone(ann.room, TONE_HZ)):
        _, track = await ben.track("ann", AUDIO)
        assert (await media.listen(track, 1))[1] > 0.8
        (publication,) = ann.me.track_publications.values()
        publication.track.mute()
        await ben.event("track_muted")
        await asyncio.sleep(0.5)
        assert (await media.listen(track, 1))[1] < 0.1
        publication.track.unmute()
        await ben.event("track_unmuted")
        await asyncio.sleep(0.5)
        assert (await media.listen(track, 1))[1] > 0.8
    await leave_all(ann, ben)


async def test_rights_that_an_application_gives_and_takes_hold_at_once(mesh):
    room = "py-rights"
    grants = api.VideoGrants(room_join=True, room=room, can_publish=False, can_publish_data=False)
    token = api.AccessToken(mesh.api_key, mesh.api_secret).with_identity("ann").with_grants(grants).to_jwt()
    ann = await Guest("ann").join(mesh, mesh.nodes[0], room, token=token)
    ben = await Guest("ben").join(mesh, mesh.nodes[1], room)
    assert not ann.me.permissions.can_publish
    with pytest.raises(PublishTrackError):
        await media.publish_tone(ann.room, TONE_HZ)
    await ann.me.publish_data("not heard")

    client = api.LiveKitAPI(mesh.nodes[2].url.replace("ws", "http", 1), mesh.api_key, mesh.api_secret)

    async def permit(**rights):
        permission = api.ParticipantPermission(can_subscribe=True, **rights)
        change = api.UpdateParticipantRequest(room=room, identity="ann", permission=permission)
        assert (await client.room.update_participant(change)).permission.can_publish == rights["can_publish"]
        await eventually("ann knows", lambda: ann.me.permissions.can_publish == rights["can_publish"])

    try:
        await permit(can_publish=True, can_publish_data=True)
        await ann.me.publish_data("heard")
        _, (packet,) = await ben.event("data_received")
        assert packet.data == b"heard"
        async with media.running(await media.publish_tone(ann.room, TONE_HZ)):
            _, track = await ben.track("ann", AUDIO)
            assert (await media.listen(track, 1))[1] > 0.8
            await permit(can_publish=False, can_publish_data=False)
            await ben.event("track_unsubscribed")
    finally:
        await client.aclose()
    await leave_all(ann, ben)
