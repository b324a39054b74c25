// What a client takes for the WebSocket of its browser.

// socketClass returns a class of sockets. accept(socket) returns the server's end of one, with
// the functions received(message) and ended(code); or undefined, and the socket fails.
export function socketClass(accept) {
  return class FakeSocket {
    binaryType = 'blob';
    bufferedAmount = 0;
    protocol = '';
    readyState = 0;
    onopen = null;
    onmessage = null;
    onerror = null;
    onclose = null;

    #peer;

    constructor(url, protocols = []) {
      this.url = String(url);
      queueMicrotask(() => {
        if (this.readyState !== 0) return;
        this.#peer = accept(this);
        if (!this.#peer) {
          this.drop();
          return;
        }
        this.readyState = 1;
        [this.protocol = ''] = [protocols].flat();
        this.onopen?.(new Event('open'));
      });
    }

    send(message) {
      if (this.readyState !== 1) return;
      const copy = message.slice();
      queueMicrotask(() => this.#peer.received(copy));
    }

    close(code = 1005, reason = '') {
      if (this.readyState > 1) return;
      this.readyState = 2;
      queueMicrotask(() => this.drop(code, reason));
    }

    // say is a message of the server.
    say(message) {
      queueMicrotask(() => {
        if (this.readyState === 1) this.onmessage?.(Object.assign(new Event('message'), { data: message.slice().buffer }));
      });
    }

    // drop ends the socket: without a code because the network failed.
    drop(code = 1006, reason = '') {
      if (this.readyState === 3) return;
      this.readyState = 3;
      this.#peer?.ended(code);
      if (code === 1006) this.onerror?.(new Event('error'));
      this.onclose?.(Object.assign(new Event('close'), { code, reason, wasClean: code !== 1006 }));
    }
  };
}
