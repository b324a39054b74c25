// The points of one metric: what the server keeps of it, and then what is measured.

export const SPAN = 60_000; // milliseconds that are plotted

const stored = (name) => `dashboard:${name}`;

export class Series {
  points = []; // {t, v}; v is null where points are lost
  latest; // the last value

  #client;
  #name;
  #tell;
  #position = 0; // after which points are wanted: at first all
  #left = new AbortController();

  // tell is called with each point.
  constructor(client, name, tell) {
    this.#client = client;
    this.#name = name;
    this.#tell = tell;
    this.#load();
  }

  // follow takes points until leave is called.
  async follow() {
    const options = { since: this.#position, signal: this.#left.signal, onGap: () => this.#lose() };
    for await (const { payload, position } of this.#client.subscribe(this.#name, options)) {
      this.#position = position;
      const point = payload.json();
      this.#add(point);
      this.#tell(point);
    }
  }

  leave() {
    this.#left.abort();
    sessionStorage.removeItem(stored(this.#name));
  }

  // save keeps the points and the position for the page that a reload makes.
  save() {
    try {
      sessionStorage.setItem(stored(this.#name), JSON.stringify({ position: this.#position, points: this.points }));
    } catch {
      // it is full, or forbidden: the next page asks for all that the server keeps
    }
  }

  #load() {
    try {
      const { position, points } = JSON.parse(sessionStorage.getItem(stored(this.#name)));
      points.forEach((point) => this.#add(point));
      this.#position = position;
    } catch {
      // there was nothing
    }
  }

  #add(point) {
    this.points.push(point);
    if (point.v !== null) this.latest = point.v;
    let old = 0;
    while (this.points[old].t < point.t - SPAN) old++;
    if (old > 100) this.points.splice(0, old);
  }

  #lose() {
    const last = this.points.at(-1);
    if (last?.v != null) this.#add({ t: last.t, v: null });
  }
}
