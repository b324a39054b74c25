// The messages of WebWire 3.0, byte by byte, in both directions (section 11 of
// PROTOCOL.md). The client does not speak 3.0 yet: nothing imports this but tests.

import { MalformedError, TooLongError } from './errors.js';
import { ENCODINGS, Payload } from './payload.js';

const LARGEST_HEAD = 8192;
const LEAST_LONGEST = 1024; // that an end may say of the messages that it takes
const CRITICAL = 128; // this and higher tags of heads are refused if they are unknown

// A reader takes a message apart. Each of its methods returns what comes next.
class Reader {
  #bytes;
  #view;
  #at = 0;

  constructor(bytes) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left() {
    return this.#bytes.length - this.#at;
  }

  take(size = this.left) {
    if (size > this.left) throw new MalformedError('the message ends too early');
    this.#at += size;
    return this.#bytes.subarray(this.#at - size, this.#at);
  }

  u8() {
    return this.take(1)[0];
  }

  u16() {
    this.take(2);
    return this.#view.getUint16(this.#at - 2, true);
  }

  u32() {
    this.take(4);
    return this.#view.getUint32(this.#at - 4, true);
  }

  // u64 is a BigInt: ids are opaque, so all of their bits count.
  u64() {
    this.take(8);
    return this.#view.getBigUint64(this.#at - 8, true);
  }

  number() {
    const n = Number(this.u64());
    need(Number.isSafeInteger(n), 'a number of 2^53 or more');
    return n;
  }

  text(size) {
    return utf8(this.take(size));
  }

  // pad skips the byte that keeps UTF-16 at an even place.
  pad(encoding) {
    if (encoding === 'utf16') this.take(this.#at % 2);
  }
}

// A Writer puts a message together.
class Writer {
  #parts = [];
  length = 0;

  put(bytes) {
    this.#parts.push(bytes);
    this.length += bytes.length;
  }

  // u64 takes a BigInt.
  u64(n) {
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, n, true);
    this.put(new Uint8Array(view.buffer));
  }

  number(n, size = 8) {
    need(Number.isSafeInteger(n) && n >= 0 && n < 256 ** size, `no number of ${size} bytes: ${n}`);
    this.put(Uint8Array.from({ length: size }, (_, i) => n / 256 ** i)); // each is truncated, modulo 256
  }

  u8(n) {
    this.number(n, 1);
  }

  u16(n) {
    this.number(n, 2);
  }

  u32(n) {
    this.number(n, 4);
  }

  text(text) {
    this.put(Payload.from(text).bytes);
  }

  pad(encoding) {
    if (encoding === 'utf16' && this.length % 2) this.u8(0);
  }

  bytes() {
    const all = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}

const utf8 = (bytes) => new Payload(bytes, 'utf8').text();

function need(ok, what) {
  if (!ok) throw new MalformedError(what);
}

// Parts of messages. Each reads its fields into a message, and writes them from one.

const simple = (field, kind) => ({
  read(from, m) {
    m[field] = from[kind]();
  },
  write(to, m) {
    to[kind](m[field]);
  },
});

const id = simple('id', 'u64');
const ref = simple('ref', 'u32');
const text = simple('text', 'text');

// sized is a run of bytes of a fixed size.
const sized = (field, size) => ({
  read(from, m) {
    m[field] = from.take(size);
  },
  write(to, m) {
    need(m[field].length === size, `${field} is not of ${size} bytes`);
    to.put(m[field]);
  },
});

// checked is a part whose value must pass.
const checked = (part, field, ok) => ({
  read(from, m) {
    part.read(from, m);
    need(ok(m[field], m), `no such ${field}: ${m[field]}`);
  },
  write(to, m) {
    need(ok(m[field], m), `no such ${field}: ${m[field]}`);
    part.write(to, m);
  },
});

const u8 = (field) => simple(field, 'u8');
const u16 = (field) => simple(field, 'u16');
const u32 = (field) => simple(field, 'u32');
const number = (field) => simple(field, 'number');
const upTo = (field, most) => checked(u8(field), field, (value) => value <= most);
const nonempty = (field) => checked(simple(field, 'text'), field, (value) => value);
const longest = checked(u32('longest'), 'longest', (value) => !value || value >= LEAST_LONGEST);

// A name is preceded by its length.
const name = {
  read(from, m) {
    m.name = String.fromCharCode(...from.take(from.u8()));
  },
  write(to, m) {
    need(/^[ -~]{0,255}$/.test(m.name), 'a name is up to 255 printable ASCII characters');
    to.u8(m.name.length);
    to.text(m.name);
  },
};

// The payload comes last, in the encoding that the type says.
const payload = {
  read(from, m, encoding) {
    from.pad(encoding);
    const bytes = from.take();
    need(encoding !== 'utf16' || bytes.length % 2 === 0, 'UTF-16 of an odd length');
    need(bytes.length || m.name !== '', 'neither a name nor a payload');
    m.payload = new Payload(bytes, encoding);
  },
  write(to, { payload: { bytes, encoding }, name: called }) {
    need(encoding !== 'utf16' || bytes.length % 2 === 0, 'UTF-16 of an odd length');
    need(bytes.length || called !== '', 'neither a name nor a payload');
    to.pad(encoding);
    to.put(bytes);
  },
};

// head has the fields that are set, see readHead.
const head = {
  read(from, m) {
    m.head = readHead(from.take(from.u16()));
  },
  write(to, m) {
    const bytes = writeHead(m.head);
    to.u16(bytes.length);
    to.put(bytes);
  },
};

// resume is what hello has besides, if its flag is set.
const RESUME = [sized('conn', 16), sized('secret', 16), u32('attempt'), number('received'), number('firstKept')];
const resume = {
  read(from, m) {
    m.resume = m.flags ? readParts(RESUME, from, {}) : null;
  },
  write(to, m) {
    if (m.resume) RESUME.forEach((part) => part.write(to, m.resume));
  },
};

// flags stand for what else there is in hello or subscribe: writers need not set them.
const helloFlags = {
  read: upTo('flags', 1).read,
  write: (to, m) => to.u8(m.resume ? 1 : 0),
};
const NOWHERE = { epoch: 0, offset: 0 };
const subscription = {
  read(from, m) {
    const flags = from.u8();
    need(flags < 4, 'unknown flags');
    const epoch = from.number();
    const offset = from.number();
    need(flags & 1 || (!epoch && !offset), 'a position without its flag');
    m.since = flags & 1 ? { epoch, offset } : null;
    m.presence = Boolean(flags & 2);
  },
  write(to, { since, presence }) {
    to.u8((since ? 1 : 0) + (presence ? 2 : 0));
    to.number((since ?? NOWHERE).epoch);
    to.number((since ?? NOWHERE).offset);
  },
};

// The messages by their first type byte, and the parts of which they consist. Those with
// a payload have three types, one per encoding.
const LAYOUTS = {
  errorReply: [0, id, checked(name, 'name', (value) => value), text],
  ack: [8, number('received')],
  cancel: [9, id, u8('reason')],
  credit: [10, id, number('limit')],
  drain: [11, u8('reason'), u32('spread'), u32('grace'), simple('endpoint', 'text')],
  gap: [12, ref, number('lost'), number('epoch'), number('offset')],
  failure: [13, id, checked(u8('code'), 'code', (value) => value), upTo('executed', 2), text],
  sessionCreated: [21, nonempty('session')],
  sessionClosed: [22],
  conf: [23, u8('major'), u8('minor'), u32('readTimeout'), longest, u32('credit'), u16('requests'), simple('subProtocol', 'text')],
  hello: [24, head, helloFlags, longest, u32('credit'), u16('requests'), resume],
  welcome: [
    25, checked(u8('outcome'), 'outcome', (value) => value <= 7 && value !== 6), sized('conn', 16), sized('secret', 16),
    u32('window'), u32('ring'), number('received'), number('from'), u16('late'),
  ],
  closeSession: [31, id],
  restoreSession: [32, id, nonempty('key')],
  subscribe: [34, id, checked(ref, 'ref', (value) => value), subscription, nonempty('topic')],
  unsubscribe: [35, ref],
  signal: [63, head, name, payload],
  item: [66, id, payload],
  publication: [69, ref, number('offset'), head, name, payload],
  presence: [72, ref, upTo('op', 4), simple('data', 'text')],
  request: [127, id, head, name, payload],
  reply: [191, id, head, payload],
};

const BY_TYPE = new Map(Object.entries(LAYOUTS).flatMap(([kind, [type, ...parts]]) => (
  parts.includes(payload)
    ? ENCODINGS.map((encoding, i) => [type + i, { kind, parts, encoding }])
    : [[type, { kind, parts }]]
)));

function readParts(parts, from, m, encoding) {
  for (const part of parts) part.read(from, m, encoding);
  return m;
}

// parse takes a message apart. It throws a MalformedError, after which the socket is to be
// closed, for what is not a message of 3.0. Payloads and other bytes are views of the
// message; ids are BigInts. It does not look at who may send the message.
export function parse(message) {
  const from = new Reader(message);
  const type = from.u8();
  const layout = BY_TYPE.get(type);
  need(layout, `3.0 has no messages of type ${type}`);
  const { kind, parts, encoding } = layout;
  const m = readParts(parts, from, { kind }, encoding);
  need(!from.left, 'bytes after the end');
  return m;
}

// compose returns the bytes of a message with the fields that parse returns. limit is the
// longest that the other end takes. It throws a MalformedError for what 3.0 cannot express.
export function compose(m, limit = Infinity) {
  const [type, ...parts] = LAYOUTS[m.kind];
  const to = new Writer();
  to.u8(type + (parts.includes(payload) ? ENCODINGS.indexOf(m.payload.encoding) : 0));
  for (const part of parts) part.write(to, m);
  if (to.length > limit) throw new TooLongError(to.length, limit);
  return to.bytes();
}

// Heads.

const NUL = '\0';
const METADATA = 64;

const whole = (value) => value;
const string = (value) => utf8(value);
const encoded = (value) => Payload.from(value).bytes;

// pair reads what consists of two texts with a NUL between them, the first not empty.
function pair(value) {
  const end = value.indexOf(0);
  need(end > 0, 'a head field without a NUL, or with nothing before it');
  return [utf8(value.subarray(0, end)), utf8(value.subarray(end + 1))];
}

function joined([first, second]) {
  need(first && !first.includes(NUL), 'a head field whose first text is empty or has a NUL');
  return encoded(first + NUL + second);
}

const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

// The trace context is the header traceparent of W3C, of version 00. It is undefined if an
// id is zero.
function traceparent(value) {
  need(value.length === 25, 'a trace context that is not of 25 bytes');
  const ids = [hexOf(value.subarray(0, 16)), hexOf(value.subarray(16, 24))];
  return ids.some((each) => /^0+$/.test(each)) ? undefined : ['00', ...ids, hexOf(value.subarray(24))].join('-');
}

function traceBytes(header) {
  need(/^00-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/.test(header), 'no traceparent of version 00');
  return Uint8Array.from(header.slice(3).replaceAll('-', '').match(/../g), (byte) => parseInt(byte, 16));
}

// The fields that have a meaning, by their tags: their names, how to read them, and how
// to write them.
const FIELDS = new Map([
  [1, ['deadline', (value) => {
    need(value.length === 4, 'a deadline that is not of 4 bytes');
    return new Reader(value).u32();
  }, (ms) => {
    const to = new Writer();
    to.u32(ms);
    return to.bytes();
  }]],
  [2, ['traceparent', traceparent, traceBytes]],
  [3, ['tracestate', string, encoded]],
  [4, ['baggage', string, encoded]],
  [5, ['stream', (value) => {
    need(!value.length, 'a field stream with a value');
    return true;
  }, () => new Uint8Array()]],
  [6, ['credentials', whole, whole]],
  [7, ['client', pair, joined]],
]);

// readHead returns an object with the fields of FIELDS that there are; meta, the metadata
// of the application as a list of keys and values; and critical, whether there is a tag
// that must be understood and is not. Of a field that is there more than once the first
// counts.
function readHead(bytes) {
  need(bytes.length <= LARGEST_HEAD, 'a head that is too long');
  const from = new Reader(bytes);
  const fields = { meta: [], critical: false };
  while (from.left) {
    const tag = from.u8();
    const value = from.take(from.u16());
    const [field, read] = FIELDS.get(tag) ?? [];
    if (field) {
      const got = read(value);
      if (!Object.hasOwn(fields, field)) fields[field] = got;
    } else if (tag >= CRITICAL) {
      fields.critical = true;
    } else if (tag >= METADATA) {
      fields.meta.push(pair(value));
    }
  }
  return fields;
}

function writeHead(fields = {}) {
  const to = new Writer();
  const put = (tag, value) => {
    need(value.length <= LARGEST_HEAD, 'a head that is too long');
    to.u8(tag);
    to.u16(value.length);
    to.put(value);
  };
  for (const [tag, [field, , write]] of FIELDS) {
    if (fields[field] !== undefined && fields[field] !== false) put(tag, write(fields[field]));
  }
  for (const entry of fields.meta ?? []) put(METADATA, joined(entry));
  need(to.length <= LARGEST_HEAD, 'a head that is too long');
  return to.bytes();
}
