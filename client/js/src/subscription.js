// Subscriptions to topics, which outlive connections (section 11.11 of PROTOCOL.md).

import { backoff } from './backoff.js';
import { Call, later } from './call.js';
import { little, need, number, utf8 } from './codec.js';
import {
  DisconnectedError, FailureError, GapError, InternalError, MalformedError, ShutdownError, TimeoutError,
} from './errors.js';
import { Feed } from './feed.js';
import { HEADER, Payload } from './payload.js';
import { Members } from './presence.js';

const MOST = 256; // messages that wait for the loop
const LONGEST = 255; // bytes of the name of a topic
const NONE = [0, 0]; // no position: an epoch and an offset
const SINCE = 1; // the flags of a subscribe
const PRESENCE = 2;
const RETRYABLE = [8, 14]; // codes of failures: too many, the engine is away

let refs = 0; // that were given; no ref is used twice

// A position is a text for the application.
const written = (position) => (position.some(Boolean) ? position.join('-') : undefined);

function parsed(since) {
  const [known, epoch = 0, offset = 0] = /^(?:0|(\d+)-(\d+))$/.exec(since) ?? [];
  if (!known) throw new TypeError(`webwire: no position: ${since}`);
  return [Number(epoch), Number(offset)];
}

// worthAgain reports whether a subscription that was in effect may be so again.
const worthAgain = (error) => RETRYABLE.includes(error.code) ? error instanceof FailureError
  : [InternalError, ShutdownError, TimeoutError].some((type) => error instanceof type);

export class Subscription {
  #topic;
  #options; // of the application
  #pauses; // the options of the client
  #enter;
  #name; // of the topic, in bytes
  #since; // where it begins, if the application said that
  #feed = new Feed();
  #bytes = 0; // of what waits in it
  #members = new Members();
  #life; // lasts as long as the loop
  #turn = 0; // of subscribing: what belongs to an earlier one does not count
  #call; // that subscribes
  #timer; // until it is tried again
  #tries = 0; // that failed
  #connection;
  #ref; // of the messages that are taken
  #resting = false; // no messages are taken
  #confirms = 0; // so far
  #received = NONE; // the position up to which everything was taken
  #paused = false; // there was no room; it goes on when the loop has taken all

  // enter(start, done, again, size) makes a call of the client.
  constructor(topic, options, pauses, enter) {
    this.#topic = topic;
    this.#options = options;
    this.#pauses = pauses;
    this.#enter = enter;
    this.#name = utf8(topic);
    const { length } = this.#name;
    if (!length || length > LONGEST) throw new MalformedError(`the name of a topic has 1 to ${LONGEST} bytes`);
    this.#since = options.since == null ? undefined : parsed(options.since);
  }

  // read yields the messages. Who leaves the loop ends the subscription.
  async* read() {
    const { signal, onGap, presence } = this.#options;
    signal?.throwIfAborted();
    const feed = this.#feed;
    this.#life = new Call((error, _, failed) => feed.end(...(failed ? [error] : [])), Infinity, undefined, signal);
    this.#life.release = () => this.#drop();
    this.subscribe();
    try {
      for (let next; (next = await feed.next());) {
        const { message, cost, op, lost, position } = next;
        this.#bytes -= cost;
        if (this.#paused && !feed.length) this.subscribe();
        if (message) yield message;
        else if (op !== undefined) this.#members.take(next, presence);
        else {
          const gap = new GapError(this.#topic, lost, position);
          if (!onGap) throw gap;
          onGap(gap);
        }
      }
    } finally {
      this.#life.settle();
    }
  }

  // subscribe subscribes, anew after the last message if it was subscribed.
  subscribe() {
    if (this.#life.over) return;
    this.#drop();
    this.#paused = false;
    const turn = this.#turn;
    let since;
    try {
      this.#call = this.#enter((call, connection) => {
        this.#leave();
        this.#ref = ++refs;
        this.#connection = connection;
        since = this.#received.some(Boolean) ? this.#received : this.#confirms ? undefined : this.#since;
        const flags = (since && SINCE) | (this.#options.presence && PRESENCE);
        const [epoch, offset] = since ?? NONE;
        const body = [...little(this.#ref, 4), flags, ...little(epoch, 8), ...little(offset, 8), ...this.#name];
        connection.subscribe(call, this, this.#ref, new Payload(body));
      }, (error, payload, failed) => {
        // When a connection is lost it says so to all subscriptions.
        if (turn !== this.#turn || (error instanceof DisconnectedError && error.sent)) return;
        if (!failed) this.#confirmed(payload, since);
        else if (this.#confirms && worthAgain(error)) this.#later(error);
        else this.#fail(error);
      }, this.#confirms > 0, HEADER + this.#name.length);
    } catch (error) {
      this.#fail(error);
    }
  }

  // later subscribes after a pause: at once if there is no connection, so that the client knows
  // of those that wait for one.
  #later(error) {
    if (!this.#ref) {
      this.subscribe();
      return;
    }
    this.#rest();
    this.#timer = later(backoff(this.#pauses, this.#tries++, error), () => this.subscribe());
  }

  #fail(error) {
    this.#life.settle(error, undefined, true);
  }

  // drop ends what is under way.
  #drop() {
    this.#turn++;
    clearTimeout(this.#timer);
    this.#call?.settle(undefined, undefined, true);
    this.#leave();
  }

  // rest takes nothing until the next subscribe.
  #rest() {
    this.#resting = true;
    this.#connection.unsubscribe(this.#ref, true);
  }

  #leave() {
    this.#connection?.unsubscribe(this.#ref);
    this.#ref = undefined;
    this.#resting = false;
  }

  #confirmed({ bytes }, since) {
    try {
      need(bytes.length === 16);
      this.#received = [0, 8].map((at) => number(bytes.subarray(at, at + 8)));
    } catch {
      this.#fail(new MalformedError('no position'));
      return;
    }
    this.#tries = 0;
    // Without a position nothing says what was missed.
    if (this.#confirms++ && !since) this.#gap(0);
  }

  // doubt says that messages of the connection are lost.
  doubt() {
    if (this.#ref && !this.#resting) this.subscribe();
  }

  // take takes a message of the server, but none with a critical field. The position passes that
  // one with the next publication.
  take({ ref, critical, epoch, offset, lost, op, name, payload }) {
    if (critical || ref !== this.#ref || this.#resting) return;
    if (lost !== undefined) {
      this.#received = [epoch, offset];
      this.#gap(lost);
      return;
    }
    if (offset && offset <= this.#received[1]) return;
    const cost = HEADER + payload.bytes.length;
    const { length } = this.#feed;
    if (length && (length >= MOST || this.#bytes + cost > this.#pauses.maxQueue / 4)) {
      this.#paused = true;
      this.#rest();
      return;
    }
    this.#bytes += cost;
    if (op !== undefined) {
      this.#feed.add({ ref, op, payload, cost });
      return;
    }
    const position = offset ? [this.#received[0], offset] : NONE;
    if (offset) this.#received = position;
    this.#feed.add({ message: { position: written(position), name, payload }, cost });
  }

  // gap adds a gap, or makes the one that was added last a larger one.
  #gap(lost) {
    const position = written(this.#received);
    const { last } = this.#feed;
    if (last?.gap) Object.assign(last, { lost: last.lost && lost && last.lost + lost, position });
    else this.#feed.add({ gap: true, lost, position, cost: 0 });
  }
}
