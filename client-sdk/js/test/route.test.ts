import { describe, expect, it } from 'vitest';
import { httpAddress, wsAddress } from '../src/address.js';
import { parseRoute, route } from '../src/route.js';
import { mesh } from './mesh.js';

describe('an address of a node', () => {
  it('has an http and a ws form, whichever is given', () => {
    expect(httpAddress('ws://127.0.0.1:7880/')).toBe('http://127.0.0.1:7880');
    expect(httpAddress('wss://eu.example/mesh/')).toBe('https://eu.example/mesh');
    expect(wsAddress('https://eu.example')).toBe('wss://eu.example');
    expect(wsAddress('ws://eu.example:1')).toBe('ws://eu.example:1');
  });

  it('is refused when it is not one', () => {
    expect(() => httpAddress('eu')).toThrow('"eu" is not an address');
    expect(() => httpAddress('ftp://eu')).toThrow('must start with');
  });
});

describe('a route', () => {
  it('is asked for with the room in the query', async () => {
    const { fetch, asked } = mesh([{ id: 'a', region: 'frankfurt', rttMs: 1 }]);
    const found = await route({ cluster: 'ws://any.test', room: 'stand up', fetch });
    expect(asked[0]?.url).toBe('http://any.test/v1/route?room=stand%20up');
    expect(found.nodes[0]).toEqual({
      id: 'a', region: 'frankfurt', url: 'wss://a.test', distanceKm: 100, load: 0.1, why: 'nearest',
    });
    expect(found.client.country).toBe('DE');
  });

  it('keeps unknown figures as null and leaves out nodes without an address', () => {
    const found = parseRoute({ client: {}, nodes: [{ id: 'a', url: 'ws://a', distance_km: null }, { id: 'b' }] });
    expect(found.nodes).toEqual([{ id: 'a', region: '', url: 'ws://a', distanceKm: null, load: null, why: '' }]);
    expect(found.client).toEqual({ country: null, lat: null, lon: null, source: 'unknown' });
  });

  it('fails with a code and a reason when there is no node', async () => {
    const { fetch } = mesh([]);
    await expect(route({ cluster: 'http://any.test', room: 'r', fetch })).rejects.toMatchObject({
      code: 'route_failed', reason: 'The mesh has no node for this room right now.',
    });
  });

  it('fails with the status when the node refuses', async () => {
    const { fetch } = mesh([], () => new Response('slow down', { status: 429 }));
    await expect(route({ cluster: 'http://any.test', room: 'r', fetch })).rejects.toMatchObject({
      code: 'route_failed', status: 429, reason: 'any.test answered 429: slow down',
    });
  });

  it('fails when the node does not answer in time', async () => {
    const silent = (_: unknown, init?: RequestInit) =>
      new Promise<Response>((_, reject) => init?.signal?.addEventListener('abort', () => reject(init.signal?.reason as Error)));
    await expect(route({ cluster: 'http://any.test', room: 'r', fetch: silent, timeoutMs: 5 })).rejects.toMatchObject({
      code: 'route_failed', reason: 'any.test did not answer: no answer within 5 ms',
    });
  });
});
