// A tone and a picture to publish, and what to look for where they arrive.
import {
  AudioFrame,
  AudioSource,
  AudioStream,
  LocalAudioTrack,
  LocalVideoTrack,
  TrackPublishOptions,
  TrackSource,
  VideoBufferType,
  VideoCodec,
  VideoFrame,
  VideoSource,
  VideoStream,
} from '@livekit/rtc-node';

const SAMPLE_RATE = 48_000;
const FPS = 20;
/** Samples among which a tone has no reason to jump. */
const WINDOW = SAMPLE_RATE / 20;

const playing = new Set();

/** Ends what is being played. */
export async function stopPlaying() {
  await Promise.all([...playing].map((stop) => stop()));
  playing.clear();
}

/** Publishes a steady tone; gives its publication. */
export async function publishTone(participant, hz) {
  const source = new AudioSource(SAMPLE_RATE, 1);
  const options = new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE });
  const track = LocalAudioTrack.createAudioTrack('microphone', source);
  const publication = await participant.publishTrack(track, options);
  let goesOn = true;
  const played = (async () => {
    const length = SAMPLE_RATE / 100;
    for (let position = 0; goesOn; position += length) {
      const samples = Int16Array.from(
        { length },
        (_, n) => 12_000 * Math.sin((2 * Math.PI * hz * (position + n)) / SAMPLE_RATE),
      );
      await source.captureFrame(new AudioFrame(samples, SAMPLE_RATE, 1, length));
    }
  })();
  playing.add(() => {
    goesOn = false;
    return played;
  });
  return publication;
}

/** Publishes a plain colour with a moving bar; gives its publication. */
export async function publishPicture(participant, [red, green, blue], { width = 640, height = 360, ...how } = {}) {
  const source = new VideoSource(width, height);
  const options = new TrackPublishOptions({
    source: TrackSource.SOURCE_CAMERA,
    videoCodec: VideoCodec.VP8,
    simulcast: false,
    ...how,
  });
  const track = LocalVideoTrack.createVideoTrack('camera', source);
  const publication = await participant.publishTrack(track, options);
  const plain = new Uint8Array(width * height * 4);
  for (let at = 0; at < plain.length; at += 4) plain.set([red, green, blue, 255], at);
  let count = 0;
  const timer = setInterval(() => {
    const pixels = plain.slice();
    const left = (count++ * 16) % (width - 16);
    for (let y = 0; y < height; y++) pixels.fill(255, (y * width + left) * 4, (y * width + left + 16) * 4);
    source.captureFrame(new VideoFrame(pixels, width, height, VideoBufferType.RGBA));
  }, 1000 / FPS);
  playing.add(() => clearInterval(timer));
  return publication;
}

/** Hears a track for a while: how much of it is a frequency (0 to 1), and the share of samples that are not silent. */
export async function listen(track, hz, seconds) {
  const reader = new AudioStream(track, SAMPLE_RATE, 1).getReader();
  const samples = [];
  const wanted = 2 * seconds * SAMPLE_RATE;
  // A track that is not sent any more may bring no samples at all.
  const timer = setTimeout(() => void reader.cancel(), 2_000 * seconds + 2_000);
  // The first half may hold the silence of a jitter buffer that fills.
  while (samples.length < wanted) {
    const { value, done } = await reader.read();
    if (done) break;
    samples.push(...value.data);
  }
  clearTimeout(timer);
  await reader.cancel();
  const half = samples.slice(-wanted / 2);
  const purities = [];
  for (let at = 0; at + WINDOW <= half.length; at += WINDOW) purities.push(purityOf(half.slice(at, at + WINDOW), hz));
  const purity = purities.sort((one, other) => one - other)[purities.length >> 1] ?? 0;
  return { purity, sounding: half.filter((sample) => Math.abs(sample) > 500).length / (wanted / 2) };
}

/** How much of some samples' power a frequency has. */
function purityOf(samples, hz) {
  let [sine, cosine, power] = [0, 0, 0];
  samples.forEach((sample, n) => {
    const angle = (2 * Math.PI * hz * n) / SAMPLE_RATE;
    sine += sample * Math.sin(angle);
    cosine += sample * Math.cos(angle);
    power += sample * sample;
  });
  return (2 * (sine ** 2 + cosine ** 2)) / samples.length / (power || 1);
}

/** Watches a track until `fits` says so of a frame, or frames are over; gives the frames seen. */
export async function look(track, fits, patienceMs = 15_000) {
  const reader = new VideoStream(track).getReader();
  const timer = setTimeout(() => void reader.cancel(), patienceMs);
  let count = 0;
  let last;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    count += 1;
    last = value.frame;
    if (fits(last, count)) {
      clearTimeout(timer);
      const shown = { count, width: last.width, height: last.height, colour: colourOf(last) };
      await reader.cancel();
      return shown;
    }
  }
  throw new Error(`no such frame among ${count}, the last ${last?.width}x${last?.height}`);
}

/** The colour of a frame's upper left quarter, by its median. */
export function colourOf(frame) {
  const { data, width, height } = frame.convert(VideoBufferType.RGBA);
  const parts = [[], [], []];
  for (let y = 0; y < height / 2; y += 8) {
    for (let x = 0; x < width / 2; x += 8) parts.forEach((part, n) => part.push(data[(y * width + x) * 4 + n]));
  }
  return parts.map((part) => part.sort((a, b) => a - b)[part.length >> 1]);
}

/** Whether two colours look the same after a codec. */
export function isNear(one, other) {
  return one.every((part, n) => Math.abs(part - other[n]) < 30);
}
