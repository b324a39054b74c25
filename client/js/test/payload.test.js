import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Payload } from '../src/index.js';

const hex = (payload) => Buffer.from(payload.bytes).toString('hex');

test('strings go as UTF-8', () => {
  const payload = Payload.from('aä€😀');
  assert.equal(payload.encoding, 'utf8');
  assert.equal(hex(payload), '61c3a4e282acf09f9880');
  assert.equal(payload.text(), 'aä€😀');
});

test('bytes go as binary, whatever holds them', () => {
  const source = Uint8Array.of(9, 0, 255, 9);
  for (const value of [source.subarray(1, 3), source.slice(1, 3).buffer, new DataView(source.buffer, 1, 2), Buffer.from([0, 255])]) {
    const payload = Payload.from(value);
    assert.equal(payload.encoding, 'binary');
    assert.equal(hex(payload), '00ff');
  }
});

test('other values go as JSON', () => {
  for (const value of [{ a: [1, 'ü'] }, [], 0, false, null]) {
    const payload = Payload.from(value);
    assert.equal(payload.encoding, 'utf8');
    assert.equal(payload.text(), JSON.stringify(value));
    assert.deepEqual(payload.json(), value);
  }
});

test('what has no JSON form is refused', () => {
  assert.throws(() => Payload.from(() => {}), TypeError);
  assert.throws(() => Payload.from(Symbol('x')), TypeError);
  assert.throws(() => new Payload(new Uint8Array(), 'latin1'), TypeError);
});

test('nothing is an empty payload', () => {
  assert.equal(Payload.from().bytes.length, 0);
  assert.equal(Payload.from(undefined).encoding, 'binary');
});

test('a payload goes as it is', () => {
  const payload = Payload.utf16('x');
  assert.equal(Payload.from(payload), payload);
});

test('UTF-16 is little endian, with surrogates', () => {
  const payload = Payload.utf16('aä€😀');
  assert.equal(payload.encoding, 'utf16');
  assert.equal(hex(payload), '6100e400ac203dd800de');
  assert.equal(payload.text(), 'aä€😀');
  assert.deepEqual(Payload.utf16('{"a":"😀"}').json(), { a: '😀' });
});

test('what is invalid becomes U+FFFD', () => {
  assert.equal(Payload.utf16('a\ud800b').text(), 'a\ufffdb');
  assert.equal(new Payload(Uint8Array.of(0x61, 0xff, 0x62), 'utf8').text(), 'a\ufffdb');
  assert.equal(new Payload(Uint8Array.of(0x61, 0xff), 'binary').text(), 'a\ufffd');
});

test('a byte order mark is text', () => {
  assert.equal(Payload.from('\ufeffa').text(), '\ufeffa');
  assert.equal(Payload.utf16('\ufeffa').text(), '\ufeffa');
});

test('UTF-16 need not be aligned', () => {
  const bytes = Uint8Array.of(0, 0x3d, 0xd8, 0x00, 0xde).subarray(1);
  assert.equal(new Payload(bytes, 'utf16').text(), '😀');
});
