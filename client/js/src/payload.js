// What requests, replies and signals carry: bytes, and a label that says how
// they are encoded.

// The order is that of the message types (see codec.js).
export const ENCODINGS = ['binary', 'utf8', 'utf16'];

export const HEADER = 12; // bytes that a message may have besides name and payload

const BRAND = Symbol.for('webwire.Payload'); // there may be two copies of this package

const utf8 = new TextEncoder();

const tag = (value) => Object.prototype.toString.call(value).slice(8, -1);

export class Payload {
  constructor(bytes, encoding = 'binary') {
    if (!ENCODINGS.includes(encoding)) throw new TypeError(`webwire: no such encoding: ${encoding}`);
    this.bytes = bytes;
    this.encoding = encoding;
  }

  get [BRAND]() {
    return true;
  }

  static from(value) {
    if (value instanceof Payload) return value;
    if (value?.[BRAND]) return new Payload(value.bytes, value.encoding);
    if (typeof value === 'string') return new Payload(utf8.encode(value), 'utf8');
    if (ArrayBuffer.isView(value)) return new Payload(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    if (value === undefined || tag(value) === 'ArrayBuffer') return new Payload(new Uint8Array(value));
    const json = JSON.stringify(value, checked);
    if (json === undefined) throw new TypeError(`webwire: a ${typeof value} has no JSON form`);
    return new Payload(utf8.encode(json), 'utf8');
  }

  static utf16(text) {
    // An element is the lower eight bits of what it is made of.
    const bytes = Uint8Array.from({ length: text.length * 2 }, (_, i) => text.charCodeAt(i / 2) >> (i % 2) * 8);
    return new Payload(bytes, 'utf16');
  }

  text() {
    // A byte order mark is text like any other: it is the application's.
    return new TextDecoder(this.encoding === 'utf16' ? 'utf-16' : 'utf8', { ignoreBOM: true }).decode(this.bytes);
  }

  json() {
    return JSON.parse(this.text());
  }
}

// checked refuses, at any depth, objects that JSON would make an empty object of
// although they are none: what they hold would be lost without a word. So would the entries of
// a Map or Set that has properties as well.
function checked(_, value) {
  if (typeof value !== 'object' || !value) return value;
  const promise = typeof value.then === 'function';
  const has = Object.keys(value).length ? /^(?!(Map|Set)$)/ : /^(Object|Array|Number|String|Boolean)$/;
  if (!promise && has.test(tag(value))) return value;
  const advice = promise ? 'await it' : 'send what it holds: await it.arrayBuffer(), [...it], Object.fromEntries(it)';
  throw new TypeError(`webwire: a ${promise ? 'Promise' : tag(value)} has no JSON form, ${advice}`);
}

// composed returns the name, payload and head of a request or signal, and its size: an
// estimate, in bytes.
export function composed(name, payload, { meta = [], trace } = {}) {
  if (typeof name !== 'string') throw new TypeError('webwire: the name is not a string');
  const sent = Payload.from(payload);
  const head = { trace, meta: meta[Symbol.iterator] ? [...meta] : Object.entries(meta) };
  if (!head.meta.every(([key]) => /^[^\0]+$/.test(key))) throw new TypeError('webwire: a key of metadata is empty or has a NUL');
  return { name, payload: sent, head, size: HEADER + name.length + sent.bytes.length };
}
