// Whether to try to connect again, and when.

import { MAX_DELAY, later, now } from './call.js';
import { CloseError, RefusedError, VersionError, WebWireError } from './errors.js';

export const GOING_AWAY = 1001; // the status of a server that shuts down
const MAX_RETRY_AFTER = 600_000; // what a server may ask for
const GROWTH = 4; // of the pause between attempts

// backoff returns a pause that is random, so that many clients that lost their server do
// not come back at once. Once they are spread over maxBackoff, pauses of nearly that length
// keep them so. A server that says when to come back sets the pace, the jitter is ours.
export function backoff({ minBackoff, maxBackoff }, retries, { retryAfter = 0 }) {
  let least = 0;
  let limit = minBackoff * GROWTH ** Math.min(retries, 99);
  if (limit > maxBackoff) {
    limit = maxBackoff;
    least = retries && limit * 0.75;
  }
  if (retryAfter) {
    least = Math.min(retryAfter, MAX_RETRY_AFTER);
    limit = least + Math.min(limit, Math.max(least, minBackoff));
  }
  return least + Math.random() * (limit - least);
}

// permanent reports whether it makes no sense to try again: a server that speaks
// something else or sends the client away, a URL that cannot be, or that browsers
// refuse. before is why the attempt before failed.
export function permanent(reason, before) {
  const { code, status } = reason;
  if (reason instanceof CloseError) return /^[34][5-9]/.test(code);
  if (reason instanceof RefusedError) return /^3|40[27]|41[013457]|4[35]1|505/.test(status) || (status === 401 && before?.status === status);
  return reason instanceof VersionError || !(reason instanceof WebWireError);
}

// Pauses are those between attempts to connect.
export class Pauses {
  #options; // of the client
  #retries = 0; // attempts since a connection proved stable
  #notBefore = 0; // when the next attempt may begin

  constructor(options) {
    this.#options = options;
  }

  // lasted is told how long a connection lasted: the pauses start anew after one that proved
  // stable. A server that goes away in good order is none that fails.
  lasted(since, { code }) {
    const { minBackoff, maxBackoff } = this.#options;
    if (now() - since >= (code === GOING_AWAY ? minBackoff : maxBackoff)) this.#retries = 0;
  }

  // failed is told why there is no connection, and whether a server that leaves has spread its clients: then
  // there is no pause, unless it does so too often.
  failed(reason, spread) {
    const pause = spread && reason.code === GOING_AWAY && !this.#retries ? 0 : backoff(this.#options, this.#retries, reason);
    this.#notBefore = now() + pause;
    this.#retries++;
  }

  skip() {
    this.#notBefore = 0;
  }

  // pause waits until the next attempt may begin, or run.skipPause is called.
  async pause(run) {
    const ms = this.#notBefore - now();
    if (ms <= 0) return;
    let timer;
    await new Promise((over) => {
      timer = later(Math.min(ms, MAX_DELAY), over);
      run.skipPause = over;
    });
    clearTimeout(timer);
    run.skipPause = undefined;
  }
}
