import { describe, expect, it } from 'vitest';
import { path } from '../src/path.js';
import { mesh } from './mesh.js';

describe('the path of a track', () => {
  it('is asked for at the node with the token', async () => {
    const hops = [{ node: 'a', region: 'frankfurt' }, { node: 'b', region: 'sao-paulo' }];
    const { fetch, asked } = mesh([], () => Response.json({ hops }));
    await expect(path('ws://b.test', 'r', 'TR_1', 'secret', { fetch })).resolves.toEqual({ hops, links: [], delayMs: null, hurts: null });
    expect(asked[0]?.url).toBe('http://b.test/v1/path?room=r&track=TR_1');
    expect(asked[0]?.headers.get('authorization')).toBe('Bearer secret');
  });

  it('carries the figures of each link and says which one hurts', async () => {
    const hops = [{ node: 'a', region: 'frankfurt' }, { node: 'b', region: 'virginia' }];
    const hurts = { hop: 0, why: 'the link Frankfurt - Virginia lost 2 %, repaired' };
    const link = {
      from: 'a', to: 'b', from_region: 'frankfurt', to_region: 'virginia', rtt_ms: 90, delay_ms: 46, jitter_ms: 0.7,
      queue_ms: 1, loss_percent: 2, lost_percent: null,
    };
    const { fetch } = mesh([], () => Response.json({ hops, links: [link, null], delay_ms: 46, hurts }));
    const answer = await path('ws://b.test', 'r', 'TR_1', 'secret', { fetch });
    expect(answer.links[0]).toEqual({
      fromRegion: 'frankfurt', toRegion: 'virginia', delayMs: 46, jitterMs: 0.7, queueMs: 1, lossPercent: 2,
      lostPercent: null,
    });
    expect(answer).toMatchObject({ delayMs: 46, hurts });
    const nonsense = mesh([], () => Response.json({ hops, links: 7, delay_ms: 'x', hurts: { hop: '0' } }));
    await expect(path('ws://b.test', 'r', 'TR_1', 't', { fetch: nonsense.fetch })).resolves.toEqual({
      hops, links: [], delayMs: null, hurts: null,
    });
  });

  it('fails with a code when the node does not know the track', async () => {
    const { fetch } = mesh([], () => new Response('no such track', { status: 404 }));
    await expect(path('ws://b.test', 'r', 'TR_1', 't', { fetch })).rejects.toMatchObject({
      code: 'path_failed', status: 404, reason: 'b.test answered 404: no such track',
    });
  });

  it('fails with its own code when the token is refused', async () => {
    const { fetch } = mesh([], () => new Response('', { status: 401 }));
    await expect(path('ws://b.test', 'r', 'TR_1', 't', { fetch })).rejects.toMatchObject({ code: 'not_allowed' });
  });
});
