// The requests of the server, and the handlers that execute them (section 11.5 of
// PROTOCOL.md).

import { later } from './call.js';
import { ERROR_REPLY, FAILURE, REPLY, isOwn } from './codec.js';
import { TimeoutError } from './errors.js';
import { Payload } from './payload.js';

export const REQUESTS = 16; // at once

const INTERNAL = 2; // the codes of failures
const DEADLINE = 7;
const TOO_MANY = 8;
const UNSUPPORTED = 9;
const NO_HANDLER = 12;
const NO = 0; // whether a request was executed
const YES = 1;
const MAYBE = 2;

export const CANCELLED = 6;

// serve executes a request, beside others. running has the ids of the requests, by how to abort
// their handlers: an id that is used again takes another place. The place of one is free when the
// handler has returned, also if the request is cancelled. say sends an answer; there is always
// one. failed is called with what the handler threw if the server is not told.
export async function serve(running, say, { id, name, payload, meta, trace, deadline, critical }, handler, failed) {
  const answer = (type, message) => say(type, { id, ...message });
  const fail = (code, executed) => answer(FAILURE, { payload: new Payload([code, executed]) });
  if (critical || !handler || running.size >= REQUESTS) {
    fail((critical && UNSUPPORTED) || (handler ? TOO_MANY : NO_HANDLER), NO);
    return;
  }
  const controller = new AbortController();
  const { signal } = controller;
  let code = INTERNAL;
  const abort = (reason, why) => {
    if (!signal.aborted) code = why;
    controller.abort(reason);
  };
  running.set(abort, id);
  const timer = later(deadline ?? Infinity, () => abort(new TimeoutError(deadline), DEADLINE));
  try {
    try {
      answer(REPLY, { payload: Payload.from(await handler(payload, { name, meta, trace, signal })) });
    } catch (error) {
      if (!isOwn(error)) throw error;
      answer(ERROR_REPLY, { name: error.code, payload: Payload.from(error.message) });
    }
  } catch (error) {
    fail(code, signal.aborted ? MAYBE : YES);
    if (!signal.aborted) failed(error);
  }
  clearTimeout(timer);
  running.delete(abort);
}
