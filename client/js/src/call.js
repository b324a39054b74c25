// What somebody waits for. It has one outcome: whatever comes first.

export const MAX_DELAY = 2 ** 31 - 1; // of setTimeout, which takes a longer one for none

export class Call {
  // release takes the call out of where it waits.
  release = () => {};

  #outcome;
  #timer;
  #signal;
  #abort;

  // outcome has the functions resolve and reject, late is called after timeout
  // milliseconds, or never if that is longer than a timer can be.
  constructor(outcome, timeout, late, signal) {
    this.#outcome = outcome;
    if (timeout <= MAX_DELAY) this.#timer = setTimeout(late, timeout, this);
    if (signal) {
      this.#signal = signal;
      this.#abort = () => this.reject(signal.reason);
      signal.addEventListener('abort', this.#abort);
    }
  }

  resolve(value) {
    this.#settle()?.resolve(value);
  }

  reject(error) {
    this.#settle()?.reject(error);
  }

  #settle() {
    const outcome = this.#outcome;
    if (!outcome) return undefined;
    this.#outcome = undefined;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#abort);
    this.release();
    return outcome;
  }
}
