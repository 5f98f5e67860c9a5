// A call of two in one page, in a codec of choice, and what the receiver says of it.
/* global LivekitClient */

/** How long the frames may take. */
const FRAMES_MS = 20_000;

/** `ann` publishes her camera at one address, `bob` receives it at another until so many frames are decoded. Gives every report
 * that he saw on the way. */
export function watchCodec(guest, { urls, tokens, codec, frames }) {
  return guest.page.evaluate(
    async ([[annUrl, bobUrl], [annToken, bobToken], videoCodec, frames, ms]) => {
      const bob = new LivekitClient.Room();
      await bob.connect(bobUrl, bobToken);
      const ann = new LivekitClient.Room();
      await ann.connect(annUrl, annToken);
      await ann.localParticipant.setCameraEnabled(true, {}, { videoCodec, backupCodec: false });
      const { track } = await window.received(bob, 'camera');
      window.play(track);
      const reports = [];
      const until = performance.now() + ms;
      while (performance.now() < until && !(reports.at(-1)?.framesDecoded >= frames)) {
        await window.pause(100);
        reports.push(await window.inbound(track));
      }
      await Promise.all([ann.disconnect(), bob.disconnect()]);
      return reports;
    },
    [urls, tokens, codec, frames, FRAMES_MS],
  );
}
