// Whether to try again, and when.

import { CloseError, RefusedError, VersionError, WebWireError } from './errors.js';

const MAX_RETRY_AFTER = 600_000; // what a server may ask for
const GROWTH = 3; // of the pause between attempts

// backoff is exponential, with full jitter, so that many clients that lost their
// server do not come back at once. A server that says when to come back sets the
// pace, the jitter is ours.
export function backoff({ minBackoff, maxBackoff }, retries, { retryAfter = 0 }) {
  let limit = Math.min(minBackoff, maxBackoff);
  for (let left = retries; left > 0 && limit * GROWTH <= maxBackoff; left--) limit *= GROWTH;
  const asked = Math.min(retryAfter, MAX_RETRY_AFTER);
  if (asked) limit = Math.min(limit, Math.max(asked, minBackoff));
  return asked + Math.random() * limit;
}

// permanent reports whether it makes no sense to try again: a server that speaks
// something else or sends the client away, a URL that cannot be, or that browsers
// refuse. before is why the attempt before failed.
export function permanent(reason, before) {
  const { code, status } = reason;
  if (reason instanceof CloseError) return /^[34][5-9]/.test(code);
  if (reason instanceof RefusedError) return /407|410|505/.test(status) || (status === 401 && before?.status === status);
  return reason instanceof VersionError || !(reason instanceof WebWireError);
}
