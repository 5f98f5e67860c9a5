"""A guest of the call with the unmodified PyPI SDK `livekit`: hears commands as lines of JSON, answers each.

usage: native.py NAME URL (the page's address, which a native SDK does not need)
"""

import asyncio
import json
import sys
import time
from collections import deque

import numpy as np
from livekit import rtc

COLUMNS, ROWS, BLOCK, FPS = 16, 9, 16, 8
WIDTH, HEIGHT = COLUMNS * BLOCK, ROWS * BLOCK
RATE = 48_000
PUSH = RATE // 100
# What is heard comes in pieces that long.
PIECE_MS = 50
BEEP_SAMPLES = 1_920
CLOCK_WINDOW_S = 5
BACK_TIMEOUT_S = 20
WORD = 0xFFFFFFFF
BITS = 1 << np.arange(COLUMNS - 1, -1, -1)
SOURCES = {
    rtc.TrackSource.SOURCE_CAMERA: "camera",
    rtc.TrackSource.SOURCE_MICROPHONE: "camera",
    rtc.TrackSource.SOURCE_SCREENSHARE: "screen",
}


def row_of(seed: int, n: int, row: int) -> int:
    """The blocks of a row, as picture.mjs tells them."""
    if row == 0:
        return n & 0xFFFF
    if row == ROWS - 1:
        return ~n & 0xFFFF
    mixed = (((n & 0xFFFF) + row) >> 3) * 0x9E3779B1 & WORD ^ (seed * ROWS + row + 1) * 0x85EBCA6B & WORD
    mixed = (mixed ^ mixed >> 15) * 0x2C1B3C6D & WORD
    return (mixed ^ mixed >> 13) & 0xFFFF


def expected(seed: int, n: int) -> np.ndarray:
    """Which blocks are white."""
    rows = np.array([row_of(seed, n, row) for row in range(ROWS)])
    return (rows[:, None] & BITS) > 0


def is_of(white: np.ndarray, seed: int) -> bool:
    """Whether blocks are those of a whole picture of a seed."""
    return bool((white == expected(seed, int((white[0] * BITS).sum()))).all())


def now_ms() -> float:
    """Milliseconds, by a clock that all processes of this machine share."""
    return time.time() * 1000


class Native:
    """Publishes by one clock, and notes what it is shown and what it hears."""

    def __init__(self, name: str):
        self.name = name
        self.room = rtc.Room()
        self.seeds: dict[str, int] = {}
        self.tasks: set[asyncio.Task] = set()
        self.watched: dict[str, asyncio.Task] = {}
        self.begun = time.monotonic()
        self.shared = None
        self.back = asyncio.Event()
        self.clear()
        self.room.on("track_subscribed", self.subscribed)
        self.room.on("track_unsubscribed", self.unsubscribed)
        for event in ("reconnecting", "reconnected", "disconnected"):
            self.room.on(event, self.remember(event))

    def clear(self):
        self.noted = {"frames": {}, "beeps": {}, "clocks": [], "corrupt": [], "events": [], "late": []}
        self.late: dict[str, list[float]] = {"sound": [], "picture": []}

    def remember(self, event: str):
        def remember(*_):
            self.noted["events"].append([now_ms(), event])
            if event == "reconnected":
                self.back.set()

        return remember

    def run(self, coroutine):
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.ended)
        return task

    def ended(self, task: asyncio.Task):
        self.tasks.discard(task)
        if not task.cancelled() and task.exception():
            print(f"{self.name}: {task.exception()!r}", file=sys.stderr, flush=True)

    def subscribed(self, track, publication, participant):
        what = SOURCES.get(publication.source)
        if what is None:
            return
        key = f"{participant.identity}/{what}"
        is_video = track.kind == rtc.TrackKind.KIND_VIDEO
        self.watched[publication.sid] = self.run(self.look(track, key) if is_video else self.listen(track, key))

    def unsubscribed(self, _track, publication, _participant):
        # The section may show another track from now on, which a stream that is still open would show too.
        if task := self.watched.pop(publication.sid, None):
            task.cancel()

    async def look(self, track, key: str):
        seed = self.seeds[key]
        async for event in rtc.VideoStream(track, format=rtc.VideoBufferType.I420):
            shown = now_ms()
            frame = event.frame
            width, height = frame.width, frame.height
            plane = np.frombuffer(frame.data, np.uint8, width * height).reshape(height, width)
            # The inner half of each block.
            ys = ((np.arange(ROWS)[:, None] + np.linspace(0.3, 0.7, 4)) * height / ROWS).astype(int)
            xs = ((np.arange(COLUMNS)[:, None] + np.linspace(0.3, 0.7, 4)) * width / COLUMNS).astype(int)
            cells = plane[np.ix_(ys.ravel(), xs.ravel())].reshape(ROWS, 4, COLUMNS, 4).mean(axis=(1, 3))
            white = cells > 128
            n = int((white[0] * BITS).sum())
            wrong = int((white != expected(seed, n)).sum())
            self.noted["frames"].setdefault(key, []).append([n, round(shown, 1), wrong, width])
            if wrong:
                whose = next((other for other, seed in self.seeds.items() if is_of(white, seed)), None)
                self.noted["corrupt"].append(
                    {"key": key, "n": n, "wrong": wrong, "width": width, "at": shown, "whose": whose}
                )

    async def listen(self, track, key: str):
        position, quiet = 0, 0
        offsets: deque[tuple[float, float]] = deque()
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=PIECE_MS):
            came = now_ms()
            samples = np.frombuffer(event.frame.data, np.int16)
            offsets.append((came, came - (position + len(samples)) * 1000 / RATE))
            while came - offsets[0][0] > CLOCK_WINDOW_S * 1000:
                offsets.popleft()
            last = -1
            for index in np.flatnonzero(np.abs(samples.astype(int)) > 3_276):
                if quiet + index - last > RATE // 4:
                    at = (position + int(index)) * 1000 / RATE + min(offset for _, offset in offsets)
                    self.noted["beeps"].setdefault(key, []).append(round(at, 1))
                quiet, last = 0, index
            quiet += len(samples) - 1 - last
            position += len(samples)

    async def begin(self, seeds: dict[str, int]):
        self.seeds = seeds

    async def join(self, url: str, token: str):
        await self.room.connect(url, token, rtc.RoomOptions(auto_subscribe=True))

    async def publish(self, name: str):
        self.begun = time.monotonic()
        await self.camera(f"{name}/camera", rtc.TrackSource.SOURCE_CAMERA)
        # Without a queue what is pushed is captured now.
        source = rtc.AudioSource(RATE, 1, queue_size_ms=0)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
        await self.room.local_participant.publish_track(track, options)
        self.run(self.play(source))

    async def camera(self, key: str, kind):
        source = rtc.VideoSource(WIDTH, HEIGHT)
        track = rtc.LocalVideoTrack.create_video_track(key, source)
        encoding = rtc.VideoEncoding(max_bitrate=300_000, max_framerate=FPS)
        how = {"video_codec": rtc.VideoCodec.VP8, "simulcast": False, "video_encoding": encoding}
        options = rtc.TrackPublishOptions(source=kind, **how)
        publication = await self.room.local_participant.publish_track(track, options)
        return publication, self.run(self.paint(source, self.seeds[key]))

    async def paint(self, source: rtc.VideoSource, seed: int):
        chroma = np.full(WIDTH * HEIGHT // 2, 128, np.uint8).tobytes()
        n = int((time.monotonic() - self.begun) * FPS) + 1
        while True:
            await asyncio.sleep(max(0.0, self.begun + n / FPS - time.monotonic()))
            self.late["picture"].append((time.monotonic() - self.begun - n / FPS) * 1000)
            blocks = np.where(expected(seed, n), 235, 16).astype(np.uint8)
            data = np.kron(blocks, np.ones((BLOCK, BLOCK), np.uint8)).tobytes() + chroma
            source.capture_frame(rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.I420, data))
            n += 1

    async def play(self, source: rtc.AudioSource):
        # A second: a beep, and hardly audible noise.
        index = np.arange(RATE)
        second = np.where(index < BEEP_SAMPLES, 19_000 * np.sin(2 * np.pi * 1_000 * index / RATE), 0)
        second = (second + np.random.default_rng(1).uniform(-60, 60, RATE)).astype(np.int16)
        pieces = [second[at : at + PUSH].tobytes() for at in range(0, RATE, PUSH)]
        position = int((time.monotonic() - self.begun) * 100) * PUSH
        while True:
            # A device hands on what it has recorded.
            due = self.begun + (position + PUSH) / RATE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.late["sound"].append((time.monotonic() - due) * 1000)
            sound = pieces[position % RATE // PUSH]
            await source.capture_frame(rtc.AudioFrame(sound, RATE, 1, PUSH))
            position += PUSH

    async def screen(self, name: str, on: bool):
        if on:
            self.shared = await self.camera(f"{name}/screen", rtc.TrackSource.SOURCE_SCREENSHARE)
        elif self.shared:
            publication, task = self.shared
            self.shared = None
            task.cancel()
            await self.room.local_participant.unpublish_track(publication.sid)

    async def quality(self, *_):
        """Native SDKs of this version choose no layers."""

    async def resume(self):
        self.back.clear()
        await self.room.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT)
        await asyncio.wait_for(self.back.wait(), BACK_TIMEOUT_S)

    async def take(self):
        taken = self.noted
        taken["late"] = [[float(np.median(self.late[what] or [0.0])) for what in ("sound", "picture")]]
        self.clear()
        return taken

    async def complaints(self):
        return []

    async def leave(self):
        for task in list(self.tasks):
            task.cancel()
        await self.room.disconnect()


async def main():
    guest = Native(sys.argv[1])
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    pending: set[asyncio.Task] = set()

    async def answer(line: bytes):
        command = json.loads(line)
        told = {"id": command["id"]}
        try:
            told["value"] = await getattr(guest, command["do"])(*command["args"])
        except Exception as error:  # noqa: BLE001, whatever it is, who asked is told
            told["error"] = repr(error)
        print(json.dumps(told), flush=True)

    while line := await reader.readline():
        task = asyncio.create_task(answer(line))
        pending.add(task)
        task.add_done_callback(pending.discard)


asyncio.run(main())
