// The codec against golden vectors, which come from the published implementations.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as codec from '../src/codec.js';
import { MalformedError, Payload, TooLongError } from '../src/index.js';

const ENCODED = { binary: 0, utf8: 1, utf16: 2 };
const TYPES = { request: codec.REQUEST, signal: codec.SIGNAL };
const SPECIAL = {
  'reply-shutdown': 'ShutdownError',
  'reply-internal-error': 'InternalError',
  'reply-session-not-found': 'SessionNotFoundError',
  'reply-max-session-connections-reached': 'SessionFullError',
  'reply-sessions-disabled': 'SessionsDisabledError',
};

const unhex = (text = '') => new Uint8Array(Buffer.from(text, 'hex'));
const hex = (bytes) => Buffer.from(bytes).toString('hex');
const load = (version) => JSON.parse(readFileSync(new URL(`../../../protocol/testdata/${version}.json`, import.meta.url)));
const ourId = (id) => Number(Buffer.from(id, 'hex').readBigUInt64LE());

// withId replaces the id of a message by one that a number can express.
function withId(bytes, id) {
  const copy = bytes.slice();
  copy.set(Buffer.from(id, 'hex'), 1);
  return copy;
}

function compose(version, { type, fields }) {
  const [kind] = type.split('-');
  const id = kind === 'signal' ? undefined : ourId(fields.id ?? '0000000000000000');
  if (type === 'heartbeat') return codec.compose(version, codec.HEARTBEAT);
  if (type === 'close-session') return codec.compose(version, codec.CLOSE_SESSION, { id });
  if (type === 'restore-session') return codec.compose(version, codec.RESTORE_SESSION, { id, payload: Payload.from(fields.session_key) });
  return codec.compose(version, TYPES[kind], { id, name: fields.name, payload: new Payload(unhex(fields.payload), fields.encoding) });
}

// each runs a check on all vectors, and says which one failed.
function each(what, vectors, check) {
  test(`${what} ${vectors.length} vectors`, () => {
    assert.ok(vectors.length > 30);
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

const SMALL_ID = '0102030405060000';

for (const version of ['1.2', '2.0']) {
  const { valid, invalid } = load(version);

  each(`${version}: compose`, valid.filter((v) => v.direction === 'c2s'), (vector) => {
    let want = unhex(vector.hex);
    if (vector.fields.id && ourId(vector.fields.id) > Number.MAX_SAFE_INTEGER) {
      want = withId(want, SMALL_ID);
      vector.fields.id = SMALL_ID;
    }
    assert.equal(hex(compose(version, vector)), hex(want));
  });

  each(`${version}: parse`, valid.filter((v) => v.direction === 's2c'), (vector) => {
    const { type, fields } = vector;
    let bytes = unhex(vector.hex);
    if (fields.id) bytes = withId(bytes, SMALL_ID);
    const m = codec.parse(version, bytes);
    if (fields.id) assert.equal(m.id, ourId(SMALL_ID));
    if (type.startsWith('signal-')) {
      assert.equal(m.type, codec.SIGNAL);
      assert.equal(m.name, fields.name);
    } else if (type === 'error-reply') {
      const json = fields.payload && JSON.parse(Buffer.from(fields.payload, 'hex'));
      assert.equal(m.error.name, 'ErrorReply');
      assert.equal(m.error.code, json?.c ?? fields.error_code);
      assert.equal(m.error.message, json?.m ?? fields.error_message ?? '');
      return;
    } else if (type in SPECIAL) {
      assert.equal(m.error.name, SPECIAL[type]);
      return;
    } else if (type === 'session-created') {
      assert.equal(m.type, codec.SESSION_CREATED);
      assert.deepEqual(m.payload.json(), fields.session);
      return;
    } else if (type === 'session-closed') {
      assert.equal(m.type, codec.SESSION_CLOSED);
      return;
    } else if (type === 'accept-conf') {
      assert.deepEqual({ ...m }, {
        type: codec.ACCEPT_CONF,
        major: fields.major,
        minor: fields.minor,
        readTimeout: fields.read_timeout_ms,
        longest: fields.message_buffer_size,
        subProtocol: Buffer.from(fields.sub_protocol_hex, 'hex').toString(),
      });
      return;
    } else {
      assert.equal(m.type, codec.REPLY);
    }
    assert.equal(m.payload.encoding, fields.encoding);
    assert.equal(hex(m.payload.bytes), fields.payload ?? '');
  });

  each(`${version}: reject`, invalid, ({ hex: message, reason }) => {
    const m = codec.parse(version, unhex(message));
    if (version === '1.2' && m?.type === codec.ACCEPT_CONF) return; // it says that the server is another
    // What only clients send and what does not exist is ignored unseen.
    if (m) assert.ok(m.error instanceof MalformedError, reason);
  });

  test(`${version}: no truncation or prefix of a message breaks the parser`, () => {
    for (const { hex: message } of [...valid, ...invalid]) {
      const bytes = unhex(message).slice(0, 40);
      for (let n = 0; n <= bytes.length; n++) {
        codec.parse(version, bytes.slice(0, n)); // does not throw
      }
    }
  });

  test(`${version}: names that are none`, () => {
    for (const name of ['a\n', 'ä', 'n'.repeat(256)]) {
      for (const type of [codec.REQUEST, codec.SIGNAL]) {
        const message = { id: 1, name, payload: Payload.from('x') };
        assert.throws(() => codec.compose(version, type, message), MalformedError);
      }
    }
  });

  test(`${version}: payloads that are none`, () => {
    const compose = (type, name, payload) => () => codec.compose(version, type, { name, payload });
    const odd = new Payload(Uint8Array.of(1), 'utf16');
    const empty = Payload.from();
    assert.throws(compose(codec.REQUEST, 'n', odd), MalformedError);
    assert.throws(compose(codec.REQUEST, '', empty), MalformedError);
    assert.throws(compose(codec.SIGNAL, '', empty), MalformedError);
    assert.throws(compose(codec.SIGNAL, 'n', Payload.utf16('')), MalformedError);
    if (version === '1.2') {
      assert.throws(compose(codec.REQUEST, 'n', empty), MalformedError);
      assert.throws(compose(codec.SIGNAL, 'n', empty), MalformedError);
    } else {
      assert.equal(hex(compose(codec.SIGNAL, 'n', empty)()), '3f016e');
    }
  });
}

test('ids are counters of up to 53 bits', () => {
  for (const id of [1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
    const bytes = codec.compose('2.0', codec.CLOSE_SESSION, { id });
    assert.equal(new DataView(bytes.buffer).getBigUint64(1, true), BigInt(id));
    bytes[0] = 191;
    assert.equal(codec.parse('2.0', bytes).id, id);
  }
});

test('a message may be as long as the limit, and no longer', () => {
  const message = { name: 'n', payload: Payload.from('12345') };
  assert.equal(codec.compose('2.0', codec.SIGNAL, message, 8).length, 8);
  assert.throws(() => codec.compose('2.0', codec.SIGNAL, message, 7), (error) => (
    error instanceof TooLongError && error.size === 8 && error.limit === 7
  ));
});

test('a malformed reply tells whose it is', () => {
  const { id, error } = codec.parse('2.0', unhex(`c1${'0500000000000000'}00ff`.padEnd(24, '0').slice(0, 22))); // odd
  assert.equal(id, 5);
  assert.ok(error instanceof MalformedError);
});
