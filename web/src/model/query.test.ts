import { describe, expect, it } from 'vitest';
import { inviteLink, parseQuery, roomAddress } from './query';

describe('the query', () => {
  it('is read from the address', () => {
    expect(parseQuery('?room=stand%20up&name=Ana&node=fra&autojoin=1&camera=0')).toEqual({
      room: 'stand up', name: 'Ana', identity: '', node: 'fra', token: '', autojoin: true, mic: null, camera: false,
    });
  });

  it('asks for nothing when it is empty', () => {
    expect(parseQuery('')).toMatchObject({ room: '', autojoin: false, mic: null, camera: null });
  });
});

it('the address during a call keeps what was asked for', () => {
  expect(roomAddress('http://eu.example/?node=fra', 'a')).toBe('http://eu.example/?node=fra&room=a');
});

it('an invitation says nothing about who shares it', () => {
  expect(inviteLink('https://eu.example/?room=a&name=Ana&token=secret#x', 'a b')).toBe('https://eu.example/?room=a+b');
});
