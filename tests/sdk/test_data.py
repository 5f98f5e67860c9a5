"""Data between nodes with the unmodified PyPI SDK `livekit`: calls, streams, attributes."""

import asyncio
import hashlib
import os

import pytest
from livekit import api, rtc

from guest import Guest, eventually, gather, leave_all


def next_stream(guest: Guest, kind: str, topic: str) -> asyncio.Future:
    """What comes of the next stream of a topic: who sent it, its info, its content."""
    result = asyncio.get_running_loop().create_future()

    async def read(reader, identity):
        if kind == "text":
            content = await reader.read_all()
        else:
            content = b"".join([chunk async for chunk in reader])
        if not result.done():
            result.set_result((identity, reader.info, content))

    tasks = set()

    def begin(reader, identity):
        tasks.add(asyncio.create_task(read(reader, identity)))

    getattr(guest.room, f"register_{kind}_stream_handler")(topic, begin)
    return result


async def test_chat_and_long_texts_cross_as_text_streams(mesh):
    ann, ben, cid = await gather(mesh, "py-text", ann=0, ben=1, cid=2)
    chat = [next_stream(guest, "text", "lk.chat") for guest in (ben, cid)]
    await ann.me.send_text("hello — ✓", topic="lk.chat", attributes={"mood": "good"})
    for identity, info, content in await asyncio.gather(*chat):
        assert (identity, content, info.attributes["mood"]) == ("ann", "hello — ✓", "good")
    text = os.urandom(700_000).hex()
    long = [next_stream(guest, "text", "long") for guest in (ben, cid)]
    await ann.me.send_text(text, topic="long")
    for _, _, content in await asyncio.gather(*long):
        assert content == text
    await leave_all(ann, ben, cid)


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "compressed"])
async def test_a_file_of_several_megabytes_arrives_whole_on_two_other_nodes(mesh, compress, tmp_path):
    ann, ben, cid = await gather(mesh, f"py-bytes-{compress}", ann=0, ben=1, cid=2)
    file = tmp_path / "sent.bin"
    file.write_bytes(os.urandom(5_000_000))
    arriving = [next_stream(guest, "byte", "file") for guest in (ben, cid)]
    await ann.me.send_file(str(file), topic="file", compress=compress)
    wanted = hashlib.sha256(file.read_bytes()).hexdigest()
    for identity, info, content in await asyncio.wait_for(asyncio.gather(*arriving), 60):
        assert (identity, info.name, hashlib.sha256(content).hexdigest()) == ("ann", "sent.bin", wanted)
    await leave_all(ann, ben, cid)


async def test_who_joins_amid_a_stream_gets_none_of_it(mesh):
    ann, ben = await gather(mesh, "py-amid", ann=0, ben=1)
    early = next_stream(ben, "text", "story")
    writer = await ann.me.stream_text(topic="story")
    await writer.write("once ")
    late = [await Guest(name).join(mesh, mesh.nodes[n], "py-amid") for name, n in (("late", 1), ("alone", 2))]
    heard = [next_stream(guest, "text", "story") for guest in late]
    for guest in late:
        await ann.sees(guest.identity)
    await writer.write("upon a time")
    await writer.aclose()
    assert (await early)[2] == "once upon a time"
    await ann.me.send_text("the end", topic="story")
    for _, _, content in await asyncio.gather(*heard):
        assert content == "the end"
    await leave_all(ann, ben, *late)


async def test_calls_go_both_ways_fail_as_they_say_and_time_out(mesh):
    ann, ben = await gather(mesh, "py-rpc", ann=0, ben=1)

    async def greet(call: rtc.RpcInvocationData) -> str:
        if call.payload == "fail":
            raise rtc.RpcError(4711, "on purpose", "more of it")
        if call.payload == "bug":
            raise ValueError("not told")
        if call.payload == "sleep":
            await asyncio.sleep(6)
        return f"{call.caller_identity} said {len(call.payload)}"

    for guest in (ann, ben):
        guest.me.register_rpc_method("greet", greet)

    async def call(caller: Guest, called: str, payload: str, method: str = "greet", **more):
        return await caller.me.perform_rpc(destination_identity=called, method=method, payload=payload, **more)

    assert await call(ann, "ben", "hello") == "ann said 5"
    assert await call(ben, "ann", "hello you") == "ben said 9"
    assert await call(ann, "ben", "x" * 14_000) == "ann said 14000"
    assert await asyncio.gather(*(call(ann, "ben", "x" * n) for n in range(20))) == [
        f"ann said {n}" for n in range(20)
    ]
    codes = rtc.RpcError.ErrorCode
    for payload, method, more, code in (
        ("fail", "greet", {}, 4711),
        ("bug", "greet", {}, codes.APPLICATION_ERROR),
        ("sleep", "greet", {"response_timeout": 2}, codes.RESPONSE_TIMEOUT),
        ("?", "unknown", {}, codes.UNSUPPORTED_METHOD),
    ):
        with pytest.raises(rtc.RpcError) as refused:
            await call(ben, "ann", payload, method, **more)
        assert refused.value.code == code, payload
    await leave_all(ann, ben)


async def test_names_metadata_and_attributes_are_known_on_the_other_node(mesh):
    room = "py-attributes"
    grants = api.VideoGrants(room_join=True, room=room, can_update_own_metadata=True)
    token = api.AccessToken(mesh.api_key, mesh.api_secret).with_identity("ann").with_grants(grants).to_jwt()
    ann = await Guest("ann").join(mesh, mesh.nodes[0], room, token=token)
    ben = await Guest("ben").join(mesh, mesh.nodes[1], room)
    await ann.me.set_name("Ann B.")
    await ann.me.set_metadata('{"seat":7}')
    await ann.me.set_attributes({"hand": "up", "mood": "good"})
    await ann.me.set_attributes({"mood": ""})
    # Without the right nothing changes.
    await ben.me.set_metadata("not allowed")
    known = ben.room.remote_participants["ann"]

    def is_known():
        return (known.name, known.metadata, dict(known.attributes)) == ("Ann B.", '{"seat":7}', {"hand": "up"})

    await eventually("ben knows", is_known)
    await ben.event("participant_name_changed")
    assert ann.room.remote_participants["ben"].metadata == ""
    await leave_all(ann, ben)
