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

test('what JSON would make an empty object of is refused, at any depth, with advice', () => {
  class Query {
    then() {}
  }
  class Registry extends Map {
    name = 'n';
  }
  for (const [value, advice] of [
    [new Blob(['x']), /Blob .*arrayBuffer/], [new File(['x'], 'name'), /File .*arrayBuffer/], [new Map([[1, 2]]), /Map .*fromEntries/],
    [new Set([1]), /Set .*\[\.\.\./], [Promise.resolve(1), /Promise .*await/], [new Query(), /await/], [new FormData(), /FormData .*fromEntries/],
    [new WeakMap(), /WeakMap/], [new Error('x'), /Error/], [/x/, /RegExp/], [new ReadableStream(), /ReadableStream/],
    [new SharedArrayBuffer(1), /SharedArrayBuffer/], [new Registry(), /Map .*fromEntries/], [Object.assign(new Set([1]), { a: 1 }), /Set/],
  ]) {
    for (const nested of [value, { a: [value] }]) {
      assert.throws(() => Payload.from(nested), (error) => error instanceof TypeError && advice.test(error.message));
    }
  }
  assert.throws(() => Payload.from(1n), TypeError);
});

test('objects that have a JSON form are sent in it', () => {
  class Point {
    x = 1;
  }
  class Named {
    name = 'n';

    get [Symbol.toStringTag]() {
      return 'NameMap';
    }
  }
  const date = new Date(0);
  for (const [value, want] of [
    [new Point(), '{"x":1}'], [{}, '{}'], [Object.create(null), '{}'], [new (class {})(), '{}'], [date, '"1970-01-01T00:00:00.000Z"'],
    [{ at: date }, '{"at":"1970-01-01T00:00:00.000Z"}'], [new URL('http://a/'), '"http://a/"'], [new Named(), '{"name":"n"}'],
    [{ toJSON: () => 'own' }, '"own"'], [Object(5), '5'], [{ gone: undefined, f() {} }, '{}'],
  ]) assert.equal(Payload.from(value).text(), want);
});

test('a payload of another copy of the package is one', async () => {
  const copy = await import('../src/payload.js?copy');
  assert.notEqual(copy.Payload, Payload);
  for (const theirs of [copy.Payload.utf16('x'), copy.Payload.from(Uint8Array.of(1))]) {
    const payload = Payload.from(theirs);
    assert.ok(payload instanceof Payload);
    assert.deepEqual([payload.encoding, payload.bytes], [theirs.encoding, theirs.bytes]);
  }
});
