"""A tone and a picture to publish, and what to look for where they arrive."""

import asyncio
import contextlib
import time

import numpy as np
from livekit import rtc

SAMPLE_RATE = 48_000
WIDTH, HEIGHT, FPS = 640, 360, 20


@contextlib.asynccontextmanager
async def running(coroutine):
    """Runs a coroutine beside the block and ends it with the block."""
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def play_tone(source: rtc.AudioSource, hz: float):
    """Feeds a steady tone, 10 ms at a time; the source holds back what comes too early."""
    samples = SAMPLE_RATE // 100
    position = 0
    while True:
        times = (position + np.arange(samples)) / SAMPLE_RATE
        pcm = (np.sin(2 * np.pi * hz * times) * 12_000).astype(np.int16)
        await source.capture_frame(rtc.AudioFrame(pcm.tobytes(), SAMPLE_RATE, 1, samples))
        position += samples


async def play_picture(source: rtc.VideoSource, size: tuple[int, int], *colour: int):
    """Feeds a plain colour with a moving white bar."""
    width, height = size
    frame = np.empty((height, width, 4), np.uint8)
    begun = time.monotonic()
    count = 0
    while True:
        frame[:] = (*colour, 255)
        left = (count * 16) % width
        frame[:, left : left + 16] = 255
        source.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.RGBA, frame.tobytes()))
        count += 1
        await asyncio.sleep(max(0.0, begun + count / FPS - time.monotonic()))


async def publish_tone(room: rtc.Room, hz: float):
    """Publishes a microphone; gives the coroutine that feeds it."""
    source = rtc.AudioSource(SAMPLE_RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    await room.local_participant.publish_track(track, options)
    return play_tone(source, hz)


async def publish_picture(room: rtc.Room, red: int, green: int, blue: int, *, size=(WIDTH, HEIGHT), **how):
    """Publishes a camera, in VP8 and one layer unless `how` says otherwise; gives the coroutine that feeds it."""
    source = rtc.VideoSource(*size)
    track = rtc.LocalVideoTrack.create_video_track("camera", source)
    how = {"video_codec": rtc.VideoCodec.VP8, "simulcast": False} | how
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, **how)
    await room.local_participant.publish_track(track, options)
    return play_picture(source, size, red, green, blue)


async def listen(track: rtc.RemoteAudioTrack, seconds: float) -> tuple[float, float]:
    """Hears a track; gives the strongest frequency in Hz and the share of samples that are not silent."""
    heard = []
    stream = rtc.AudioStream(track, sample_rate=SAMPLE_RATE, num_channels=1)
    enough = int(seconds * SAMPLE_RATE)
    async for event in stream:
        heard.append(np.frombuffer(event.frame.data, np.int16))
        if sum(map(len, heard)) >= enough:
            break
    await stream.aclose()
    # The first half may hold the silence of a jitter buffer that fills.
    sound = np.concatenate(heard)[enough // 2 :].astype(float)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    peak_hz = np.argmax(spectrum) * SAMPLE_RATE / len(sound)
    return float(peak_hz), float(np.mean(np.abs(sound) > 500))


async def look(track: rtc.RemoteVideoTrack, seconds: float) -> tuple[float, tuple[int, int, int], float]:
    """Watches a track; gives frames per second, the picture's median colour, and when the first frame came."""
    first = None
    count = 0
    colour = (0, 0, 0)
    stream = rtc.VideoStream(track, format=rtc.VideoBufferType.RGBA)
    async for event in stream:
        now = time.monotonic()
        first = first or now
        count += 1
        if now - first >= seconds:
            pixels = np.frombuffer(event.frame.data, np.uint8).reshape(-1, 4)
            colour = tuple(int(part) for part in np.median(pixels, axis=0)[:3])
            break
    await stream.aclose()
    return (count - 1) / seconds, colour, first


async def until_width(track: rtc.RemoteVideoTrack, width: int, seconds: float = 20) -> int:
    """Watches a track until its picture is that wide; gives its last width."""
    stream = rtc.VideoStream(track)
    begun, seen = time.monotonic(), 0
    async for event in stream:
        seen = event.frame.width
        if seen == width or time.monotonic() - begun > seconds:
            break
    await stream.aclose()
    return seen
