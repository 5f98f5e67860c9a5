// A node that runs a demo gives tokens to the page it serves. Others do not, and the page asks for a token instead.

export interface TokenRequest {
  room: string;
  identity: string;
  name: string;
}

const TIMEOUT_MS = 5000;

/** Whether the page's own node is a demo node. Asks for a token that nobody uses. */
export async function isDemo(origin: string): Promise<boolean> {
  return demoToken(origin, { room: 'origo-probe', identity: 'probe', name: 'probe' }).then(
    () => true,
    () => false,
  );
}

/** `POST /v1/demo/token`. */
export async function demoToken(origin: string, request: TokenRequest): Promise<string> {
  const response = await fetch(`${origin}/v1/demo/token`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(request),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(`The node gave no token (it answered ${response.status}).`);
  const { token } = (await response.json()) as { token?: unknown };
  if (typeof token !== 'string' || token === '') throw new Error('The node gave no token.');
  return token;
}
