// A guest of the call with the unmodified npm `@livekit/rtc-node`. Run as `native.mjs NAME URL`.
import {
  AudioFrame,
  AudioSource,
  AudioStream,
  LocalAudioTrack,
  LocalVideoTrack,
  Room,
  RoomEvent,
  SimulateScenarioKind,
  TrackKind,
  TrackPublishOptions,
  TrackSource,
  VideoBufferType,
  VideoCodec,
  VideoFrame,
  VideoSource,
  VideoStream,
  dispose,
} from '@livekit/rtc-node';
import { serve } from './guests.mjs';
import { COLUMNS, FPS, ROWS, SMALL_BLOCK, check, luma, whoseElse } from './picture.mjs';

const [WIDTH, HEIGHT] = [COLUMNS * SMALL_BLOCK, ROWS * SMALL_BLOCK];
const RATE = 48_000;
/** What is heard comes in pieces that long. */
const PIECE_MS = 50;
const PUSH = RATE / 100;
const BEEP_SAMPLES = 1_920;
const CLOCK_WINDOW_MS = 5_000;
const BACK_TIMEOUT_MS = 20_000;
const SOURCES = {
  [TrackSource.SOURCE_CAMERA]: 'camera',
  [TrackSource.SOURCE_MICROPHONE]: 'camera',
  [TrackSource.SOURCE_SCREENSHARE]: 'screen',
};

/** A second of what is published: a beep, and hardly audible noise. */
const SECOND = Int16Array.from({ length: RATE }, (_, index) => {
  const beep = index < BEEP_SAMPLES ? 19_000 * Math.sin((2 * Math.PI * 1_000 * index) / RATE) : 0;
  return beep + 120 * (Math.random() - 0.5);
});

const room = new Room();
const noted = { frames: {}, beeps: {}, corrupt: [], events: [], late: { sound: [], picture: [] } };
let seeds;
let begun;
let shared;

const now = () => performance.timeOrigin + performance.now();
const pauseUntil = (ms) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms - performance.now())));

room.on(RoomEvent.TrackSubscribed, (track, publication, participant) => {
  const what = SOURCES[publication.source];
  if (!what) return;
  const key = `${participant.identity}/${what}`;
  const watched = track.kind === TrackKind.KIND_VIDEO ? look(track, key) : listen(track, key);
  watched.catch((error) => console.error(`${participant.identity}: ${error}`));
});
for (const event of [RoomEvent.Reconnecting, RoomEvent.Reconnected, RoomEvent.Disconnected]) {
  room.on(event, () => noted.events.push([now(), event]));
}

async function look(track, key) {
  const frames = (noted.frames[key] ??= []);
  const reader = new VideoStream(track).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const shown = now();
    const frame = value.frame.type === VideoBufferType.I420 ? value.frame : value.frame.convert(VideoBufferType.I420);
    const { data, width, height } = frame;
    const bright = (row, column) => {
      let sum = 0;
      for (let y = 0; y < 4; y += 1) {
        for (let x = 0; x < 4; x += 1) {
          const [down, across] = [((row + 0.3 + 0.13 * y) * height) / ROWS, ((column + 0.3 + 0.13 * x) * width) / COLUMNS];
          sum += data[Math.floor(down) * width + Math.floor(across)];
        }
      }
      return sum / 16;
    };
    const { n, wrong } = check(seeds[key], bright);
    frames.push([n, Math.round(shown * 10) / 10, wrong, width]);
    if (wrong === 0) continue;
    noted.corrupt.push({ key, n, wrong, width, at: shown, whose: whoseElse(seeds, seeds[key], bright) });
  }
}

async function listen(track, key) {
  const beeps = (noted.beeps[key] ??= []);
  const reader = new AudioStream(track, { sampleRate: RATE, numChannels: 1, frameSizeMs: PIECE_MS }).getReader();
  const offsets = [];
  let [position, quiet] = [0, 0];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const came = now();
    const samples = value.data;
    offsets.push([came, came - ((position + samples.length) * 1_000) / RATE]);
    while (came - offsets[0][0] > CLOCK_WINDOW_MS) offsets.shift();
    for (let index = 0; index < samples.length; index += 1) {
      quiet += 1;
      if (Math.abs(samples[index]) < 3_276) continue;
      if (quiet > RATE / 4) {
        const offset = Math.min(...offsets.map(([, offset]) => offset));
        beeps.push(Math.round((((position + index) * 1_000) / RATE + offset) * 10) / 10);
      }
      quiet = 0;
    }
    position += samples.length;
  }
}

async function paint(key, kind) {
  const source = new VideoSource(WIDTH, HEIGHT);
  const track = LocalVideoTrack.createVideoTrack(key, source);
  const videoEncoding = { maxBitrate: 300_000n, maxFramerate: FPS };
  const how = { source: kind, videoCodec: VideoCodec.VP8, simulcast: false, videoEncoding };
  const publication = await room.localParticipant.publishTrack(track, new TrackPublishOptions(how));
  let goesOn = true;
  void (async () => {
    const whole = new Uint8Array(WIDTH * HEIGHT * 1.5).fill(128);
    for (let n = Math.ceil(((performance.now() - begun) * FPS) / 1_000); goesOn; n += 1) {
      await pauseUntil(begun + (n * 1_000) / FPS);
      noted.late.picture.push(performance.now() - begun - (n * 1_000) / FPS);
      whole.set(luma(seeds[key], n, SMALL_BLOCK));
      source.captureFrame(new VideoFrame(whole, WIDTH, HEIGHT, VideoBufferType.I420));
    }
  })();
  return { publication, stop: () => (goesOn = false) };
}

async function play(source) {
  for (let position = Math.ceil((performance.now() - begun) / 10) * PUSH; room.isConnected; position += PUSH) {
    // A device hands on what it has recorded.
    await pauseUntil(begun + ((position + PUSH) * 1_000) / RATE);
    noted.late.sound.push(performance.now() - begun - ((position + PUSH) * 1_000) / RATE);
    const within = position % RATE;
    const samples = SECOND.slice(within, within + PUSH);
    await source.captureFrame(new AudioFrame(samples, RATE, 1, PUSH));
  }
}

const commands = {
  async begin(given) {
    seeds = given;
  },
  async join(url, token) {
    await room.connect(url, token, { autoSubscribe: true, dynacast: false });
  },
  async publish(name) {
    begun = performance.now();
    await paint(`${name}/camera`, TrackSource.SOURCE_CAMERA);
    // Without a queue what is pushed is captured now.
    const source = new AudioSource(RATE, 1, 0);
    const track = LocalAudioTrack.createAudioTrack('microphone', source);
    const options = new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE, dtx: false });
    await room.localParticipant.publishTrack(track, options);
    play(source).catch((error) => console.error(`${name}: ${error}`));
  },
  async screen(name, on) {
    if (on) {
      shared = await paint(`${name}/screen`, TrackSource.SOURCE_SCREENSHARE);
    } else if (shared) {
      shared.stop();
      await room.localParticipant.unpublishTrack(shared.publication.sid);
      shared = undefined;
    }
  },
  async quality() {},
  async resume() {
    const back = new Promise((resolve, reject) => {
      room.once(RoomEvent.Reconnected, resolve);
      setTimeout(() => reject(new Error('not back after 20 s')), BACK_TIMEOUT_MS).unref();
    });
    await room.simulateScenario(SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT);
    await back;
  },
  async take() {
    const taken = { frames: {}, beeps: {}, clocks: [] };
    for (const kind of ['frames', 'beeps']) {
      for (const [key, list] of Object.entries(noted[kind])) taken[kind][key] = list.splice(0);
    }
    for (const kind of ['corrupt', 'events']) taken[kind] = noted[kind].splice(0);
    const middle = (list) => list.sort((a, b) => a - b)[list.length >> 1] ?? 0;
    const median = (list) => middle(list.splice(0));
    taken.late = [[median(noted.late.sound), median(noted.late.picture)]];
    return taken;
  },
  async complaints() {
    return [];
  },
  async leave() {
    await room.disconnect();
  },
};

await serve(commands);
await dispose();
process.exit(0);
