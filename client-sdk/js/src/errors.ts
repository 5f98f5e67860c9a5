// The one error type of the package. `code` is stable and for programs; `reason` is a sentence for people.

/** What went wrong, in a form a program can branch on. */
export type OrigoErrorCode =
  /** An option is missing or malformed. */
  | 'invalid_option'
  /** The cluster did not answer `/v1/route`, or answered something else than a route. */
  | 'route_failed'
  /** The node asked for is not among the candidates. */
  | 'node_unknown'
  /** The token was refused: expired, signed with another key, or for another room. */
  | 'not_allowed'
  /** No candidate could be connected to. */
  | 'unreachable'
  /** The caller gave up. */
  | 'cancelled'
  /** The node did not tell the path of a track. */
  | 'path_failed';

export class OrigoError extends Error {
  override readonly name = 'OrigoError';
  readonly code: OrigoErrorCode;
  /** A sentence that can be shown to a person. */
  readonly reason: string;
  /** The HTTP status that led here, where there was one. */
  readonly status: number | undefined;

  constructor(code: OrigoErrorCode, reason: string, details: { cause?: unknown; status?: number } = {}) {
    super(`${code}: ${reason}`, { cause: details.cause });
    this.code = code;
    this.reason = reason;
    this.status = details.status;
  }
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  if (thrown instanceof OrigoError) return thrown.reason;
  if (thrown instanceof Error && thrown.message !== '') return thrown.message;
  return String(thrown);
}
