import { describe, expect, it } from 'vitest';
import { path } from '../src/path.js';
import { mesh } from './mesh.js';

describe('the path of a track', () => {
  it('is asked for at the node with the token', async () => {
    const hops = [{ node: 'a', region: 'frankfurt' }, { node: 'b', region: 'sao-paulo' }];
    const { fetch, asked } = mesh([], () => Response.json({ hops }));
    await expect(path('ws://b.test', 'r', 'TR_1', 'secret', { fetch })).resolves.toEqual({ hops });
    expect(asked[0]?.url).toBe('http://b.test/v1/path?room=r&track=TR_1');
    expect(asked[0]?.headers.get('authorization')).toBe('Bearer secret');
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
