// When a device sleeps or changes its network, or a page is frozen, connections die
// without a word. What follows is worth a look whether they are still there.

const INTERVAL = 10_000;
// Browsers run the timers of hidden pages as rarely as once a minute.
const JUMP = INTERVAL + 65_000;

// watchWake calls woke whenever there is reason to doubt the connection, or to
// connect at once. It returns a function that ends that.
export function watchWake(woke) {
  const { document } = globalThis;
  const watch = new AbortController();
  const on = (target, type, listener) => target?.addEventListener?.(type, listener, { signal: watch.signal });

  let last = Date.now();
  const look = () => {
    const now = Date.now();
    const jumped = now - last > JUMP;
    last = now;
    if (jumped) woke();
  };
  const timer = setInterval(look, INTERVAL);
  // Timers may be late after a sleep, the user is not.
  on(document, 'visibilitychange', look);
  on(document, 'resume', woke);
  on(globalThis, 'pageshow', (event) => event.persisted && woke());
  on(globalThis, 'online', woke);
  return () => {
    clearInterval(timer);
    watch.abort();
  };
}
