// The page's own parameters: what a link or a test can say about a call.

export interface Query {
  room: string;
  name: string;
  identity: string;
  /** Forces a node, by id or region. */
  node: string;
  token: string;
  /** Joins without the join page. */
  autojoin: boolean;
  /** Null leaves it to what the person chose last. */
  mic: boolean | null;
  camera: boolean | null;
}

export function parseQuery(search: string): Query {
  const given = new URLSearchParams(search);
  const text = (key: string) => given.get(key)?.trim() ?? '';
  return {
    room: text('room'),
    name: text('name'),
    identity: text('identity'),
    node: text('node'),
    token: text('token'),
    autojoin: flag(given.get('autojoin')) ?? false,
    mic: flag(given.get('mic')),
    camera: flag(given.get('camera')),
  };
}

/** The link to hand on: where the room is and nothing about the person who shares it. */
export function inviteLink(page: string, room: string): string {
  const url = new URL(page);
  url.search = new URLSearchParams({ room }).toString();
  url.hash = '';
  return url.href;
}

/** The page's own address during a call, so that a reload comes back to the same room. */
export function roomAddress(page: string, room: string): string {
  const url = new URL(page);
  url.searchParams.set('room', room);
  return url.href;
}

function flag(value: string | null): boolean | null {
  if (value === null) return null;
  return value !== '0' && value !== 'false';
}
