// The unmodified `livekit-client` in Firefox calls Chromium on another node, in both forms of the protocol.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { enter, openClient } from './client.mjs';
import { ownAddress, startMesh } from './mesh.mjs';

let mesh;
let fox;
let cat;

before(async () => {
  mesh = await startMesh('firefox', { mediaIp: ownAddress() });
  [fox, cat] = await Promise.all([
    openClient(mesh, { browser: 'firefox', name: 'fox' }),
    openClient(mesh, { name: 'cat', colour: 'green', toneHz: 660 }),
  ]);
});

after(async () => {
  await Promise.all([fox, cat].map((guest) => guest?.close()));
  await mesh?.stop();
});

/** Runs in a page: what it sees and hears of the other one. */
async function watch() {
  const camera = await window.received(window.room, 'camera');
  const microphone = await window.received(window.room, 'microphone');
  window.play(camera.track);
  window.play(microphone.track);
  await window.decodes(camera.track, 40, 20_000);
  const energy = await window.sounds(microphone.track);
  const { mimeType, frameWidth } = await window.inbound(camera.track);
  return { picture: mimeType, frameWidth, sound: (await window.inbound(microphone.track)).mimeType, energy };
}

const publish = (guest) =>
  guest.page.evaluate(async () => {
    await window.room.localParticipant.setCameraEnabled(true, {}, { videoCodec: 'vp8' });
    await window.room.localParticipant.setMicrophoneEnabled(true);
  });

for (const [form, singlePeerConnection] of [['v1', true], ['v0', false]]) {
  describe(`Firefox and Chromium in ${form}`, () => {
    test('see and hear each other across two nodes', { timeout: 90_000 }, async () => {
      const [room, options] = [`firefox-${form}`, { singlePeerConnection }];
      await enter(fox, mesh, { room, node: mesh.nodes[0], options });
      await enter(cat, mesh, { room, node: mesh.nodes[1], options });
      await Promise.all([publish(fox), publish(cat)]);
      for (const [guest, seen] of [[fox, fox.page.evaluate(watch)], [cat, cat.page.evaluate(watch)]]) {
        const { picture, sound, ...rest } = await seen;
        console.log(`${form}: ${guest.name} gets ${picture}, ${sound}, ${JSON.stringify(rest)}`);
        assert.deepEqual([picture.toLowerCase(), sound.toLowerCase()], ['video/vp8', 'audio/opus']);
      }
      const heardHz = await cat.page.evaluate(async (toneHz) => {
        const { track } = await window.received(window.room, 'microphone');
        return window.hears(track, toneHz);
      }, fox.toneHz);
      console.log(`${form}: cat hears ${heardHz.toFixed(0)} Hz`);
    });

    test('Firefox sends layers, and each can be chosen on the other node', { timeout: 60_000 }, async () => {
      const widths = await cat.page.evaluate(async () => {
        const publication = await window.received(window.room, 'camera');
        const width = async () => (await window.inbound(publication.track)).frameWidth;
        const widths = [];
        for (const [quality, fits] of [[0, (w) => w <= 320], [2, (w) => w >= 640], [0, (w) => w <= 320]]) {
          publication.setVideoQuality(quality);
          widths.push(await window.until(`quality ${quality}`, async () => fits(await width()) && width(), 20_000));
          await window.decodes(publication.track, 10);
        }
        publication.setVideoQuality(2);
        return widths;
      });
      const layers = await fox.page.evaluate(() =>
        window.outbound(window.room.localParticipant.getTrackPublication('camera').track),
      );
      console.log(`${form}: widths ${widths.join(', ')}; sent ${layers.map((layer) => `${layer.rid} ${layer.framesEncoded}`)}`);
      assert.deepEqual(layers.map(({ rid }) => rid), ['q', 'h', 'f']);
    });

    test('chat and data come across, both ways', { timeout: 30_000 }, async () => {
      for (const [from, to] of [[fox, cat], [cat, fox]]) {
        await to.page.evaluate(() => {
          window.read = [];
          const { room } = window;
          room.on('dataReceived', (bytes, who) => window.read.push(`${who.identity}: ${new TextDecoder().decode(bytes)}`));
          room.on('chatMessage', ({ message }, who) => window.read.push(`${who.identity}: ${message}`));
        });
        await from.page.evaluate(async () => {
          await window.room.localParticipant.publishData(new TextEncoder().encode('data'), { reliable: true });
          await window.room.localParticipant.sendChatMessage('chat');
        });
        const read = await to.page.evaluate(async () => {
          await window.until('both messages', () => window.read.length >= 2, 5_000);
          return window.read.sort();
        });
        assert.deepEqual(read, [`${from.name}: chat`, `${from.name}: data`]);
      }
    });

    test('a microphone that Firefox mutes is silent on the other node', { timeout: 30_000 }, async () => {
      const mute = (enabled) =>
        fox.page.evaluate((enabled) => window.room.localParticipant.setMicrophoneEnabled(enabled), enabled);
      await mute(false);
      const gained = await cat.page.evaluate(async () => {
        const publication = await window.received(window.room, 'microphone');
        await window.until('mute', () => publication.isMuted, 5_000);
        await window.pause(500);
        const { totalAudioEnergy: before } = await window.inbound(publication.track);
        await window.pause(1_000);
        return (await window.inbound(publication.track)).totalAudioEnergy - before;
      });
      assert.ok(gained < 0.001, `${gained} of sound while muted`);
      await mute(true);
      await cat.page.evaluate(async () => window.sounds((await window.received(window.room, 'microphone')).track));
    });

    test('Firefox comes back after its socket was cut, and sees and is seen', { timeout: 60_000 }, async () => {
      const ms = await fox.page.evaluate(async () => {
        const begunAt = performance.now();
        const back = new Promise((resolve) => window.room.once('reconnected', () => resolve(true)));
        await window.room.simulateScenario('signal-reconnect');
        await Promise.race([back, window.until('way back', () => false, 20_000)]);
        return performance.now() - begunAt;
      });
      console.log(`${form}: back after ${ms.toFixed(0)} ms`);
      const goesOn = (guest) =>
        guest.page.evaluate(async () => window.decodes((await window.received(window.room, 'camera')).track, 15));
      await Promise.all([goesOn(fox), goesOn(cat)]);
    });

    test('when Firefox leaves, Chromium knows', { timeout: 30_000 }, async () => {
      await fox.page.evaluate(() => window.room.disconnect());
      await cat.page.evaluate(async () => {
        await window.until('leave', () => window.room.remoteParticipants.size === 0, 3_000);
        await window.room.disconnect();
        document.querySelectorAll('video, audio').forEach((element) => element.remove());
      });
    });
  });
}

test('no page logged an error', () => {
  // Chromium asks every site for an icon.
  const complaints = [fox, cat].flatMap((guest) => guest.complaints).filter((text) => !/Failed to load resource/.test(text));
  assert.deepEqual(complaints, []);
});
