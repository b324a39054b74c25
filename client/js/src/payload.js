// What requests, replies and signals carry: bytes, and a label that says how
// they are encoded.

// The order is that of the message types (see codec.js).
export const ENCODINGS = ['binary', 'utf8', 'utf16'];

const utf8 = new TextEncoder();

// A byte order mark is text like any other: it is the application's.
const decoders = {
  binary: new TextDecoder('utf-8', { ignoreBOM: true }),
  utf8: new TextDecoder('utf-8', { ignoreBOM: true }),
  utf16: new TextDecoder('utf-16le', { ignoreBOM: true }),
};

export class Payload {
  constructor(bytes, encoding = 'binary') {
    if (!ENCODINGS.includes(encoding)) throw new TypeError(`webwire: no such encoding: ${encoding}`);
    this.bytes = bytes;
    this.encoding = encoding;
  }

  static from(value) {
    if (value instanceof Payload) return value;
    if (value === undefined) return new Payload(new Uint8Array());
    if (typeof value === 'string') return new Payload(utf8.encode(value), 'utf8');
    if (ArrayBuffer.isView(value)) return new Payload(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    if (Object.prototype.toString.call(value) === '[object ArrayBuffer]') return new Payload(new Uint8Array(value));
    const json = JSON.stringify(value);
    if (json === undefined) throw new TypeError(`webwire: a ${typeof value} has no JSON form`);
    return new Payload(utf8.encode(json), 'utf8');
  }

  static utf16(text) {
    const bytes = new Uint8Array(text.length * 2);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < text.length; i++) view.setUint16(i * 2, text.charCodeAt(i), true);
    return new Payload(bytes, 'utf16');
  }

  text() {
    return decoders[this.encoding].decode(this.bytes);
  }

  json() {
    return JSON.parse(this.text());
  }
}
