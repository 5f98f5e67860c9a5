// Ann publishes a camera in three layers and a microphone on one node, bob receives them on another; both tell what
// their connections measure, ten times a second.
/* global LivekitClient */
import { executablePath, openPageWith } from '../browser/browser.mjs';
import { root } from '../browser/mesh.mjs';
import { writeCapture } from './capture.mjs';
import { makeNetwork } from './network.mjs';
import { startNodes } from './nodes.mjs';

const CLIENTS = ['ann', 'bob'];
/** A picture and its layers: the lowest two fit through 500 kbit/s, the lowest alone through 300 kbit/s. */
export const CAMERA = {
  width: 960,
  height: 540,
  fps: 24,
  bps: 1_200_000,
  layers: [
    { width: 240, height: 135, bps: 100_000 },
    { width: 480, height: 270, bps: 250_000 },
  ],
};
/** One that a busy machine encodes and decodes as well. */
export const SMALL_CAMERA = {
  width: 480,
  height: 270,
  fps: 15,
  bps: 600_000,
  layers: [{ width: 240, height: 135, bps: 100_000 }],
};
const FIRST_PICTURE_TIMEOUT_MS = 30_000;

/** Starts everything; the picture flows in its full height when this is done. */
export async function startCall({ dynacast = false, camera = CAMERA } = {}) {
  const closing = [];
  const close = async () => {
    for (const part of closing.reverse()) await part();
  };
  try {
    const network = await makeNetwork(CLIENTS);
    closing.push(() => network.close());
    const nodes = await startNodes(network, CLIENTS);
    closing.push(() => nodes.stop());
    const [ann, bob] = await Promise.all(CLIENTS.map((name) => openGuest(network, nodes, name, camera)));
    closing.push(() => Promise.all([ann.close(), bob.close()]));
    for (const guest of [ann, bob]) await join(guest, nodes, dynacast);
    await publish(ann, camera);
    await watch(bob, camera);
    return {
      network,
      estimates: () => nodes.estimates('bob'),
      /** What both measured since the last time. */
      samples: async () => ({ ann: await taken(ann), bob: await taken(bob) }),
      complaints: () => [...ann.complaints, ...bob.complaints],
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function openGuest(network, nodes, name, camera) {
  const origin = new URL(nodes.page(name)).origin;
  return openPageWith({
    name,
    capture: writeCapture(camera),
    program: network.wrapper(name, executablePath),
    // A page over plain HTTP may use the microphone only if its origin is declared safe.
    args: [`--unsafely-treat-insecure-origin-as-secure=${origin}`],
  });
}

async function join(guest, nodes, dynacast) {
  const { page, name } = guest;
  await page.addInitScript(keepConnections);
  await page.goto(nodes.page(name));
  await page.addScriptTag({ path: `${root}node_modules/livekit-client/dist/livekit-client.umd.js` });
  await page.evaluate(
    async ([url, token, dynacast]) => {
      window.room = new LivekitClient.Room({ dynacast });
      await window.room.connect(url, token);
    },
    [nodes.url(name), nodes.token('shaping', name), dynacast],
  );
}

function publish(ann, camera) {
  return ann.page.evaluate(
    async (camera) => {
      const { width, height, fps, bps, layers } = camera;
      const presets = layers.map((layer) => new LivekitClient.VideoPreset(layer.width, layer.height, layer.bps, fps));
      const room = window.room.localParticipant;
      await room.setCameraEnabled(
        true,
        { resolution: { width, height, frameRate: fps } },
        { videoCodec: 'vp8', videoSimulcastLayers: presets, videoEncoding: { maxBitrate: bps, maxFramerate: fps } },
      );
      // Nothing may take the tones for noise, and nothing may be left out as silence.
      const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      await room.setMicrophoneEnabled(true, raw, { dtx: false });
      window.sampleEvery(100);
    },
    camera,
  );
}

async function watch(bob, camera) {
  await bob.page.waitForFunction(() => {
    const ann = window.room.remoteParticipants.get('ann');
    const tracks = ['camera', 'microphone'].map((source) => ann?.getTrackPublication(source)?.track);
    if (!tracks.every(Boolean)) return false;
    document.body.append(...tracks.map((track) => track.attach()));
    return true;
  });
  await bob.page.evaluate(() => window.sampleEvery(100));
  await bob.page.waitForFunction(
    (height) => document.querySelector('video')?.videoHeight === height,
    camera.height,
    { timeout: FIRST_PICTURE_TIMEOUT_MS },
  );
}

function taken(guest) {
  return guest.page.evaluate(() => window.samples.splice(0));
}

/** Runs in the page: remembers its connections, and can be asked to sample them. */
function keepConnections() {
  const connections = [];
  window.samples = [];
  window.RTCPeerConnection = class extends window.RTCPeerConnection {
    constructor(...args) {
      super(...args);
      connections.push(this);
    }
  };
  async function sample() {
    const taken = { at: Date.now(), layers: [] };
    for (const connection of connections) {
      for (const entry of (await connection.getStats()).values()) {
        if (entry.type === 'inbound-rtp') {
          taken[entry.kind] = {
            bytes: entry.bytesReceived,
            lost: entry.packetsLost,
            packets: entry.packetsReceived,
            resent: entry.retransmittedPacketsReceived ?? 0,
            concealed: entry.concealedSamples,
            samples: entry.totalSamplesReceived,
            height: entry.frameHeight ?? 0,
            decoded: entry.framesDecoded ?? 0,
            freezes: entry.freezeCount ?? 0,
            frozenS: entry.totalFreezesDuration ?? 0,
          };
        } else if (entry.type === 'outbound-rtp' && entry.kind === 'video') {
          const { rid, frameHeight = 0, bytesSent, targetBitrate = 0, active } = entry;
          const asked = { nacks: entry.nackCount ?? 0, plis: entry.pliCount ?? 0 };
          const made = { resent: entry.retransmittedBytesSent ?? 0, keys: entry.keyFramesEncoded ?? 0 };
          taken.layers.push({ rid, height: frameHeight, bytes: bytesSent, target: targetBitrate, active, ...asked, ...made });
        } else if (entry.type === 'candidate-pair' && entry.nominated) {
          taken.pair = { received: entry.bytesReceived, sent: entry.bytesSent, rttS: entry.currentRoundTripTime };
          taken.pair.available = entry.availableOutgoingBitrate;
        }
      }
    }
    window.samples.push(taken);
  }
  window.sampleEvery = (ms) => setInterval(() => void sample(), ms);
}
