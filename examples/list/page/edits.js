// The edits that the server may not have: each is an item of localStorage, so that they outlive
// the page, and all tabs of a user see them.

const PREFIX = 'list:edit:';

let last = 0;

// keep keeps an edit of a user.
export function keep(user, edit) {
  last = Math.max(Date.now(), last + 1); // they are sent in this order
  const id = crypto.randomUUID();
  localStorage.setItem(`${PREFIX}${encodeURIComponent(user)}:${last}:${id}`, JSON.stringify({ id, ...edit }));
}

// kept returns the keys and edits of a user, the oldest first.
export function kept(user) {
  const prefix = `${PREFIX}${encodeURIComponent(user)}:`;
  const keys = Object.keys(localStorage).filter((key) => key.startsWith(prefix));
  return keys.sort().map((key) => [key, JSON.parse(localStorage.getItem(key))]).filter(([, edit]) => edit);
}

export const forget = (key) => localStorage.removeItem(key);

// onOthers calls run when another tab has kept or forgotten an edit.
export const onOthers = (run) => addEventListener('storage', ({ key }) => { if (key?.startsWith(PREFIX)) run(); });
