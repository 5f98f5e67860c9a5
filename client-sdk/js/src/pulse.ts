// Tells from what comes of a node whether to doubt that it lives. `pulse.rs` of the Rust client does the same.
import type { Room } from 'livekit-client';

/** Milliseconds between two looks. */
export const TICK_MS = 100;
/** Looks that are remembered. */
const REMEMBERED = 50;
/** A node is doubted only if something came between so many of these. */
const LIVELY = 10;
/** It is doubted after so many looks at which nothing had come, at least: pictures come each 40 ms, sound each 20 ms, and
 * reports of what we send each 100 ms. */
const PATIENCE_MIN = 3;
/** And after so many at most, if nothing is usual. */
const PATIENCE_MAX = 30;

/** What it takes for silence depends on the pauses that were usual before, so that a room where only pauses of speech are
 * heard is no dead one. */
export class Pulse {
  private looks: boolean[] = [];
  private silent = 0;
  private doubtsAt = 0;

  /** Each `TICK_MS`: whether something came since the last look. Says whether the node is to be doubted now; while the
   * silence lasts it says so again, more and more rarely. */
  look(came: boolean): boolean {
    if (came) {
      // Before anything came there was no silence.
      const silent = this.looks.length === 0 ? 0 : Math.min(this.silent, REMEMBERED);
      const since = [...new Array<boolean>(silent).fill(false), true];
      this.looks = [...this.looks, ...since].slice(-REMEMBERED);
      this.silent = 0;
      this.doubtsAt = this.patience();
      return false;
    }
    this.silent += 1;
    if (this.silent < this.doubtsAt || this.looks.filter(Boolean).length < LIVELY) return false;
    this.doubtsAt = this.silent + Math.min(this.silent, PATIENCE_MAX);
    return true;
  }

  /** Twice the longest pause that is remembered but for one: what is usual happens more than once. */
  private patience(): number {
    let [run, longest, usual] = [0, 0, 0];
    for (const came of [...this.looks, true]) {
      if (!came) {
        run += 1;
        continue;
      }
      [longest, usual] = [Math.max(longest, run), Math.max(usual, Math.min(longest, run))];
      run = 0;
    }
    return Math.min(Math.max(2 * usual, PATIENCE_MIN), PATIENCE_MAX);
  }
}

/** A track of a room, as far as it is looked at. */
interface Flow {
  receiver?: Pick<RTCRtpReceiver, 'getSynchronizationSources'>;
  getRTCStatsReport?: () => Promise<RTCStatsReport | undefined>;
}

/** Sees whether anything has come to a session since it last looked. */
export class Arrivals {
  private newest = 0;
  /** By the statistics of the last look; null when none were asked for. */
  private bytes: number | null = null;

  constructor(private readonly room: Room) {}

  /** Media that are being played tell it without cost; statistics are asked for only where they do not. */
  async came(): Promise<boolean> {
    const remote = [...this.room.remoteParticipants.values()].flatMap(flows);
    const newest = Math.max(0, ...remote.flatMap(({ receiver }) => sources(receiver)).map(({ timestamp }) => timestamp));
    if (newest > this.newest) {
      this.newest = newest;
      this.bytes = null;
      return true;
    }
    // All of one direction share a connection, so one of each tells of all.
    const told = [remote.at(0), flows(this.room.localParticipant).at(0)].map(async (flow) => bytes(await flow?.getRTCStatsReport?.()));
    const sum = (await Promise.all(told)).reduce((all, one) => all + one, 0);
    const came = this.bytes !== null && sum > this.bytes;
    this.bytes = sum;
    return came;
  }
}

function flows(participant: { trackPublications: Map<string, { track?: unknown }> }): Flow[] {
  return [...participant.trackPublications.values()].flatMap(({ track }) => (track ? [track as Flow] : []));
}

function sources(receiver: Flow['receiver']): { timestamp: number }[] {
  return receiver?.getSynchronizationSources?.() ?? [];
}

/** What came over the connection of a track, reports and answers included. */
function bytes(report: RTCStatsReport | undefined): number {
  const entries = [...((report as Map<string, Record<string, unknown>> | undefined)?.values() ?? [])];
  const of = (kind: string) => entries.filter(({ type }) => type === kind).map(({ bytesReceived }) => Number(bytesReceived ?? 0));
  const [transport] = of('transport');
  return transport ?? of('candidate-pair').concat(of('inbound-rtp')).reduce((all, one) => all + one, 0);
}
