// One bounded HTTP request. Everything this package asks of a node goes through here.
import { messageOf, OrigoError, type OrigoErrorCode } from './errors.js';

export interface RequestOptions {
  /** Replaces the global `fetch`, for tests and for environments with their own. */
  fetch?: typeof fetch;
  /** Gives up early when aborted. */
  signal?: AbortSignal;
  timeoutMs: number;
}

/** `fetch` with a deadline that holds for the answer's body as well, as long as `use` reads it. */
export async function request<T>(
  url: string,
  init: RequestInit,
  options: RequestOptions,
  use: (response: Response) => Promise<T>,
): Promise<T> {
  options.signal?.throwIfAborted();
  const controller = new AbortController();
  const giveUp = () => controller.abort(options.signal?.reason);
  options.signal?.addEventListener('abort', giveUp, { once: true });
  const timer = setTimeout(() => {
    controller.abort(new DOMException(`no answer within ${options.timeoutMs} ms`, 'TimeoutError'));
  }, options.timeoutMs);
  try {
    const ask = options.fetch ?? fetch;
    return await use(await ask(url, { cache: 'no-store', ...init, signal: controller.signal }));
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', giveUp);
  }
}

/** GETs JSON; every failure becomes an `OrigoError` with the given code. */
export async function getJson(
  url: string,
  headers: Record<string, string>,
  code: OrigoErrorCode,
  options: RequestOptions,
): Promise<unknown> {
  try {
    return await request(url, { headers }, options, async (response) => {
      if (!response.ok) throw refused(url, response, code, await response.text());
      return (await response.json()) as unknown;
    });
  } catch (thrown) {
    if (thrown instanceof OrigoError) throw thrown;
    if (options.signal?.aborted) throw new OrigoError('cancelled', 'The caller gave up.', { cause: thrown });
    throw new OrigoError(code, `${new URL(url).host} did not answer: ${messageOf(thrown)}`, { cause: thrown });
  }
}

function refused(url: string, response: Response, code: OrigoErrorCode, body: string): OrigoError {
  const said = body.trim().slice(0, 200);
  const denied = response.status === 401 || response.status === 403;
  return new OrigoError(
    denied ? 'not_allowed' : code,
    `${new URL(url).host} answered ${response.status}${said === '' ? '' : `: ${said}`}`,
    { status: response.status },
  );
}
