// The messages of WebWire 1.2 and 2.0, byte by byte: those that a client sends,
// and those that it gets. The numbers of sections are those of PROTOCOL.md.

import {
  ErrorReply, InternalError, MalformedError, SessionFullError, SessionNotFoundError, SessionsDisabledError,
  ShutdownError, TooLongError,
} from './errors.js';
import { ENCODINGS, Payload } from './payload.js';

export const SESSION_CREATED = 21;
export const SESSION_CLOSED = 22;
export const ACCEPT_CONF = 23;
export const CLOSE_SESSION = 31;
export const RESTORE_SESSION = 32;
export const HEARTBEAT = 33;
// Each of these is three types, one per encoding.
export const SIGNAL = 63;
export const REQUEST = 127;
export const REPLY = 191;

const ERROR_REPLY = 0;
// The replies of types 1 to 5, which each stand for one reason.
const REASONS = [, ShutdownError, InternalError, SessionNotFoundError, SessionFullError, SessionsDisabledError];

const ID_END = 9; // type and id

const ascii = new TextEncoder();
const latin1 = new TextDecoder('latin1');

// compose returns the bytes of a message. limit is the longest that the server
// takes, zero if it did not say. It throws a MalformedError for what the version
// cannot express.
export function compose(version, type, { id = 0, name = '', payload = Payload.from() } = {}, limit = 0) {
  const { bytes, encoding } = payload;
  const named = type === REQUEST || type === SIGNAL;
  if (named) check(version, type, name, payload);
  const hasId = type !== SIGNAL && type !== HEARTBEAT;
  const nameStart = hasId ? ID_END : 1;
  let start = nameStart;
  if (named) {
    start += 1 + name.length;
    if (encoding === 'utf16') start += start % 2;
  }
  const size = start + bytes.length;
  if (limit && size > limit) throw new TooLongError(size, limit);

  const message = new Uint8Array(size);
  message[0] = named ? type + ENCODINGS.indexOf(encoding) : type;
  if (hasId) writeId(message, id);
  if (named) {
    message[nameStart] = name.length;
    ascii.encodeInto(name, message.subarray(nameStart + 1));
  }
  message.set(bytes, start);
  return message;
}

function check(version, type, name, { bytes, encoding }) {
  if (typeof name !== 'string' || !/^[ -~]{0,255}$/.test(name)) throw new MalformedError('a name has up to 255 characters, all printable ASCII');
  const odd = encoding === 'utf16' && bytes.length % 2;
  // From 2.0 on a name is enough, but for signals in UTF-16.
  const empty = !bytes.length && (!name || version === '1.2' || (type === SIGNAL && encoding === 'utf16'));
  if (odd || empty) throw new MalformedError(`${version} has no such message with ${odd ? 'an odd' : 'an empty'} payload`);
}

// Ids are ours to choose: counters below 2^53, as 64 bit integers.
function writeId(message, id) {
  const view = new DataView(message.buffer);
  view.setUint32(1, id % 2 ** 32, true);
  view.setUint32(5, id / 2 ** 32, true);
}

function readId(view) {
  return view.getUint32(1, true) + view.getUint32(5, true) * 2 ** 32;
}

// parse takes a message of the server apart. It returns undefined for types that a
// client ignores, and throws a MalformedError, with type and id as far as they could be read.
// Payloads are views of the message.
export function parse(version, message) {
  const type = message[0];
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const reply = type < REASONS.length || (type >= REPLY && type < REPLY + 3);
  let id;
  const need = (ok) => {
    if (!ok) throw Object.assign(new MalformedError(`malformed message of type ${type}`), { type, id });
  };
  const rest = (start, encoding) => new Payload(message.subarray(start), encoding);

  need(message.length);
  if (reply) {
    need(message.length >= ID_END);
    id = readId(view);
  }
  if (type === ERROR_REPLY) return { type: REPLY, id, error: parseError(version, message, need) };
  if (type < REASONS.length) {
    need(message.length === ID_END || version !== '1.2');
    return { type: REPLY, id, error: new REASONS[type]() };
  }
  if (reply) {
    const encoding = ENCODINGS[type - REPLY];
    const start = encoding === 'utf16' ? ID_END + 1 : ID_END;
    need(message.length >= start);
    need(encoding !== 'utf16' || message.length % 2 === 0);
    return { type: REPLY, id, payload: rest(start, encoding) };
  }
  if (type >= SIGNAL && type < SIGNAL + 3) return parseSignal(version, message, need, rest);
  switch (type) {
    case SESSION_CREATED:
      need(message.length > 1);
      return { type, payload: rest(1, 'utf8') };
    case SESSION_CLOSED:
      need(message.length === 1);
      return { type };
    case ACCEPT_CONF:
      if (version === '1.2') return undefined;
      need(message.length >= 11);
      return {
        type,
        major: message[1],
        minor: message[2],
        readTimeout: view.getUint32(3, true),
        limit: view.getUint32(7, true),
        subProtocol: rest(11, 'utf8').text(),
      };
  }
  return undefined;
}

function parseSignal(version, message, need, rest) {
  const encoding = ENCODINGS[message[0] - SIGNAL];
  let start = 2 + message[1];
  need(message.length > 1 && message.length >= start);
  const name = latin1.decode(message.subarray(2, start));
  if (encoding === 'utf16') {
    start += start % 2;
    need(message.length % 2 === 0);
  }
  const bare = version !== '1.2' && name && encoding !== 'utf16';
  need(message.length > start || bare);
  return { type: SIGNAL, name, payload: rest(start, encoding) };
}

// The error reply is JSON in 1.2 (3.3), and binary later (4.1).
function parseError(version, message, need) {
  if (version === '1.2') {
    need(message.length > ID_END);
    let error;
    try {
      error = new Payload(message.subarray(ID_END), 'utf8').json();
    } catch {
      // need tells
    }
    need(error && typeof error === 'object');
    return new ErrorReply(String(error.c ?? ''), String(error.m ?? ''));
  }
  const end = ID_END + 1 + message[ID_END];
  need(end > ID_END + 1 && message.length >= end);
  return new ErrorReply(
    latin1.decode(message.subarray(ID_END + 1, end)),
    new Payload(message.subarray(end), 'utf8').text(),
  );
}
