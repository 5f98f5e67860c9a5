// What a browser gets that knows less than the publisher's, on another node of a demo mesh.
/* global LivekitClient */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage } from './browser.mjs';
import { root, startMesh } from './mesh.mjs';

let mesh;
let guest;

before(async () => {
  mesh = await startMesh('fallback');
  guest = await openPage({ name: 'fallback', colour: 'red', toneHz: 440 });
  await guest.page.goto(new URL('/health', mesh.web).href);
  await guest.page.addScriptTag({ path: `${root}node_modules/livekit-client/dist/livekit-client.umd.js` });
  await guest.page.evaluate(equip);
});

after(async () => {
  await guest?.close();
  await mesh?.stop();
});

/** Ann is on one node, bob and carol on another; bob's browser lacks `unknown`. `act` runs in the page with the rooms. */
async function meet(name, unknown, act) {
  const identities = ['ann', 'bob', 'carol'];
  const tokens = await Promise.all(identities.map((identity) => mesh.token(`fallback-${name}`, identity)));
  const [here, there] = mesh.nodes.map((node) => node.url);
  const urls = [here, there, there];
  const args = [urls, tokens, unknown].map((value) => JSON.stringify(value)).join(', ');
  return guest.page.evaluate(`window.meet(${args}, ${act})`);
}

/** Runs in the page: what every test needs. */
function equip() {
  const { Room } = LivekitClient;
  window.until = async (what, check, ms = 20_000) => {
    const end = performance.now() + ms;
    for (;;) {
      const found = await check();
      if (found) return found;
      if (performance.now() > end) throw new Error(`no ${what} within ${ms} ms`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  window.track = (room, source) =>
    window.until(`${source} of ann`, () => room.remoteParticipants.get('ann')?.getTrackPublication(source)?.track);
  window.inbound = async (track) => {
    const stats = [...(await track.getRTCStatsReport()).values()];
    const inbound = stats.find(({ type }) => type === 'inbound-rtp');
    return { ...inbound, mimeType: stats.find(({ id }) => id === inbound?.codecId)?.mimeType?.toLowerCase() };
  };
  const Whole = window.RTCPeerConnection;
  const lessThan = (unknown) =>
    class extends Whole {
      async createOffer(...options) {
        for (const transceiver of this.getTransceivers()) {
          const { codecs } = RTCRtpReceiver.getCapabilities(transceiver.receiver.track.kind);
          transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => !unknown.includes(mimeType.toLowerCase())));
        }
        return super.createOffer(...options);
      }
    };
  window.meet = async (urls, tokens, unknown, act) => {
    const [ann, bob, carol] = [new Room({ dynacast: true }), new Room(), new Room()];
    try {
      window.RTCPeerConnection = lessThan(unknown);
      await bob.connect(urls[1], tokens[1]);
      window.RTCPeerConnection = Whole;
      await carol.connect(urls[2], tokens[2]);
      await ann.connect(urls[0], tokens[0]);
      return await act({ ann, bob, carol });
    } finally {
      window.RTCPeerConnection = Whole;
      await Promise.all([ann, bob, carol].map((room) => room.disconnect()));
      document.querySelectorAll('video, audio').forEach((element) => element.remove());
    }
  };
}

test('sound with redundancy goes to who knows it, and plain sound to who does not', { timeout: 60_000 }, async () => {
  const seen = await meet('sound', ['audio/red'], async ({ ann, bob, carol }) => {
    await ann.localParticipant.setMicrophoneEnabled(true);
    const tracks = await Promise.all([window.track(bob, 'microphone'), window.track(carol, 'microphone')]);
    for (const track of tracks) document.body.append(track.attach());
    const enough = async () => {
      const [less, whole] = await Promise.all(tracks.map(window.inbound));
      return less.packetsReceived > 150 && whole.packetsReceived > 150 && [less, whole];
    };
    const [less, whole] = await window.until('sound', enough);
    const size = ({ bytesReceived, packetsReceived }) => bytesReceived / packetsReceived;
    const heard = ({ concealedSamples, totalSamplesReceived }) => 1 - concealedSamples / totalSamplesReceived;
    return { less: size(less), whole: size(whole), heard: [heard(less), heard(whole)] };
  });
  console.log(`sound: ${JSON.stringify(seen)}`);
  assert.ok(seen.whole > seen.less * 1.5, 'packets with redundancy are larger');
  for (const heard of seen.heard) assert.ok(heard > 0.9, `${heard} of the sound was heard`);
});

for (const codec of ['vp9', 'av1']) {
  test(`who lacks ${codec} sees the second codec, and who knows it the first`, { timeout: 90_000 }, async () => {
    const act = async ({ ann, bob, carol }, codec) => {
      await ann.localParticipant.setCameraEnabled(true, {}, { videoCodec: codec, backupCodec: { codec: 'vp8' } });
      const tracks = await Promise.all([window.track(bob, 'camera'), window.track(carol, 'camera')]);
      for (const track of tracks) document.body.append(track.attach());
      const enough = async () => {
        const both = await Promise.all(tracks.map(window.inbound));
        return both.every(({ framesDecoded }) => framesDecoded >= 30) && both.map(({ mimeType }) => mimeType);
      };
      const seen = await window.until('pictures in both codecs', enough, 40_000);
      const codecs = bob.remoteParticipants.get('ann').getTrackPublication('camera').trackInfo.codecs;
      const { track } = ann.localParticipant.getTrackPublication('camera');
      const second = () => track.simulcastCodecs.get('vp8').sender.getParameters().encodings.some(({ active }) => active);
      const sentWhileTaken = second();
      await bob.disconnect();
      await window.until('end of the second codec', () => !second());
      return { seen, told: codecs.map(({ mimeType }) => mimeType.toLowerCase()), sentWhileTaken };
    };
    const seen = await meet(codec, [`video/${codec}`], `(rooms) => (${act})(rooms, '${codec}')`);
    console.log(`${codec}: ${JSON.stringify(seen)}`);
    assert.deepEqual(seen.seen, ['video/vp8', `video/${codec}`]);
    assert.deepEqual(seen.told, [`video/${codec}`, 'video/vp8']);
    assert.ok(seen.sentWhileTaken);
  });
}

test('who knows no codec of a picture is told so', { timeout: 60_000 }, async () => {
  const failed = await meet('none', ['video/vp9'], async ({ ann, bob }) => {
    const failure = new Promise((resolve) => bob.once('trackSubscriptionFailed', (...[, , reason]) => resolve(reason)));
    await ann.localParticipant.setCameraEnabled(true, {}, { videoCodec: 'vp9', backupCodec: false });
    return Promise.race([failure, new Promise((resolve) => setTimeout(resolve, 20_000, 'nothing'))]);
  });
  assert.equal(failed, 1, 'SE_CODEC_UNSUPPORTED');
});
