// A plain WHIP and WHEP client inside a page: nothing but fetch and RTCPeerConnection.

/** Puts the client into the page as `window.overHttp`. */
export function install(page) {
  return page.evaluate(() => {
    const sessions = {};

    /** The answer as it would be without UDP. */
    const onlyTcp = (sdp) =>
      sdp
        .split('\r\n')
        .filter((line) => !/^a=candidate:\S+ \d+ udp /i.test(line))
        .join('\r\n');

    async function open(name, pc, url, token, { tcp = false } = {}) {
      const early = [];
      const session = { pc, token, url: null, etag: null };
      pc.addEventListener('icecandidate', ({ candidate }) => {
        if (candidate?.candidate) early.push(candidate.candidate);
      });
      await pc.setLocalDescription(await pc.createOffer());
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'Content-Type': 'application/sdp', Authorization: `Bearer ${token}` },
        body: pc.localDescription.sdp,
      });
      if (response.status !== 201) {
        pc.close();
        return { status: response.status, retryAfter: response.headers.get('retry-after'), body: await response.text() };
      }
      session.url = new URL(response.headers.get('location'), url).href;
      session.etag = response.headers.get('etag');
      sessions[name] = session;
      const answer = await response.text();
      await pc.setRemoteDescription({ type: 'answer', sdp: tcp ? onlyTcp(answer) : answer });
      await connected(pc);
      return { status: 201, url: session.url, etag: session.etag, candidates: early, answer };
    }

    function connected(pc) {
      return new Promise((resolve, reject) => {
        const look = () => {
          if (pc.connectionState === 'connected') resolve();
          if (pc.connectionState === 'failed') reject(new Error('the connection failed'));
        };
        pc.addEventListener('connectionstatechange', look);
        setTimeout(() => reject(new Error(`the connection is ${pc.connectionState} after 10 s`)), 10_000);
        look();
      });
    }

    async function publish(name, url, token, options = {}) {
      const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360 } });
      const pc = new RTCPeerConnection();
      const [audio] = media.getAudioTracks();
      const [video] = media.getVideoTracks();
      pc.addTransceiver(audio, { direction: 'sendonly', streams: [media] });
      const layers = [
        { rid: 'q', scaleResolutionDownBy: 4 },
        { rid: 'h', scaleResolutionDownBy: 2 },
        { rid: 'f' },
      ];
      const sendEncodings = options.simulcast ? layers : [{}];
      pc.addTransceiver(video, { direction: 'sendonly', streams: [media], sendEncodings });
      return open(name, pc, url, token, options);
    }

    async function watch(name, url, token, options = {}) {
      const pc = new RTCPeerConnection();
      const video = document.createElement('video');
      Object.assign(video, { autoplay: true, id: name, srcObject: new MediaStream() });
      document.body.append(video);
      pc.addEventListener('track', ({ track }) => video.srcObject.addTrack(track));
      pc.addTransceiver('audio', { direction: 'recvonly' });
      pc.addTransceiver('video', { direction: 'recvonly' });
      return open(name, pc, url, token, options);
    }

    async function request(name, method, { ifMatch, body, token } = {}) {
      const session = sessions[name];
      const headers = { Authorization: `Bearer ${token ?? session.token}` };
      if (ifMatch) headers['If-Match'] = ifMatch;
      if (body !== undefined) headers['Content-Type'] = 'application/trickle-ice-sdpfrag';
      const response = await fetch(session.url, { method, headers, body });
      return { status: response.status, etag: response.headers.get('etag'), body: await response.text() };
    }

    /** Restarts ICE as RFC 9725 4.3.3 tells. */
    async function restart(name) {
      const { pc } = sessions[name];
      const before = pc.remoteDescription.sdp;
      pc.restartIce();
      await pc.setLocalDescription(await pc.createOffer());
      const lines = pc.localDescription.sdp.split('\r\n');
      const one = (start) => lines.find((line) => line.startsWith(start));
      const body = [one('a=ice-ufrag:'), one('a=ice-pwd:'), one('m='), one('a=mid:'), ''].join('\r\n');
      const response = await request(name, 'PATCH', { ifMatch: '*', body });
      if (response.status !== 200) return response;
      const fragment = response.body.split('\r\n');
      const given = (start) => fragment.find((line) => line.startsWith(start));
      const sdp = before
        .split('\r\n')
        .map((line) => (/^a=ice-(ufrag|pwd):/.test(line) ? given(line.slice(0, line.indexOf(':') + 1)) : line))
        .join('\r\n');
      await pc.setRemoteDescription({ type: 'answer', sdp });
      sessions[name].etag = response.etag;
      return { ...response, changed: sdp !== before };
    }

    /** What flows: frames decoded or encoded, energy heard, and the transport in use. */
    async function flows(name) {
      const report = [...(await sessions[name].pc.getStats()).values()];
      const sum = (type, kind, key) =>
        report.filter((entry) => entry.type === type && entry.kind === kind).reduce((all, entry) => all + (entry[key] ?? 0), 0);
      const transport = report.find((entry) => entry.type === 'transport');
      const pair = report.find((entry) => entry.id === transport?.selectedCandidatePairId);
      return {
        decoded: sum('inbound-rtp', 'video', 'framesDecoded'),
        encoded: sum('outbound-rtp', 'video', 'framesEncoded'),
        energy: sum('inbound-rtp', 'audio', 'totalAudioEnergy'),
        protocol: report.find((entry) => entry.id === pair?.remoteCandidateId)?.protocol,
      };
    }

    window.overHttp = { publish, watch, request, restart, flows, sessions };
  });
}
