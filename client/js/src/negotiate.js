// How client and server agree on a version (section 2 of PROTOCOL.md). A browser
// fails a connection on which it offered tokens and the server selected none. So
// the server is asked first, if it can be.

import { later } from './call.js';
import { RefusedError, VersionError } from './errors.js';

// What the client speaks, and offers by default: the first is the one it likes best.
export const VERSIONS = ['3.0', '2.0', '1.2'];

const TOKEN = 'webwire-';

// What servers and proxies say of a method or request that they do not know, and
// which says nothing about the endpoint.
const NO_ANSWER = /40[056]|426|501/;
const BUSY = /408|425|429|5../;

// resolve returns the URL to connect to. A relative one needs a document or a worker.
export function resolve(given) {
  const url = new URL(given, globalThis.document?.baseURI ?? globalThis.location?.href);
  url.protocol = url.protocol.replace('http', 'ws');
  url.hash = '';
  if (!url.protocol.startsWith('ws')) throw new TypeError(`webwire: no WebSocket URL: ${url.protocol}`);
  return url;
}

// metadata asks the endpoint what it speaks: by the method WEBWIRE, and by a plain GET
// where that gets no answer, because of a proxy or browser that does not know it. It
// returns undefined if neither has an answer: the server has no metadata, or the page
// may not ask. It throws a RefusedError if the endpoint is not to be had. Each question
// may take limit milliseconds.
async function metadata(url, signal, limit) {
  const href = url.href.replace(/^ws/, 'http');
  let refused;
  for (const method of ['WEBWIRE', 'GET']) {
    const asking = new AbortController();
    const stop = () => asking.abort();
    const timer = later(limit, stop);
    signal.addEventListener('abort', stop); // which ends with the attempt
    refused = undefined;
    try {
      const response = await fetch(href, { method, signal: asking.signal, headers: { Accept: 'application/webwire+json' } });
      const { ok, status, headers } = response;
      if (ok) {
        const meta = await response.json();
        if (meta.versions || meta['protocol-version']) return meta;
      } else if (!NO_ANSWER.test(status)) {
        refused = new RefusedError(status, Math.max(0, 1000 * headers.get('Retry-After') || 0));
      }
    } catch {
      // the network, what browsers forbid, no JSON, late
    } finally {
      clearTimeout(timer);
    }
    signal.throwIfAborted();
    if (BUSY.test(refused?.status)) break;
  }
  if (refused) throw refused;
  return undefined;
}

// negotiate returns how to connect to the endpoint: tokens to offer, or the version to
// speak if there are none to offer. If the endpoint does not say what it speaks, the plan
// is guessed: the first is to offer tokens; if that did not work, which is what bare says,
// it may be a published server of 2.0.
export async function negotiate(url, signal, { negotiate: how, versions, dialTimeout }, bare) {
  if (how === 'token') return offer(versions);
  // Without a token 3.0 is spoken only if the user says so.
  if (how === 'none') return speak(versions === VERSIONS ? '2.0' : versions[0], versions);
  const meta = await metadata(url, signal, dialTimeout / 4);
  if (meta) {
    const listed = [].concat(meta.versions ?? []);
    const common = versions.filter((version) => listed.includes(version));
    return common.length ? offer(common) : speak(meta['protocol-version'], versions, listed);
  }
  return { ...(bare && versions.includes('2.0') ? speak('2.0', versions) : offer(versions)), guessed: true };
}

const offer = (versions) => ({ tokens: versions.map((version) => TOKEN + version) });

function speak(version, versions, listed = []) {
  if (!versions.includes(version)) throw new VersionError([...new Set(listed).add(version)], versions);
  return { version };
}

// agreed returns the version that is spoken on a connection on which the server
// selected a token, or none.
export function agreed({ tokens, version, guessed }, token, versions) {
  if (!tokens) return version;
  if (!token && guessed && versions.includes('2.0')) return '2.0'; // not in browsers; the server's first message tells
  if (!tokens.includes(token)) throw new VersionError([token.replace(TOKEN, '')], versions);
  return token.slice(TOKEN.length);
}
