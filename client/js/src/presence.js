// What a subscription knows of the members of its topic.

const END = 1; // the ops of presence messages: 0 is a part of a snapshot, this its end
const ENTER = 2;
const LEAVE = 3;
const OPS = ['enter', 'leave', 'update'];

export class Members {
  #known = new Map(); // by id, as JSON
  #loading; // a snapshot that is not complete
  #ref; // of that

  // changes returns what a message changes. What cannot be read it ignores.
  changes({ ref, op, payload }) {
    const events = [];
    const set = (id, info, gone) => {
      const before = this.#known.get(id);
      const text = gone ? undefined : JSON.stringify(info ?? null); // undefined: not there
      if (before === text) return;
      if (gone) this.#known.delete(id);
      else this.#known.set(id, text);
      events.push({ op: OPS[gone ? 1 : before && 2] ?? OPS[0], id, info });
    };
    try {
      if (op >= ENTER) {
        const { id, data } = payload.json();
        if (op === LEAVE) set(id, undefined, true);
        else set(id, data);
        return events;
      }
      if (this.#ref !== ref) {
        this.#ref = ref;
        this.#loading = new Map();
      }
      if (payload.bytes.length) payload.json().forEach(({ id, data }) => this.#loading.set(id, data));
    } catch {
      return events;
    }
    if (op === END) {
      for (const id of [...this.#known.keys()]) this.#loading.has(id) || set(id, undefined, true);
      this.#loading.forEach((info, id) => set(id, info));
      this.#ref = undefined;
    }
    return events;
  }
}
