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

// The replies of types 1 to 5, which each stand for one reason. Type 0 is the error reply.
const REASONS = [, ShutdownError, InternalError, SessionNotFoundError, SessionFullError, SessionsDisabledError];

// compose returns the bytes of a message. Names go with requests and signals only. limit
// is the longest that the server takes. It throws a MalformedError for what the version
// cannot express.
export function compose(version, type, { id, name, payload = Payload.from() } = {}, limit = Infinity) {
  const { bytes, encoding } = payload;
  const head = [type];
  // Ids are ours to choose: counters below 2^53, as 64 bit integers. Each element is made
  // a byte below: truncated, modulo 256.
  for (let i = 0; i < 8 && id !== undefined; i++) head.push(id / 256 ** i);
  if (name !== undefined) {
    if (!/^[ -~]{0,255}$/.test(name)) throw new MalformedError('a name is up to 255 printable ASCII characters');
    const odd = encoding === 'utf16' && bytes.length % 2;
    // From 2.0 on a name is enough, but for signals in UTF-16.
    const empty = !bytes.length && (!name || version === '1.2' || (type === SIGNAL && encoding === 'utf16'));
    if (odd || empty) throw new MalformedError(`${version} takes no ${odd ? 'odd' : 'empty'} payload here`);
    head[0] += ENCODINGS.indexOf(encoding);
    head.push(name.length, ...Payload.from(name).bytes);
    if (encoding === 'utf16' && head.length % 2) head.push(0);
  }
  const size = head.length + bytes.length;
  if (size > limit) throw new TooLongError(size, limit);

  const message = new Uint8Array(size);
  message.set(head);
  message.set(bytes, head.length);
  return message;
}

// parse takes a message of the server apart. It returns undefined for types that a
// client ignores. A malformed message has its type, its id if that could be read, and a
// MalformedError. Payloads are views of the message.
export function parse(version, message) {
  const [type] = message;
  const { length } = message;
  const old = version === '1.2';
  const reply = ENCODINGS[type - REPLY];
  const signal = ENCODINGS[type - SIGNAL];
  const m = { type };
  let at = 1;
  const need = (ok) => {
    if (!ok) throw new RangeError();
  };
  const take = (size) => {
    need(length >= at + size);
    at += size;
    return message.subarray(at - size, at);
  };
  const number = (size) => take(size).reduceRight((n, byte) => n * 256 + byte, 0); // little endian
  const name = () => String.fromCharCode(...take(number(1)));
  const rest = (encoding = 'utf8') => {
    if (encoding === 'utf16') {
      take(at % 2);
      need(length % 2 === 0);
    }
    return new Payload(message.subarray(at), encoding);
  };
  try {
    need(length);
    if (reply || type < REASONS.length) {
      m.type = REPLY;
      m.id = number(8);
      if (reply) m.payload = rest(reply);
      else m.error = reason();
    } else if (signal) {
      m.type = SIGNAL;
      m.name = name();
      m.payload = rest(signal);
      need(m.payload.bytes.length || (!old && m.name && signal !== 'utf16'));
    } else if (type === SESSION_CREATED) {
      m.payload = rest();
      need(length > 1);
    } else if (type === SESSION_CLOSED) {
      need(length === 1);
    } else if (type === ACCEPT_CONF) {
      Object.assign(m, { major: number(1), minor: number(1), readTimeout: number(4), longest: number(4), subProtocol: rest().text() });
    } else {
      return undefined;
    }
  } catch {
    m.error = new MalformedError(`malformed message of type ${type}`);
  }
  return m;

  // reason reads why there is no reply. An error reply is JSON in 1.2 (3.3), and binary later (4.1).
  function reason() {
    if (type) {
      need(!old || length === at);
      return new REASONS[type]();
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
