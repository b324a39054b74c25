// What arrives for a loop of the application, in order.

export class Feed {
  #items = [];
  #over; // the error that the loop ends with, if any, in a list
  #wake = () => {};

  get over() {
    return !!this.#over;
  }

  get length() {
    return this.#items.length;
  }

  get last() {
    return this.#items.at(-1);
  }

  add(item) {
    this.#items.push(item);
    this.#wake();
  }

  // end lets the loop end after what has arrived.
  end(...errors) {
    this.#over ??= errors;
    this.#wake();
  }

  // next returns the next item, undefined at the end.
  async next() {
    while (!this.#items.length && !this.#over) {
      await new Promise((resolve) => {
        this.#wake = resolve;
      });
    }
    if (!this.#items.length && this.#over.length) throw this.#over[0];
    return this.#items.shift();
  }
}
