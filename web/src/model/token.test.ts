import { describe, expect, it } from 'vitest';
import { readToken, tokenProblem } from './token';

function tokenOf(claims: object): string {
  const encode = (value: object) =>
    btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(value))))
      .replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  return `${encode({ alg: 'HS256' })}.${encode(claims)}.signature`;
}

describe('a token', () => {
  it('says where it leads', () => {
    const token = tokenOf({ sub: 'ana-1', name: 'Ana Núñez', exp: 100, video: { room: 'stand-up', roomJoin: true } });
    expect(readToken(token)).toEqual({ room: 'stand-up', identity: 'ana-1', name: 'Ana Núñez', expiresAt: 100 });
  });

  it('has a problem when it has expired', () => {
    const claims = readToken(tokenOf({ sub: 'ana', exp: 100 }));
    expect(tokenProblem(claims, 99)).toBeNull();
    expect(tokenProblem(claims, 101)).toMatch(/expired/);
  });

  it.each(['', 'abc', 'a.b.c', 'a.%%.c'])('"%s" is not one', (token) => {
    expect(readToken(token)).toBeNull();
    expect(tokenProblem(null, 0)).toMatch(/not a token/);
  });
});
