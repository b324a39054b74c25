// What a subscription knows of the members of its topic.

import { WebWireError } from './errors.js';

const END = 1; // the ops of presence messages: 0 is a part of a snapshot, this its end
const ENTER = 2;
const LEAVE = 3;
const MOST = 5 << 20; // that a set of members may cost: about its bytes
const EACH = 96; // what a member costs besides its id and info

export class Members {
  #known = new Map(); // JSON with the info, by id
  #loading; // a snapshot that is not complete
  #ref; // of that

  // take tells what a message changes. What cannot be read it ignores. It throws if there are
  // too many members: a server could fill the memory with them.
  take({ ref, op, payload }, listener) {
    const known = this.#known;
    let members = known;
    if (op < ENTER) {
      if (this.#ref !== ref) {
        this.#ref = ref;
        this.#loading = new Map();
      }
      members = this.#loading;
    }
    const tell = (id, before, text) => {
      if (before !== text) listener?.({ op: text ? before ? 'update' : 'enter' : 'leave', id, info: text && JSON.parse(text).data });
    };
    let said = [];
    try {
      said = [payload.json()].flat().map(({ id, data }) => [`${id}`, op === LEAVE ? undefined : JSON.stringify({ data })]);
    } catch {
      // the end of a snapshot may be empty
    }
    for (const [id, text] of said) {
      const before = members.get(id);
      const cost = (info) => (info ? EACH + id.length + info.length : 0);
      members.cost ??= 0;
      members.cost += cost(text) - cost(before);
      if (members.cost > MOST) throw new WebWireError('the topic has too many members (5 MiB): subscribe without presence');
      if (text) members.set(id, text);
      else members.delete(id);
      if (members === known) tell(id, before, text);
    }
    if (op === END) {
      this.#ref = undefined;
      this.#known = members;
      for (const [id] of new Map([...known, ...members])) tell(id, known.get(id), members.get(id));
    }
  }
}
