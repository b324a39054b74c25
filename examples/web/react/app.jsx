import { useSyncExternalStore } from 'react';

export function App({ counter }) {
  const { status, count } = useSyncExternalStore(counter.watch, counter.state, counter.state);
  return (
    <main>
      <p>Everybody sees <output>{count ?? '…'}</output></p>
      <button type="button" onClick={() => counter.add(1)}>Add one</button>
      <p role="status">{status}</p>
    </main>
  );
}
