// The codec of 3.0 against the golden vectors of package protocol.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compose, parse } from '../src/codec3.js';
import { MalformedError, Payload, TooLongError } from '../src/index.js';

const { valid, invalid } = JSON.parse(readFileSync(new URL('../../../protocol/testdata/3.0.json', import.meta.url)));

const unhex = (text = '') => new Uint8Array(Buffer.from(text, 'hex'));
const hex = (bytes) => Buffer.from(bytes).toString('hex');
const utf8 = (text) => Buffer.from(text ?? '', 'hex').toString();
const idOf = (text) => Buffer.from(text, 'hex').readBigUInt64LE();

// headOf returns what is to be read of the fields of a head, and whether it is all that
// there is in the bytes.
function headOf(fields = []) {
  const head = { meta: [], critical: false };
  let whole = true;
  for (const { tag, value } of fields) {
    const bytes = Buffer.from(value, 'hex');
    const pair = () => [bytes.subarray(0, bytes.indexOf(0)).toString(), bytes.subarray(bytes.indexOf(0) + 1).toString()];
    switch (tag) {
      case 1: head.deadline = bytes.readUInt32LE(); break;
      case 2: head.traceparent = `00-${hex(bytes.subarray(0, 16))}-${hex(bytes.subarray(16, 24))}-${hex(bytes.subarray(24))}`; break;
      case 3: head.tracestate = bytes.toString(); break;
      case 4: head.baggage = bytes.toString(); break;
      case 5: head.stream = true; break;
      case 6: head.credentials = unhex(value); break;
      case 7: head.client = pair(); break;
      default:
        if (tag >= 128) head.critical = true;
        else if (tag >= 64) head.meta.push(pair());
        whole &&= tag === 64;
    }
  }
  return { head, whole };
}

// messageOf returns what is to be read of a vector.
function messageOf({ type, fields: f }) {
  const kind = type.replace(/-(binary|utf8|utf16)$/, '');
  const c = f.content ?? {};
  const { head } = headOf(f.head);
  const payload = new Payload(unhex(f.payload), f.encoding);
  const id = f.id === undefined ? undefined : idOf(f.id);
  switch (kind) {
    case 'accept-conf': return {
      kind: 'conf', major: f.major, minor: f.minor, readTimeout: f.read_timeout_ms, longest: f.message_buffer_size,
      credit: f.stream_credit, requests: f.requests, subProtocol: utf8(f.sub_protocol_hex),
    };
    case 'hello': return {
      kind, head, flags: c.resume ? 1 : 0, longest: c.message_size, credit: c.stream_credit, requests: c.requests,
      resume: c.resume && {
        conn: unhex(c.resume.conn), secret: unhex(c.resume.secret), attempt: c.resume.attempt,
        received: c.resume.received, firstKept: c.resume.first_kept,
      },
    };
    case 'welcome': return {
      kind, outcome: c.outcome, conn: unhex(c.conn), secret: unhex(c.secret), window: c.window_ms, ring: c.ring,
      received: c.received, from: c.from, late: c.late,
    };
    case 'ack': return { kind, received: f.number };
    case 'cancel': return { kind, id, reason: c.reason };
    case 'credit': return { kind, id, limit: f.number };
    case 'drain': return { kind, reason: c.reason, spread: c.spread_ms, grace: c.grace_ms, endpoint: c.endpoint };
    case 'gap': return { kind, ref: f.ref, lost: c.lost, epoch: c.epoch, offset: c.offset };
    case 'failure': return { kind, id, code: c.code, executed: c.executed, text: c.text };
    case 'session-created': return { kind: 'sessionCreated', session: f.session };
    case 'session-closed': return { kind: 'sessionClosed' };
    case 'close-session': return { kind: 'closeSession', id };
    case 'restore-session': return { kind: 'restoreSession', id, key: f.session_key };
    case 'subscribe': return { kind, id, ref: f.ref, since: c.since, presence: c.presence, topic: c.topic };
    case 'unsubscribe': return { kind, ref: f.ref };
    case 'presence': return { kind, ref: f.ref, op: c.op, data: c.data };
    case 'error-reply': return { kind: 'errorReply', id, name: f.error_code, text: f.error_message };
    case 'signal': return { kind, head, name: f.name, payload };
    case 'item': return { kind, id, payload };
    case 'publication': return { kind, ref: f.ref, offset: f.number, head, name: f.name, payload };
    case 'request': return { kind, id, head, name: f.name, payload };
    case 'reply': return { kind, id, head, payload };
  }
  throw new Error(`no such type: ${type}`);
}

// each runs a check on all vectors, and says which one failed.
function each(what, vectors, check) {
  test(`3.0: ${what} ${vectors.length} vectors`, () => {
    assert.ok(vectors.length > 100);
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

each('parse', valid, (vector) => {
  const m = parse(unhex(vector.hex));
  if (m.kind === 'sessionCreated') m.session = JSON.parse(m.session); // how its JSON is spaced is not said
  assert.deepEqual(m, messageOf(vector));
});

each('compose', valid, (vector) => {
  const m = messageOf(vector);
  if (m.kind === 'sessionCreated') m.session = JSON.stringify(m.session);
  if (headOf(vector.fields.head).whole) assert.equal(hex(compose(m)), vector.hex);
  if (m.head) m.head.critical = false; // it cannot be written, as other tags that have no meaning
  assert.deepEqual(parse(compose(m)), m);
});

each('reject', invalid, ({ hex: message, reason }) => {
  assert.throws(() => parse(unhex(message)), MalformedError, reason);
});

test('3.0: no truncation of a message breaks the parser', () => {
  for (const { hex: message } of [...valid, ...invalid]) {
    const bytes = unhex(message).slice(0, 80);
    for (let n = 0; n <= bytes.length; n++) {
      try {
        parse(bytes.slice(0, n));
      } catch (error) {
        assert.ok(error instanceof MalformedError, error.stack);
      }
    }
  }
});

test('3.0: all bits of an id count', () => {
  const a = parse(unhex('1f0000000000000080'));
  const b = parse(unhex('1f0100000000000080'));
  assert.notEqual(a.id, b.id);
  assert.equal(hex(compose(b)), '1f0100000000000080');
});

test('3.0: a message that is a view of a longer buffer', () => {
  const m = parse(unhex('ffff08200000000000000000'.slice(0, 22)).subarray(2));
  assert.deepEqual(m, { kind: 'ack', received: 32 });
});

test('3.0: the first of two fields counts, and a trace of zeros is none', () => {
  const head = (...fields) => parse(unhex(`40${(fields.join('').length / 2).toString(16).padStart(2, '0')}00${fields.join('')}0078`)).head;
  assert.equal(head('01040001000000', '01040002000000').deadline, 1);
  const zeros = `021900${'00'.repeat(25)}`;
  assert.equal(head(zeros).traceparent, undefined);
  assert.equal(head('ff0000').critical, true);
  assert.deepEqual(head('4003006b0031', '4003006b0032').meta, [['k', '1'], ['k', '2']]);
});

test('3.0: what cannot be composed', () => {
  const payload = Payload.from('x');
  const odd = new Payload(Uint8Array.of(1), 'utf16');
  const signal = (fields) => ({ kind: 'signal', name: 'n', payload, ...fields });
  const all = [
    signal({ name: 'ä' }), signal({ name: 'n'.repeat(256) }), signal({ payload: odd }),
    signal({ name: '', payload: Payload.from() }),
    signal({ head: { meta: [['', 'value']] } }), signal({ head: { meta: [['a\0b', 'value']] } }),
    signal({ head: { meta: [['k', 'v'.repeat(8192)]] } }),
    signal({ head: { meta: Array(5).fill(['k', 'v'.repeat(2000)]) } }),
    signal({ head: { traceparent: '01-' } }),
    { kind: 'ack', received: 2 ** 53 }, { kind: 'unsubscribe', ref: 2 ** 32 }, { kind: 'unsubscribe' }, { kind: 'cancel', id: 1n, reason: 256 },
    { kind: 'ack', received: -1 }, { kind: 'credit', id: 1n, limit: 0.5 },
    { kind: 'failure', id: 1n, code: 0, executed: 0, text: '' }, { kind: 'failure', id: 1n, code: 1, executed: 3, text: '' },
    { kind: 'restoreSession', id: 1n, key: '' },
    { kind: 'subscribe', id: 1n, ref: 0, since: null, presence: false, topic: 't' },
    { kind: 'hello', longest: 1023, credit: 0, requests: 0, resume: null },
    { kind: 'hello', longest: 0, credit: 0, requests: 0, resume: { conn: new Uint8Array(15) } },
  ];
  for (const m of all) assert.throws(() => compose(m), MalformedError, JSON.stringify(m, (_, v) => (typeof v === 'bigint' ? String(v) : v)));
});

test('3.0: a message may be as long as the limit, and no longer', () => {
  const m = { kind: 'signal', name: 'n', payload: Payload.from('12345') };
  assert.equal(compose(m, 10).length, 10);
  assert.throws(() => compose(m, 9), (error) => error instanceof TooLongError && error.size === 10 && error.limit === 9);
});
