import { describe, expect, it } from 'vitest';
import { piecesOf, runsOf, type Message } from './chat';

const say = (identity: string, at: number): Message => ({
  id: `${identity}${at}`, identity, name: identity, text: 'x', at, local: false, state: 'sent',
});

describe('chat', () => {
  it('reads messages of one author as one run until a pause', () => {
    const runs = runsOf([say('ana', 0), say('ana', 1000), say('bo', 2000), say('ana', 3000), say('ana', 900_000)]);
    expect(runs.map((run) => [run.author, run.messages.length])).toEqual([['ana', 2], ['bo', 1], ['ana', 1], ['ana', 1]]);
  });

  it('finds links and leaves the punctuation out', () => {
    expect(piecesOf('see https://a.example/x?y=1, and (http://b.example).')).toEqual([
      { text: 'see ', href: null },
      { text: 'https://a.example/x?y=1', href: 'https://a.example/x?y=1' },
      { text: ', and (', href: null },
      { text: 'http://b.example', href: 'http://b.example' },
      { text: ').', href: null },
    ]);
  });

  it('makes no link of anything else', () => {
    expect(piecesOf('javascript:alert(1) https://')).toEqual([{ text: 'javascript:alert(1) https://', href: null }]);
  });
});
