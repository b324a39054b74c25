// A topic of the server (section 11.11 of PROTOCOL.md).

import { GAP, REPLY, SIGNAL, compose, little, utf8 } from '../src/codec.js';
import { Payload, composed } from '../src/payload.js';

const PUBLICATION = 69;
const PRESENCE = 72;
const SNAPSHOT = 1; // the ops of presence messages
const ENTER = 2;
const LEAVE = 3;
const UPDATE = 4;
const SINCE = 1; // the flags of a subscribe
const MEMBERS = 2;

let epochs = 0;

const position = (epoch, offset) => [...little(epoch, 8), ...little(offset, 8)];

export class FakeTopic {
  history = true;

  #epoch = ++epochs;
  #offset = 0; // of the last publication
  #forgotten = 0; // of the last one that is not kept any more
  #kept = [];
  #subscriptions = new Set(); // {connection, ref, presence}
  #members = new Map(); // by id

  get subscribers() {
    return [...this.#subscriptions].map(({ connection }) => connection);
  }

  publish(name, data) {
    const [type, ...rest] = compose('3.0', SIGNAL, composed(name, data)); // it goes on like a signal
    const offset = this.history ? ++this.#offset : 0;
    const publication = { offset, type: PUBLICATION + type - SIGNAL, rest };
    if (offset) this.#kept.push(publication);
    for (const each of this.#subscriptions) this.#pass(each, publication);
    return offset ? `${this.#epoch}-${offset}` : undefined;
  }

  #pass({ connection, ref }, { type, offset, rest }) {
    connection.send([type, ...little(ref, 4), ...little(offset, 8), ...rest]);
  }

  gap(lost = 0) {
    this.#offset += this.history ? lost : 0;
    for (const each of this.#subscriptions) this.#gap(each, lost, this.#offset);
  }

  #gap({ connection, ref }, lost, offset) {
    connection.send([GAP, ...little(ref, 4), ...little(lost, 8), ...position(this.history ? this.#epoch : 0, offset)]);
  }

  forget() {
    this.#kept = [];
    this.#forgotten = this.#offset;
  }

  enter(id, data) {
    const op = this.#members.has(id) ? UPDATE : ENTER;
    this.#members.set(id, data);
    this.#tell(op, { id, data });
  }

  leave(id) {
    if (this.#members.delete(id)) this.#tell(LEAVE, { id });
  }

  #tell(op, member) {
    for (const { presence, connection, ref } of this.#subscriptions) {
      if (presence) connection.send([PRESENCE, ...little(ref, 4), op, ...utf8(JSON.stringify(member))]);
    }
  }

  // subscribe adds a subscription, and answers.
  subscribe(connection, id, { ref, flags, epoch, offset }) {
    const each = { connection, ref, presence: flags & MEMBERS };
    let from = this.#offset;
    if (flags & SINCE) {
      const all = !epoch && !offset;
      const known = this.history && (all || (epoch === this.#epoch && offset >= this.#forgotten && offset <= this.#offset));
      from = all || !known ? this.#forgotten : offset;
      if (!known) this.#gap(each, epoch === this.#epoch ? from - offset : 0, from);
    }
    connection.answer(REPLY, { id, payload: new Payload(this.history ? position(this.#epoch, from) : new Uint8Array(16)) });
    for (const publication of this.#kept) if (publication.offset > from) this.#pass(each, publication);
    if (each.presence) {
      const members = [...this.#members].map(([member, data]) => ({ id: member, data }));
      connection.send([PRESENCE, ...little(ref, 4), SNAPSHOT, ...utf8(JSON.stringify(members))]);
    }
    this.#subscriptions.add(each);
  }

  // drop ends the subscription with a ref, or all of a connection.
  drop(connection, ref) {
    for (const each of this.#subscriptions) {
      if (each.connection === connection && (ref === undefined || each.ref === ref)) this.#subscriptions.delete(each);
    }
  }

  // restart loses what a process keeps in its memory.
  restart() {
    this.#epoch = ++epochs;
    this.#kept = [];
    this.#offset = this.#forgotten = 0;
    this.#members.clear();
  }
}
