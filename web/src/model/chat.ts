// Chat messages as they are shown: runs of one author, and links in their text.

export interface Message {
  id: string;
  identity: string;
  name: string;
  text: string;
  /** Milliseconds since 1970, by this machine's clock: clocks of others are not trusted for the order. */
  at: number;
  local: boolean;
  state: 'sent' | 'sending' | 'failed';
}

export interface Run {
  author: string;
  local: boolean;
  at: number;
  messages: Message[];
}

/** Messages of one author within this time are read as one. */
const RUN_MS = 3 * 60_000;

export function runsOf(messages: Message[]): Run[] {
  const runs: Run[] = [];
  for (const message of messages) {
    const last = runs.at(-1);
    const previous = last?.messages.at(-1);
    if (last && previous?.identity === message.identity && message.at - previous.at < RUN_MS) {
      last.messages.push(message);
    } else {
      runs.push({ author: message.name, local: message.local, at: message.at, messages: [message] });
    }
  }
  return runs;
}

export interface Piece {
  text: string;
  /** Set when the piece is a link; only http and https are. */
  href: string | null;
}

/** Splits text at its links. A full stop or bracket after a link is not part of it. */
export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(/https?:\/\/[^\s<>"]+/g)) {
    const link = match[0].replace(/[.,;:!?)\]]+$/, '');
    if (!URL.canParse(link)) continue;
    if (match.index > end) pieces.push({ text: text.slice(end, match.index), href: null });
    pieces.push({ text: link, href: link });
    end = match.index + link.length;
  }
  if (end < text.length) pieces.push({ text: text.slice(end), href: null });
  return pieces;
}
