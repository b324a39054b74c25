// The messages of WebWire 1.2, 2.0 and 3.0, byte by byte: those that a client sends,
// and those that it gets. The numbers of sections are those of PROTOCOL.md.

import {
  ErrorReply, FailureError, InternalError, MalformedError, ReplyLostError, SessionFullError, SessionNotFoundError,
  SessionsDisabledError, ShutdownError, TooLongError,
} from './errors.js';
import { ENCODINGS, Payload } from './payload.js';

export const ERROR_REPLY = 0;
export const ACK = 8;
export const CANCEL = 9;
export const CREDIT = 10;
export const DRAIN = 11;
export const GAP = 12;
export const FAILURE = 13;
export const SESSION_CREATED = 21;
export const SESSION_CLOSED = 22;
export const ACCEPT_CONF = 23;
export const HELLO = 24;
export const WELCOME = 25;
export const CLOSE_SESSION = 31;
export const RESTORE_SESSION = 32;
export const HEARTBEAT = 33;
export const SUBSCRIBE = 34;
export const UNSUBSCRIBE = 35;
const PRESENCE = 72;
// Each of these is three types, one per encoding.
export const SIGNAL = 63;
export const ITEM = 66;
const PUBLICATION = 69;
export const REQUEST = 127;
export const REPLY = 191;

// The codes of failures, which up to 2.0 are types of replies that each stand for one reason.
const REASONS = [, ShutdownError, InternalError, SessionNotFoundError, SessionFullError, SessionsDisabledError];
const REPLY_LOST = 11;
const NO_HANDLER = 12;
const EXECUTED = ['no', 'yes', 'maybe'];

const LARGEST_HEAD = 8192;
const DEADLINE = 1; // the fields of heads (11.3)
const TRACE = 2;
const TRACE_STATE = 3;
const STREAM = 5;
const CREDENTIALS = 6;
const CLIENT = 7;
const METADATA = 64;
const CRITICAL = 128;
const SIZES = { [DEADLINE]: 4, [TRACE]: 25, [STREAM]: 0 };

const received = new WeakSet(); // what the other end answered

// isOwn reports whether an error is the answer of a handler: no other error crosses the wire,
// not even what the handler got as an answer itself.
export const isOwn = (error) => error instanceof ErrorReply && !received.has(error);

// little returns a number below 2^53 as bytes, little endian. What they are put into makes
// each element a byte: truncated, modulo 256.
export const little = (n, size) => Array.from({ length: size }, (_, i) => n / 256 ** i);

// duration returns the value of a deadline: 49 days at most, which is all that fits.
export const duration = (ms) => little(Math.min(Math.ceil(ms), 2 ** 32 - 1), 4);

export const utf8 = (text) => Payload.from(text).bytes;

// number reads such bytes. It throws a RangeError if they are no such number.
export function number(bytes) {
  const n = bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
  need(Number.isSafeInteger(n));
  return n;
}

export function need(ok) {
  if (!ok) throw new RangeError();
}

// head returns the bytes of a head, its length first. meta is a list of keys and values.
function head({ deadline, stream, credentials, trace = {}, meta = [] } = {}) {
  const fields = [];
  const put = (tag, value) => fields.push(tag, ...little(value.length, 2), ...value);
  if (deadline < Infinity) put(DEADLINE, duration(deadline));
  const [, ...ids] = /^..-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})/.exec(trace.traceparent) ?? [];
  if (ids.length) {
    put(TRACE, ids.join('').match(/../g).map((digits) => parseInt(digits, 16)));
    if (trace.tracestate) put(TRACE_STATE, utf8(trace.tracestate));
  }
  if (stream) put(STREAM, []);
  if (credentials?.length) put(CREDENTIALS, credentials);
  for (const [key, value] of meta) put(METADATA, utf8(`${key}\0${value}`));
  if (fields.length > LARGEST_HEAD) throw new MalformedError(`metadata are up to ${LARGEST_HEAD} bytes`);
  return [...little(fields.length, 2), ...fields];
}

// compose returns the bytes of a message. Names go with requests, signals and error replies
// only, the fields of a head with 3.0. An id is a number, or that of a message of the server.
// limit is the longest message that the server takes. It throws a MalformedError for what
// the version cannot express.
export function compose(version, type, { id, head: fields, name, payload = Payload.from() } = {}, limit = Infinity) {
  const { bytes, encoding } = payload;
  const modern = version === '3.0';
  const utf16 = encoding === 'utf16';
  const start = [type];
  if (id !== undefined) start.push(...(id.split?.(',') ?? little(id, 8)));
  if (modern && [HELLO, SIGNAL, REQUEST, REPLY].includes(type)) start.push(...head(fields));
  let refused = utf16 && bytes.length % 2 && 'odd';
  if (type === ERROR_REPLY && !name?.length) throw new MalformedError('an error has a code');
  if (name !== undefined) {
    if (!/^[ -~]{0,255}$/.test(name)) throw new MalformedError('a name is up to 255 printable ASCII characters');
    // From 2.0 on a name is enough, but for signals in UTF-16 of 2.0.
    if (!bytes.length && (!name || version === '1.2' || (type === SIGNAL && utf16 && !modern))) refused = 'empty';
    start.push(name.length, ...utf8(name));
  }
  if (refused) throw new MalformedError(`${version} takes no ${refused} payload here`);
  if (type >= SIGNAL) {
    start[0] += ENCODINGS.indexOf(encoding);
    if (utf16 && start.length % 2) start.push(0);
  }
  const size = start.length + bytes.length;
  if (size > limit) throw new TooLongError(size, limit);

  const message = new Uint8Array(size);
  message.set(start);
  message.set(bytes, start.length);
  return message;
}

// counted reports whether 3.0 counts messages of a type (11.10).
export const counted = (type) => !/^(8|9|1[01]|2[35])$/.test(type);

// parse takes a message of the server apart. It returns undefined for types that a
// client ignores. A malformed message has its type, its id if that could be read, and a
// MalformedError. Payloads are views of the message.
export function parse(version, message) {
  const [type] = message;
  const { length } = message;
  const old = version === '1.2';
  const modern = version === '3.0';
  const base = [REPLY, SIGNAL, ...(modern ? [ITEM, PUBLICATION, REQUEST] : [])].find((each) => ENCODINGS[type - each]);
  const m = { type: base ?? type };
  let at = 1;
  const take = (size) => {
    need(length >= at + size);
    at += size;
    return message.subarray(at - size, at);
  };
  const next = (size) => number(take(size));
  const name = () => String.fromCharCode(...take(next(1)));
  const rest = (encoding = 'utf8') => {
    if (encoding === 'utf16') {
      take(at % 2);
      need(length % 2 === 0);
    }
    return new Payload(message.subarray(at), encoding);
  };
  try {
    need(length);
    if (base) {
      const encoding = ENCODINGS[type - base];
      if (base === REQUEST) m.id = String(take(8)); // the server's ids are not ours
      else if (base === PUBLICATION) Object.assign(m, { ref: next(4), offset: next(8) });
      else if (base !== SIGNAL) m.id = next(8);
      if (modern && base !== ITEM) readHead();
      if ([SIGNAL, PUBLICATION, REQUEST].includes(base)) m.name = name();
      m.payload = rest(encoding);
      need(m.name === undefined || m.payload.bytes.length || (!old && m.name && (modern || encoding !== 'utf16')));
    } else if (type < (modern ? 1 : REASONS.length) || (modern && type === FAILURE)) {
      m.type = REPLY;
      m.id = next(8);
      m.error = reason();
      received.add(m.error);
    } else if (type === SESSION_CREATED) {
      m.payload = rest();
      need(length > 1);
    } else if (type === SESSION_CLOSED) {
      need(length === 1);
    } else if (type === ACCEPT_CONF) {
      Object.assign(m, { major: next(1), minor: next(1), readTimeout: next(4), longest: next(4) });
      if (modern) {
        take(4); // the credit of streamed replies, which the client does not send
        m.requests = next(2);
        need(!m.longest || m.longest >= 1024);
      }
      m.subProtocol = rest().text();
    } else if (!modern) {
      return undefined;
    } else if (type === CANCEL) {
      m.id = String(take(8));
      need(length === 10);
    } else if (type === WELCOME) {
      m.outcome = next(1);
      m.proof = take(32);
      m.lasts = next(4);
      take(4); // how many bytes the server keeps
      Object.assign(m, { received: next(8), from: next(8), uncounted: next(2) });
      need(length === at && /[0-57]/.test(m.outcome));
    } else if (type === ACK) {
      m.received = next(8);
      need(length === at);
    } else if (type === GAP) {
      Object.assign(m, { ref: next(4), lost: next(8), epoch: next(8), offset: next(8) });
      need(length === at);
    } else if (type === DRAIN) {
      take(1); // the reason
      Object.assign(m, { spread: next(4), grace: next(4) });
    } else if (type === PRESENCE) {
      Object.assign(m, { ref: next(4), op: next(1), payload: rest() });
      need(m.op < 5);
    } else {
      need(type === CREDIT); // of items, which the client does not send
    }
  } catch {
    m.error = new MalformedError(`malformed message of type ${type}`);
  }
  return m;

  // readHead reads those fields of a head that a client uses. Of a field that is there more
  // than once the first counts.
  function readHead() {
    const end = next(2) + at;
    need(end <= Math.min(length, at + LARGEST_HEAD));
    m.meta = [];
    m.trace = {};
    while (at < end) {
      const tag = next(1);
      const field = take(next(2));
      need(at <= end && (SIZES[tag] ?? field.length) === field.length);
      if (tag === CLIENT || (tag >= METADATA && tag < CRITICAL)) {
        const [, ...pair] = /^([^\0]+)\0(.*)$/s.exec(new Payload(field, 'utf8').text()) ?? [];
        need(pair.length);
        if (tag !== CLIENT) m.meta.push(pair);
      }
      if (tag === DEADLINE) m.deadline ??= number(field);
      if (tag === TRACE) {
        const digits = Array.from(field, (byte) => byte.toString(16).padStart(2, 0)).join('');
        const [, ...ids] = /^(?!0{32})(.{32})(?!0{16})(.{16})(..)/.exec(digits) ?? [];
        if (ids.length) m.trace.traceparent ??= `00-${ids.join('-')}`;
      }
      if (tag === TRACE_STATE) m.trace.tracestate ??= new Payload(field, 'utf8').text();
      if (tag >= CRITICAL) m.critical = true;
    }
  }

  // reason reads why there is no reply. An error reply is JSON in 1.2 (3.3), and binary later (4.1).
  function reason() {
    if (type) {
      need(!old || length === at);
      const code = modern ? next(1) : type;
      need(code);
      const executed = modern && EXECUTED[next(1)];
      need(executed !== undefined);
      if (REASONS[code]) return new REASONS[code]();
      const text = rest().text();
      if (code === REPLY_LOST) return new ReplyLostError();
      return code === NO_HANDLER ? new ErrorReply('NOT_FOUND', text) : new FailureError(code, executed, text);
    }
    if (old) {
      const error = rest().json();
      need(typeof error === 'object');
      return new ErrorReply(String(error.c ?? ''), String(error.m ?? ''));
    }
    const code = name();
    need(code);
    return new ErrorReply(code, rest().text());
  }
}
