// What a page does in the call, injected as text: paints and plays what it publishes by one clock, checks each picture
// that it shows, hears the beeps, and samples what the browser measures itself.
/* global LivekitClient, AudioWorkletProcessor, registerProcessor, currentFrame, sampleRate */

/** Runs in the page. */
export function equip() {
  const { COLUMNS, ROWS, BLOCK, SMALL_BLOCK, FPS, rowOf, isWhite, check, whoseElse } = window.picture;
  /** A block of what is looked at has so many pixels across, of which the inner ones count. */
  const CELL = 8;
  const INNER = [2, 6];
  const KEPT_PICTURES = 3;
  const CLOCK_WINDOW_MS = 5_000;
  /** How long a device for sound may take to begin. */
  const CLOCK_PATIENCE_MS = 15_000;

  const connections = [];
  window.RTCPeerConnection = class extends window.RTCPeerConnection {
    constructor(...args) {
      super(...args);
      connections.push(this);
    }
  };

  /** Found in sound, on its own thread: the first loud sample after a silence. */
  function ear() {
    class Ear extends AudioWorkletProcessor {
      quiet = 0;
      process([[samples]]) {
        if (!samples) return true;
        for (let index = 0; index < samples.length; index += 1) {
          this.quiet += 1;
          if (Math.abs(samples[index]) < 0.1) continue;
          if (this.quiet > sampleRate / 4) this.port.postMessage((currentFrame + index) / sampleRate);
          this.quiet = 0;
        }
        return true;
      }
    }
    registerProcessor('ear', Ear);
  }

  let context;
  let seeds;
  const noted = { frames: {}, beeps: {}, clocks: [], corrupt: [], events: [] };
  const offsets = [];
  /** Ours of an instant of the context: what it hands on it hands on in bursts, and the latest of each burst is in time. */
  const ours = (seconds) => seconds * 1_000 + Math.min(...offsets.map(([, offset]) => offset));
  const now = () => performance.timeOrigin + performance.now();

  async function begin(given) {
    seeds = given;
    context = new AudioContext({ sampleRate: 48_000 });
    void context.resume();
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([`(${ear})()`], { type: 'text/javascript' })));
    const before = context.currentTime;
    const deadline = performance.now() + CLOCK_PATIENCE_MS;
    while (context.currentTime < before + 0.2) {
      if (performance.now() > deadline) throw new Error('the clock of sound stands still');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    setInterval(() => {
      offsets.push([performance.now(), now() - context.currentTime * 1_000]);
      while (performance.now() - offsets[0][0] > CLOCK_WINDOW_MS) offsets.shift();
    }, 20);
  }

  /** A picture that is painted by the clock of sound. */
  function paint(seed, block) {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [COLUMNS * block, ROWS * block];
    const brush = canvas.getContext('2d', { alpha: false });
    let painted = -1;
    const timer = setInterval(() => {
      const n = Math.floor(context.currentTime * FPS);
      if (n === painted) return;
      painted = n;
      brush.fillStyle = '#000';
      brush.fillRect(0, 0, canvas.width, canvas.height);
      brush.fillStyle = '#fff';
      for (let row = 0; row < ROWS; row += 1) {
        const bits = rowOf(seed, n, row);
        for (let column = 0; column < COLUMNS; column += 1) {
          if (isWhite(bits, column)) brush.fillRect(column * block, row * block, block, block);
        }
      }
    }, 8);
    const [track] = canvas.captureStream().getVideoTracks();
    track.addEventListener('ended', () => clearInterval(timer));
    return { track, stop: () => (clearInterval(timer), track.stop()) };
  }

  /** A beep of 40 ms at each whole second, and hardly audible noise between. */
  function beep() {
    const buffer = context.createBuffer(1, 48_000, 48_000);
    const samples = buffer.getChannelData(0);
    for (let index = 0; index < samples.length; index += 1) {
      samples[index] = 0.004 * (Math.random() - 0.5);
      if (index < 1_920) samples[index] += 0.6 * Math.sin((2 * Math.PI * 1_000 * index) / 48_000);
    }
    const source = context.createBufferSource();
    [source.buffer, source.loop] = [buffer, true];
    const out = context.createMediaStreamDestination();
    source.connect(out);
    source.start(Math.ceil(context.currentTime + 0.1));
    return out.stream.getAudioTracks()[0];
  }

  /** Checks each picture that is shown of a track, until the element is gone. */
  function look(element, key) {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [COLUMNS * CELL, ROWS * CELL];
    const context = canvas.getContext('2d', { willReadFrequently: true, alpha: false });
    const frames = (noted.frames[key] ??= []);
    const seen = (_, { presentationTime, expectedDisplayTime, rtpTimestamp }) => {
      if (!element.isConnected) return;
      element.requestVideoFrameCallback(seen);
      context.drawImage(element, 0, 0, canvas.width, canvas.height);
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      const bright = (row, column) => {
        let sum = 0;
        for (let y = INNER[0]; y < INNER[1]; y += 1) {
          for (let x = INNER[0]; x < INNER[1]; x += 1) {
            sum += data[4 * ((row * CELL + y) * canvas.width + column * CELL + x) + 1];
          }
        }
        return sum / (INNER[1] - INNER[0]) ** 2;
      };
      const { n, wrong } = check(seeds[key], bright);
      const shown = performance.timeOrigin + (expectedDisplayTime ?? presentationTime);
      frames.push([n, Math.round(shown * 10) / 10, wrong, element.videoWidth, rtpTimestamp]);
      if (wrong === 0) return;
      const picture = noted.corrupt.length < KEPT_PICTURES ? canvas.toDataURL() : undefined;
      const whose = whoseElse(seeds, seeds[key], bright);
      noted.corrupt.push({ key, n, wrong, width: element.videoWidth, at: shown, picture, whose });
    };
    element.requestVideoFrameCallback(seen);
  }

  function listen(track, key) {
    const beeps = (noted.beeps[key] ??= []);
    if (window.MediaStreamTrackProcessor) return void listenToFrames(track, beeps);
    const ear = new AudioWorkletNode(context, 'ear', { numberOfOutputs: 0 });
    ear.port.onmessage = ({ data }) => beeps.push(Math.round(ours(data) * 10) / 10);
    const source = context.createMediaStreamSource(new MediaStream([track]));
    source.connect(ear);
    track.addEventListener('ended', () => source.disconnect());
  }

  /** Chromium hands sound on to a context through a queue for each track, of up to 100 ms that nothing tells. */
  async function listenToFrames(track, beeps) {
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 200 }).readable.getReader();
    const offsets = [];
    let [heardMs, quietMs] = [0, 0];
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const came = now();
      const samples = new Float32Array(value.numberOfFrames);
      value.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
      const sampleMs = 1_000 / value.sampleRate;
      value.close();
      offsets.push([came, came - heardMs - samples.length * sampleMs]);
      while (came - offsets[0][0] > CLOCK_WINDOW_MS) offsets.shift();
      for (let index = 0; index < samples.length; index += 1) {
        quietMs += sampleMs;
        if (Math.abs(samples[index]) < 0.1) continue;
        if (quietMs > 250) {
          const at = heardMs + index * sampleMs + Math.min(...offsets.map(([, offset]) => offset));
          beeps.push(Math.round(at * 10) / 10);
        }
        quietMs = 0;
      }
      heardMs += samples.length * sampleMs;
    }
  }

  function show(track, element, key) {
    document.body.append(element);
    element.style.width = '64px';
    if (track.kind === 'video') look(element, key);
    else listen(track, key);
  }

  let room;
  async function join(url, token) {
    room = new LivekitClient.Room({ adaptiveStream: false, dynacast: false });
    window.room = room;
    room.on('trackSubscribed', (track, publication, { identity }) => {
      const what = { camera: 'camera', microphone: 'camera', screen_share: 'screen' }[publication.source];
      show(track.mediaStreamTrack, track.attach(), `${identity}/${what}`);
    });
    room.on('trackUnsubscribed', (track) => track.detach().forEach((element) => element.remove()));
    for (const event of ['signalReconnecting', 'reconnecting', 'reconnected', 'disconnected']) {
      room.on(event, () => noted.events.push([now(), event]));
    }
    await room.connect(url, token);
    setInterval(() => void sample(), 1_000);
  }

  const encoding = { videoEncoding: { maxBitrate: 500_000, maxFramerate: FPS }, videoCodec: 'vp8' };
  async function publish(name) {
    const { track } = paint(seeds[`${name}/camera`], BLOCK);
    const half = new LivekitClient.VideoPreset((COLUMNS * BLOCK) / 2, (ROWS * BLOCK) / 2, 150_000, FPS);
    const camera = { source: 'camera', simulcast: true, videoSimulcastLayers: [half], ...encoding };
    await room.localParticipant.publishTrack(track, camera);
    await room.localParticipant.publishTrack(beep(), { source: 'microphone', dtx: false });
  }

  let shared;
  async function screen(name, on) {
    if (on) {
      shared = paint(seeds[`${name}/screen`], SMALL_BLOCK);
      const how = { screenShareEncoding: encoding.videoEncoding, videoCodec: 'vp8', simulcast: false };
      await room.localParticipant.publishTrack(shared.track, { source: 'screen_share', ...how });
    } else if (shared) {
      await room.localParticipant.unpublishTrack(shared.track);
      shared.stop();
      shared = undefined;
    }
  }

  function quality(identity, quality) {
    room.remoteParticipants.get(identity)?.getTrackPublication('camera')?.setVideoQuality(quality);
  }

  /** Closes the socket that signals, and comes back. */
  async function resume() {
    const back = new Promise((resolve) => room.once('reconnected', resolve));
    await room.simulateScenario('signal-reconnect');
    await Promise.race([back, new Promise((_, reject) => setTimeout(reject, 20_000, new Error('not back after 20 s')))]);
  }

  /** How far each one's sound and picture are by the browser's own account, and what its decoders did. */
  async function sample() {
    const reports = await Promise.all(connections.filter(({ connectionState }) => connectionState === 'connected').map((c) => c.getStats()));
    const inbound = reports.flatMap((report) => [...report.values()].filter(({ type }) => type === 'inbound-rtp'));
    const of = (track) => inbound.find(({ trackIdentifier }) => trackIdentifier === track?.mediaStreamTrack.id) ?? {};
    for (const [identity, participant] of room.remoteParticipants) {
      const [sound, picture] = ['microphone', 'camera'].map((source) => of(participant.getTrackPublication(source)?.track));
      noted.clocks.push([now(), identity, sound.estimatedPlayoutTimestamp, picture.estimatedPlayoutTimestamp, {
        decoded: picture.framesDecoded,
        dropped: picture.framesDropped,
        freezes: picture.freezeCount,
        frozenS: picture.totalFreezesDuration,
        width: picture.frameWidth,
        concealed: sound.concealedSamples,
        samples: sound.totalSamplesReceived,
        lost: (sound.packetsLost ?? 0) + (picture.packetsLost ?? 0),
      }]);
    }
  }

  /** All that was noted since the last time. */
  function take() {
    const taken = { frames: {}, beeps: {} };
    for (const kind of ['frames', 'beeps']) {
      for (const [key, list] of Object.entries(noted[kind])) taken[kind][key] = list.splice(0);
    }
    for (const kind of ['clocks', 'corrupt', 'events']) taken[kind] = noted[kind].splice(0);
    return taken;
  }

  // A straight connection between two pages, as a measure of what browsers do without a server.
  const straight = {};
  const gathered = (connection) =>
    new Promise((resolve) => {
      const look = () => connection.iceGatheringState === 'complete' && resolve(connection.localDescription.sdp);
      connection.addEventListener('icegatheringstatechange', look);
      look();
    });
  async function offer(name) {
    const connection = (straight.sender = new RTCPeerConnection());
    const { track, stop } = paint(seeds[`${name}/straight`], BLOCK);
    const sound = beep();
    const stream = new MediaStream([sound, track]);
    straight.stop = () => (stop(), sound.stop());
    for (const track of stream.getTracks()) connection.addTrack(track, stream);
    await connection.setLocalDescription();
    return gathered(connection);
  }
  async function answer(name, sdp) {
    const connection = (straight.receiver = new RTCPeerConnection());
    connection.ontrack = ({ track }) => {
      // Each track in an element of its own, as `livekit-client` has it.
      const element = document.createElement(track.kind);
      element.srcObject = new MediaStream([track]);
      element.autoplay = true;
      show(track, element, `${name}/straight`);
    };
    await connection.setRemoteDescription({ type: 'offer', sdp });
    await connection.setLocalDescription();
    straight.timer = setInterval(async () => {
      const inbound = [...(await connection.getStats()).values()].filter(({ type }) => type === 'inbound-rtp');
      const at = (kind) => inbound.find((entry) => entry.kind === kind)?.estimatedPlayoutTimestamp;
      noted.clocks.push([now(), `${name}/straight`, at('audio'), at('video'), {}]);
    }, 500);
    return gathered(connection);
  }
  const accept = (sdp) => straight.sender.setRemoteDescription({ type: 'answer', sdp });
  function part() {
    clearInterval(straight.timer);
    straight.stop?.();
    for (const side of ['sender', 'receiver']) straight[side]?.close();
    for (const key of Object.keys(straight)) delete straight[key];
    document.querySelectorAll('video, audio').forEach((element) => element.remove());
  }

  const leave = () => room?.disconnect();
  window.guest = { begin, join, publish, screen, quality, resume, take, leave, offer, answer, accept, part };
}
