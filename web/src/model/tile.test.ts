import { describe, expect, it } from 'vitest';
import { orderPeople, orderTiles, type Person, type Tile } from './tile';

function tile(identity: string, joinedAt: number, spokeAt = 0): Tile {
  const person: Person = {
    identity, name: identity, local: identity === 'me', speaking: false, micOn: true, weak: false, joinedAt, spokeAt,
  };
  return { key: identity, kind: 'camera', person, video: null, pathSid: null };
}

const names = (tiles: Tile[]) => tiles.map((each) => each.key).join(' ');

describe('tiles', () => {
  it('start with yourself and go on with those who are here longest', () => {
    expect(names(orderTiles([tile('b', 2), tile('me', 9), tile('a', 1)], 9))).toBe('me a b');
  });

  it('keep their places while somebody speaks', () => {
    expect(names(orderTiles([tile('me', 0), tile('a', 1), tile('b', 2, 99)], 3))).toBe('me a b');
  });

  it('show a person and their screen', () => {
    const me = tile('me', 0);
    expect(names(orderTiles([tile('a', 1), me, { ...me, key: 'my screen', kind: 'screen' }], 9))).toBe('me my screen a');
  });

  it('bring a speaker from a later page to the first', () => {
    const tiles = [tile('me', 0), tile('a', 1, 10), tile('b', 2, 5), tile('c', 3), tile('d', 4, 50)];
    expect(names(orderTiles(tiles, 3))).toBe('me a d b c');
  });
});

it('people of the same moment are ordered by identity', () => {
  expect(orderPeople([tile('b', 1).person, tile('a', 1).person]).map((person) => person.identity)).toEqual(['a', 'b']);
});
