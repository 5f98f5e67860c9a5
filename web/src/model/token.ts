// What a token says about itself. The node checks it; the page only reads it, to show where it leads.

export interface TokenClaims {
  room: string;
  identity: string;
  name: string;
  /** Seconds since 1970, or null when it does not expire. */
  expiresAt: number | null;
}

/** The claims of a LiveKit token, or null when it is not one. */
export function readToken(token: string): TokenClaims | null {
  const body = token.trim().split('.')[1];
  if (body === undefined) return null;
  try {
    const bytes = Uint8Array.from(atob(body.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    const video = (claims['video'] ?? {}) as Record<string, unknown>;
    return {
      room: text(video['room']),
      identity: text(claims['sub']),
      name: text(claims['name']) || text(claims['sub']),
      expiresAt: typeof claims['exp'] === 'number' ? claims['exp'] : null,
    };
  } catch {
    return null;
  }
}

/** Why a token cannot be used, in words; null when it looks fine. */
export function tokenProblem(claims: TokenClaims | null, nowSeconds: number): string | null {
  if (claims === null) return 'This is not a token. Paste it whole, with its two dots.';
  if (claims.expiresAt !== null && claims.expiresAt < nowSeconds) return 'This token has expired. Ask for a new one.';
  return null;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
