// The messages of 3.0 that the client reads and writes, against the golden vectors of
// package protocol.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compose, counted, parse } from '../src/codec.js';
import { ErrorReply, FailureError, MalformedError, Payload, TooLongError } from '../src/index.js';

const { valid, invalid } = JSON.parse(readFileSync(new URL('../../../protocol/testdata/3.0.json', import.meta.url)));

const unhex = (text = '') => new Uint8Array(Buffer.from(text, 'hex'));
const hex = (bytes) => Buffer.from(bytes).toString('hex');
const number = (text) => Number(Buffer.from(text, 'hex').readBigUInt64LE());
const opaque = (text) => String(unhex(text));
const read = (message) => parse('3.0', unhex(message));

// Credit is ignored, whatever is in it, because the client sends no items.
const IGNORED = [10];

function parent(trace, value) {
  const ids = value.match(/^(.{32})(.{16})(..)$/).slice(1);
  if (!ids.some((id) => /^0+$/.test(id) && id.length > 2)) trace.traceparent ??= `00-${ids.join('-')}`;
}

// headOf returns what is to be read of the fields of a head, and whether that is all there
// is, in the order in which the client writes it.
function headOf(fields = []) {
  const head = { meta: [], trace: {} };
  let whole = true;
  let before = 0;
  for (const { tag, value } of fields) {
    const bytes = Buffer.from(value, 'hex');
    const end = bytes.indexOf(0);
    if (tag === 1) head.deadline = bytes.readUInt32LE();
    else if (tag === 2) parent(head.trace, value);
    else if (tag === 3) head.trace.tracestate ??= bytes.toString();
    else if (tag >= 128) head.critical = true;
    else if (tag >= 64) head.meta.push([bytes.subarray(0, end).toString(), bytes.subarray(end + 1).toString()]);
    whole &&= [1, 2, 3, 5, 64].includes(tag) && tag >= before && (tag !== 3 || !!head.trace.traceparent);
    before = tag;
  }
  return { head, whole, stream: fields.some(({ tag }) => tag === 5) };
}

// each runs a check on vectors, and says which one failed.
function each(what, vectors, least, check) {
  test(`3.0: ${what} ${vectors.length} vectors`, () => {
    assert.ok(vectors.length > least);
    for (const vector of vectors) {
      try {
        check(vector);
      } catch (error) {
        error.message = `${vector.name}: ${error.message}`;
        throw error;
      }
    }
  });
}

const fromServer = valid.filter((vector) => vector.direction === 's2c');

each('parse', fromServer.filter((v) => !IGNORED.includes(v.type_byte)), 80, ({ type, fields: f, hex: message }) => {
  const m = read(message);
  const payload = new Payload(unhex(f.payload), f.encoding);
  const { head } = headOf(f.head);
  switch (type.replace(/-(binary|utf8|utf16)$/, '')) {
    case 'accept-conf':
      assert.deepEqual(m, {
        type: 23, major: f.major, minor: f.minor, readTimeout: f.read_timeout_ms, longest: f.message_buffer_size,
        requests: f.requests, subProtocol: Buffer.from(f.sub_protocol_hex ?? '', 'hex').toString(),
      });
      break;
    case 'welcome': {
      const c = f.content;
      assert.deepEqual(m, {
        type: 25, outcome: c.outcome, proof: unhex(c.conn + c.secret), lasts: c.window_ms, received: c.received, from: c.from, uncounted: c.late,
      });
      break;
    }
    case 'ack':
      assert.deepEqual(m, { type: 8, received: f.number });
      break;
    case 'gap':
      assert.deepEqual(m, { type: 12, ref: f.ref ?? 0, ...f.content });
      break;
    case 'drain':
      assert.deepEqual(m, { type: 11, spread: f.content.spread_ms, grace: f.content.grace_ms });
      break;
    case 'publication':
      assert.deepEqual(m, { type: 69, ref: f.ref, offset: f.number, ...head, name: f.name, payload });
      break;
    case 'presence':
      assert.deepEqual(m, { type: 72, ref: f.ref, op: f.content.op, payload: Payload.from(f.content.data) });
      break;
    case 'session-closed':
      assert.deepEqual(m, { type: unhex(message)[0] });
      break;
    case 'session-created':
      assert.deepEqual(m.payload.json(), f.session);
      break;
    case 'cancel':
      assert.deepEqual(m, { type: 9, id: opaque(f.id) });
      break;
    case 'error-reply':
      assert.deepEqual([m.type, m.id, m.error.code, m.error.message], [191, number(f.id), f.error_code, f.error_message]);
      assert.ok(m.error instanceof ErrorReply);
      break;
    case 'failure':
      assert.deepEqual([m.type, m.id], [191, number(f.id)]);
      if (f.content.code === 12) {
        assert.equal(m.error.code, 'NOT_FOUND');
      } else if (f.content.code > 5) {
        assert.ok(m.error instanceof FailureError);
        const executed = f.content.code === 11 ? 'yes' : ['no', 'yes', 'maybe'][f.content.executed]; // reply lost says so itself
        assert.deepEqual([m.error.code, m.error.executed], [f.content.code, executed]);
      } else {
        assert.match(m.error.name, /Internal|Shutdown|Session/);
      }
      break;
    case 'signal':
      assert.deepEqual(m, { type: 63, ...head, name: f.name, payload });
      break;
    case 'item':
      assert.deepEqual(m, { type: 66, id: number(f.id), payload });
      break;
    case 'request':
      assert.deepEqual(m, { type: 127, id: opaque(f.id), ...head, name: f.name, payload });
      break;
    case 'reply':
      assert.deepEqual(m, { type: 191, id: number(f.id), ...head, payload });
      break;
    default:
      throw new Error(`no such type: ${type}`);
  }
});

each('ignore', fromServer.filter((v) => IGNORED.includes(v.type_byte)), 1, ({ type_byte: type, hex: message }) => {
  assert.deepEqual(read(message), { type });
});

// BASES are the first of the three types of messages with a payload.
const BASES = { signal: 63, item: 66, request: 127, reply: 191 };
const bytes = (...all) => new Payload(Uint8Array.from(all.flat()));
const little = (n, size) => Array.from({ length: size }, (_, i) => Math.trunc(n / 256 ** i) % 256);
const text = (value) => [...new TextEncoder().encode(value)];

const toServer = valid.filter((vector) => (
  vector.direction === 'c2s' && vector.name !== 'hello-resume' && headOf(vector.fields.head).whole
));

each('compose', toServer, 80, ({ type, fields: f, type_byte: byte, hex: message }) => {
  const kind = type.replace(/-(binary|utf8|utf16)$/, '');
  const c = f.content ?? {};
  const { head, stream } = headOf(f.head);
  // Ids that are not below 2^53 can only be those of the server.
  const id = f.id && (Number.isSafeInteger(number(f.id)) ? number(f.id) : opaque(f.id));
  const fields = {
    hello: () => ({ payload: bytes(0, little(c.message_size, 4), little(c.stream_credit, 4), little(c.requests, 2)) }),
    subscribe: () => ({
      id, payload: bytes(little(f.ref, 4), (c.since ? 1 : 0) + (c.presence ? 2 : 0), little(c.since?.epoch ?? 0, 8), little(c.since?.offset ?? 0, 8), text(c.topic)),
    }),
    unsubscribe: () => ({ payload: bytes(little(f.ref, 4)) }),
    ack: () => ({ id: f.number }),
    cancel: () => ({ id, payload: bytes(c.reason) }),
    credit: () => ({ id, payload: bytes(little(f.number, 8)) }),
    failure: () => ({ id, payload: bytes(c.code, c.executed, text(c.text ?? '')) }),
    'error-reply': () => ({ id, name: f.error_code, payload: Payload.from(f.error_message ?? '') }),
    'restore-session': () => ({ id, payload: Payload.from(f.session_key) }),
    'close-session': () => ({ id }),
  }[kind] ?? (() => ({ id, name: f.name, head: { ...head, stream }, payload: new Payload(unhex(f.payload), f.encoding) }));
  assert.equal(hex(compose('3.0', BASES[kind] ?? byte, fields())), message);
});

each('reject', invalid.filter(({ name, hex: message }) => !IGNORED.includes(unhex(message)[0])), 100, ({ hex: message, reason }) => {
  assert.ok(read(message).error instanceof MalformedError, reason);
});

test('3.0: unknown types are malformed, also those of earlier versions', () => {
  for (const type of [1, 5, 6, 7, 14, 20, 24, 31, 32, 33, 34, 73, 126, 130, 190, 194, 255]) {
    assert.ok(parse('3.0', Uint8Array.of(type, ...Array(20).fill(1))).error instanceof MalformedError, `type ${type}`);
  }
});

test('3.0: no truncation of a message breaks the parser', () => {
  for (const { hex: message } of [...valid, ...invalid]) {
    const whole = unhex(message).slice(0, 80);
    for (let n = 0; n <= whole.length; n++) {
      const { error } = parse('3.0', whole.slice(0, n));
      assert.ok(!error || error.name !== 'RangeError', error);
    }
  }
});

test('3.0: all bits of an id of the server count', () => {
  const a = read('09000000000000008000');
  const b = read('09010000000000008000');
  assert.notEqual(a.id, b.id);
  assert.equal(hex(compose('3.0', 191, { id: b.id })), 'bf01000000000000800000');
});

test('3.0: the first of two fields counts, and keys may repeat', () => {
  const head = (...fields) => read(`40${(fields.join('').length / 2).toString(16).padStart(2, '0')}00${fields.join('')}0078`);
  assert.equal(head('01040001000000', '01040002000000').deadline, 1);
  assert.equal(head('ff0000').critical, true);
  assert.deepEqual(head('4003006b0031', '4003006b0032').meta, [['k', '1'], ['k', '2']]);
});

test('3.0: the trace context as headers have it', () => {
  const ids = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const sent = (trace) => parse('3.0', compose('3.0', 63, { name: 'n', head: { trace } })).trace;
  assert.deepEqual(sent({ traceparent: ids, tracestate: 'a=b,c=ä' }), { traceparent: ids, tracestate: 'a=b,c=ä' });
  assert.deepEqual(sent({ traceparent: ids.replace(/^00/, '42') + '-more' }), { traceparent: ids }, 'of a later version');
  for (const none of ['', '00-', ids.toUpperCase().replace('00-', '0-'), ids.replaceAll('-', ''), ids.slice(0, -1), ids.replace('4bf', 'xyz')]) {
    assert.deepEqual(sent({ traceparent: none, tracestate: 'a=b' }), {}, none);
  }
  assert.deepEqual(sent({ traceparent: ids.replace(/-4.*6-/, `-${'0'.repeat(32)}-`) }), {}, 'all zeros are none');
});

test('3.0: what is counted', () => {
  for (const { type_byte: type } of valid) {
    assert.equal(counted(type), ![8, 9, 10, 11, 23, 25].includes(type), `type ${type}`);
  }
});

test('3.0: what cannot be composed', () => {
  const payload = Payload.from('x');
  for (const fields of [
    { name: 'ä', payload }, { name: 'n'.repeat(256), payload }, { name: '' },
    { name: 'n', payload: new Payload(Uint8Array.of(1), 'utf16') },
    { name: 'n', payload, head: { meta: [['k', 'v'.repeat(8192)]] } },
    { name: 'n', payload, head: { meta: Array(5).fill(['k', 'v'.repeat(2000)]) } },
  ]) {
    assert.throws(() => compose('3.0', 63, fields), MalformedError, JSON.stringify(fields).slice(0, 60));
  }
  const m = { name: 'n', payload: Payload.from('12345') };
  assert.equal(compose('3.0', 63, m, 10).length, 10);
  assert.throws(() => compose('3.0', 63, m, 9), (error) => error instanceof TooLongError && error.size === 10 && error.limit === 9);
});
