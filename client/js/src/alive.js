// Heartbeats, and the question whether the server is still there.

import { Call, MAX_DELAY, later, now } from './call.js';
import { CLOSE_SESSION, RESTORE_SESSION } from './codec.js';
import { Payload } from './payload.js';

const SILENCE = 30_000; // after which the server is asked, at the latest
const PROBE_TIMEOUT = 5_000;
const LATE = 1_000; // of a timer: the page was frozen, or the device slept

export class Liveness {
  quiet = false; // see verify

  #connection;
  #doubtful = false; // whether it is there will show when something comes or is late
  #heard = now();
  #heartbeat = 0; // milliseconds of silence before one is due, zero for none
  #patience = SILENCE; // the silence of the server after which it is asked
  #beating;
  #watching;
  #probing;

  constructor(connection) {
    this.#connection = connection;
  }

  configure(readTimeout) {
    this.#heartbeat = Math.min(readTimeout * 0.75, MAX_DELAY);
    this.#patience = Math.min(readTimeout / 2 || SILENCE, SILENCE);
    this.wrote();
  }

  // heard takes note that something came.
  heard() {
    this.#heard = now();
    this.#doubtful = false;
  }

  // wrote takes note that something was sent.
  wrote() {
    if (!this.#heartbeat) return;
    clearTimeout(this.#beating);
    this.#beating = later(this.#heartbeat, () => this.#connection.beat());
  }

  // silence is how long the server was not heard, in milliseconds.
  get silence() {
    return Math.round(now() - this.#heard);
  }

  // hopeless tells that the server is in doubt and was not asked.
  get hopeless() {
    return this.#doubtful && !this.#probing;
  }

  // watch calls silent whenever the server was not heard for long.
  watch(silent) {
    const left = this.#patience - this.silence;
    clearTimeout(this.#watching);
    this.#watching = later(left > 0 ? left : this.#patience, () => {
      if (this.silence >= this.#patience) silent();
      if (!this.#connection.ended) this.watch(silent);
    });
  }

  // verify finds out whether the connection is still there. Pings are out of reach in
  // browsers, so something must be asked that changes nothing: a session is restored
  // once more. If there is none a server that acknowledges what it gets is sent something, and
  // another is asked to close it, unless one of the requests in flight, count, may create one. No
  // request may be sent until the answer is there, when answered is called: it might do so as well. The server may have created
  // one of its own accord: answered is told that it may have been closed.
  // Published servers are not asked, they would count a session twice. The requests in flight will
  // show it, and if there is none, or the connection can be resumed, a new socket does no
  // harm, if the reason to doubt is a serious one.
  verify(key, serious, count, answered) {
    const connection = this.#connection;
    if (this.#probing) return;
    const asks = connection.negotiated && (key || !count);
    if (!connection.usable || (serious && !asks && (connection.resumable || !count))) {
      connection.giveUp();
      return;
    }
    const nudged = !key && connection.nudge();
    if (asks && !nudged) {
      this.quiet = !key;
      const call = new Call(() => {
        this.quiet = false;
        answered(!key);
      }, Infinity);
      connection.request(call, key ? RESTORE_SESSION : CLOSE_SESSION, { payload: Payload.from(key) });
    }
    this.#doubtful = asks || count > 0;
    if (asks || nudged) this.#judge();
  }

  // judge gives up a connection on which nothing is heard. If the time is long over the
  // page was frozen, or the device slept: what came may wait to be read.
  #judge() {
    const asked = now();
    this.#probing = later(PROBE_TIMEOUT, () => {
      this.#probing = undefined;
      if (!this.#doubtful) return;
      if (now() - asked > PROBE_TIMEOUT + LATE) this.#judge();
      else this.#connection.giveUp();
    });
  }

  // stop stops all timers.
  stop() {
    [this.#beating, this.#watching, this.#probing].forEach(clearTimeout);
    this.#probing = undefined;
    this.#doubtful = false;
  }
}
