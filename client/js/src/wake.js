// When a device sleeps or changes its network, or a page is frozen, connections die
// without a word. What follows is worth a look whether they are still there.

const INTERVAL = 10_000;
// Browsers run the timers of hidden pages as rarely as once a minute.
const JUMP = INTERVAL + 65_000;

// watchWake calls woke(true) whenever there is reason to doubt the connection, or to
// connect at once, and woke(false) when the device says that it is offline: which may
// be wrong. It calls freezes() when the page is about to be frozen. It returns a function
// that ends that.
export function watchWake(woke, freezes) {
  const watch = new AbortController();
  // This is the clock of the wall, because it goes on while a device sleeps. If it was
  // set the question does no harm, and nothing else goes by it.
  let last = Date.now();
  const look = ({ type, persisted } = {}) => {
    const now = Date.now();
    const jumped = now - last > JUMP;
    last = now;
    if (type === 'freeze') freezes();
    else if (jumped || persisted || /line|resume/.test(type)) woke(jumped || type !== 'offline');
  };
  const timer = setInterval(look, INTERVAL);
  const on = (target, ...types) => {
    for (const type of types) target?.addEventListener?.(type, look, { signal: watch.signal });
  };
  // Timers may be late after a sleep, the user is not.
  on(globalThis.document, 'visibilitychange', 'resume', 'freeze');
  on(globalThis, 'pageshow', 'online', 'offline');
  return () => {
    clearInterval(timer);
    watch.abort();
  };
}
