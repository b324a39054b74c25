// What a client can be told when it is made, and the defaults.

import { defaultStorage } from './keys.js';
import { VERSIONS } from './negotiate.js';

// complete returns options with the defaults for those that are missing or undefined.
export function complete(options) {
  const o = {
    autoconnect: true,
    timeout: 60_000,
    dialTimeout: 10_000,
    minBackoff: 1_000,
    maxBackoff: 5_000,
    maxQueue: 8 << 20,
    versions: VERSIONS,
    negotiate: 'metadata',
    subProtocol: '',
    storage: defaultStorage(),
  };
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) o[name] = value;
  }
  if (!o.versions.length || !o.versions.every((v) => VERSIONS.includes(v))) throw new TypeError(`webwire: versions are ${VERSIONS}`);
  return o;
}
