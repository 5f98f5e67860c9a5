import type { Room } from 'livekit-client';
import { describe, expect, it } from 'vitest';
import { Arrivals, Pulse } from '../src/pulse.js';

/** Looks as a text, `x` where something came; the places at which the node is doubted. */
function doubts(looks: string): number[] {
  const pulse = new Pulse();
  return [...looks].flatMap((look, at) => (pulse.look(look === 'x') ? [at] : []));
}

// The same cases as of `pulse.rs`.
describe('Pulse', () => {
  it('doubts a node that falls silent after three looks, and then more and more rarely', () => {
    expect(doubts('xxxxxxxxxx..............')).toEqual([12, 15, 21]);
  });

  it('does not doubt a node of which hardly anything has come', () => {
    expect(doubts('xxxxxxxxx...............')).toEqual([]);
  });

  it('takes pauses that come again and again for no silence', () => {
    expect(doubts(`xxxxxxxxxx..${'x...'.repeat(12)}......`)).toEqual([15, 62]);
    expect(doubts('x..'.repeat(40))).toEqual([]);
  });

  it('is more patient for a while after two silences that were none', () => {
    const calm = 'x'.repeat(50);
    expect(doubts(`${calm}....x.......x..............`)).toEqual([52, 57, 60, 70]);
    expect(doubts(`${calm}....x....${calm}...`)).toEqual([52, 57, 111]);
  });
});

describe('Arrivals', () => {
  /** A room of one person; what is played of them, and what its connection has got, are set from outside. */
  function session() {
    const state = { playedAt: 0, bytes: 0, asked: 0 };
    const track = {
      receiver: { getSynchronizationSources: () => (state.playedAt > 0 ? [{ timestamp: state.playedAt }] : []) },
      getRTCStatsReport: () => {
        state.asked += 1;
        return Promise.resolve(new Map([['T', { type: 'transport', bytesReceived: state.bytes }]]));
      },
    };
    const participant = { trackPublications: new Map([['TR', { track }]]) };
    const room = { remoteParticipants: new Map([['PA', participant]]), localParticipant: { trackPublications: new Map() } };
    return { state, arrivals: new Arrivals(room as unknown as Room) };
  }

  it('takes what is played as a sign without asking for statistics', async () => {
    const { state, arrivals } = session();
    for (const playedAt of [10, 20, 30]) {
      state.playedAt = playedAt;
      expect(await arrivals.came()).toBe(true);
    }
    expect(state.asked).toBe(0);
  });

  it('sees by statistics that something comes which is not played, and that nothing does', async () => {
    const { state, arrivals } = session();
    const came: boolean[] = [];
    for (const bytes of [100, 200, 200, 300]) {
      state.bytes = bytes;
      came.push(await arrivals.came());
    }
    expect(came).toEqual([false, true, false, true]);
  });

  it('does not take for new what came while media were played', async () => {
    const { state, arrivals } = session();
    await arrivals.came();
    Object.assign(state, { playedAt: 10, bytes: 5_000 });
    expect(await arrivals.came()).toBe(true);
    expect(await arrivals.came()).toBe(false);
    expect(await arrivals.came()).toBe(false);
  });
});
