// Addresses of nodes. A node has one address; HTTP and WebSocket forms of it are used for different calls.
import { OrigoError } from './errors.js';

/** `wss://node` becomes `https://node`; a trailing slash is dropped. */
export function httpAddress(address: string): string {
  return parse(address).replace(/^ws(s?):/, 'http$1:');
}

/** `https://node` becomes `wss://node`: the form a LiveKit SDK takes as its server URL. */
export function wsAddress(address: string): string {
  return parse(address).replace(/^http(s?):/, 'ws$1:');
}

function parse(address: string): string {
  let url: URL;
  try {
    url = new URL(address);
  } catch (cause) {
    throw new OrigoError('invalid_option', `"${address}" is not an address of a node`, { cause });
  }
  if (!/^(https?|wss?):$/.test(url.protocol)) {
    throw new OrigoError('invalid_option', `"${address}" must start with http://, https://, ws:// or wss://`);
  }
  return `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, '')}`;
}
