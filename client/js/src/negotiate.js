// How client and server agree on a version (section 2 of PROTOCOL.md). A browser
// fails a connection on which it offered tokens and the server selected none. So
// tokens are offered only to a server that is known to select one: its metadata
// says so, or the user.

import { MalformedError, RefusedError, VersionError } from './errors.js';

export const VERSIONS = ['2.0', '1.2'];

const TOKEN = 'webwire-';

// metadata asks the endpoint what it speaks. It returns the object that was
// answered; undefined if the server has no metadata, as the published ones of 2.0;
// and throws if there is no telling.
export async function metadata(url, signal) {
  const response = await fetch(url.href.replace(/^ws/, 'http'), { method: 'WEBWIRE', signal });
  const { status } = response;
  if (response.ok) {
    return response.json().catch((error) => {
      throw new MalformedError('the metadata is not JSON', error);
    });
  }
  const retry = [408, 425, 429].includes(status) || (status >= 500 && status !== 501);
  if (!retry) return undefined;
  throw new RefusedError(status, Math.max(0, 1000 * Number(response.headers.get('Retry-After')) || 0));
}

// plan says how to connect to an endpoint with such metadata: tokens to offer,
// or, if there are none, the version to speak.
export function plan(meta, versions) {
  if (!meta) return speak('2.0', versions);
  const listed = Array.isArray(meta.versions) ? meta.versions : [];
  const common = versions.filter((version) => listed.includes(version));
  return common.length ? offer(common) : speak(meta['protocol-version'], versions, listed);
}

export const offer = (versions) => ({ tokens: versions.map((version) => TOKEN + version) });

export function speak(version, versions, listed = []) {
  if (!versions.includes(version)) throw new VersionError([...new Set([...listed, version])], versions);
  return { tokens: [], version };
}

// agreed returns the version that is spoken on a connection on which the server
// selected a token, or none.
export function agreed({ tokens, version }, token, versions) {
  if (!tokens.length) return version;
  if (!tokens.includes(token)) throw new VersionError([token.replace(TOKEN, '')].filter(Boolean), versions);
  return token.slice(TOKEN.length);
}
