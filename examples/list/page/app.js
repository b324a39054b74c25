import { Client, ErrorReply } from './webwire/index.js';
import { forget, keep, kept, onOthers } from './edits.js';

const $ = (id) => document.getElementById(id);
const client = new Client('/api', { minBackoff: 200, maxBackoff: 5000 });
let user; // who is signed in
let items = new Map(); // what the server has, by ID
let rev = 0; // the last edit that was heard of while the list is loaded

// The list: what the server has, and the edits that it may not have.

function edited() {
  const all = new Map([...items].map(([id, item]) => [id, { ...item }]));
  for (const [, { item: id, text, done, gone }] of kept(user)) {
    const item = all.get(id) ?? (text !== undefined && { ID: id });
    if (!item) continue;
    all.set(id, Object.assign(item, text !== undefined && { Text: text }, done !== undefined && { Done: done }, { By: user, waiting: true }));
    if (gone) all.delete(id);
  }
  return [...all.values()];
}

function take(item) {
  rev = item.Rev;
  if (item.Gone) items.delete(item.ID);
  else items.set(item.ID, item);
}

// edit keeps an edit, shows it and sends it, now or when there is a connection.
function edit(change) {
  keep(user, change);
  show();
  send();
}

// send sends what is kept, in order. One tab at a time does it.
const send = () => navigator.locks.request('list:send', async () => {
  for (const [key, change] of kept(user)) {
    if (!client.session || client.session.info.Name !== user) return;
    try {
      await client.request('edit', change, { timeout: 10_000 });
    } catch (error) {
      if (!(error instanceof ErrorReply) || error.code === 'SIGNED_OUT') return; // it is sent again on the next connection
    }
    forget(key);
    show();
  }
});

// load gets the list, again if it has changed meanwhile.
async function load() {
  user = client.session?.info.Name;
  show();
  if (!user) return;
  try {
    let list;
    rev = 0;
    do list = (await client.request('list')).json(); while (rev > list.Rev);
    items = new Map(list.Items.map((item) => [item.ID, item]));
    show();
    await send();
  } catch {
    // the next connection loads it
  }
}

client.addEventListener('signal', ({ name, payload }) => {
  if (name !== 'item') return;
  take(payload.json());
  show();
});
for (const event of ['connected', 'gap', 'sessioncreated', 'sessionrestored', 'sessionclosed']) client.addEventListener(event, load);
client.addEventListener('statuschange', () => show());
client.addEventListener('resumed', send);
onOthers(() => show());

// The page.

function show() {
  $('status').textContent = { connected: '', closed: 'closed' }[client.status] ?? 'offline: edits are kept';
  const signedIn = user !== undefined;
  $('login').hidden = signedIn;
  $('leave').hidden = !signedIn;
  document.querySelector('main').hidden = !signedIn;
  if (!signedIn) return;
  const rows = edited().map((item) => {
    const row = document.getElementById(`item-${item.ID}`) ?? newRow(item.ID);
    const [done, text, by] = row.children;
    done.checked = item.Done;
    if (text !== document.activeElement) text.value = item.Text;
    by.textContent = item.waiting ? 'not sent' : item.By;
    row.classList.toggle('done', Boolean(item.Done));
    row.classList.toggle('waiting', Boolean(item.waiting));
    return row;
  });
  for (const row of [...$('items').children]) if (!rows.includes(row)) row.remove();
  rows.forEach((row, i) => { // a row that stays where it is keeps its focus
    if ($('items').children[i] !== row) $('items').insertBefore(row, $('items').children[i] ?? null);
  });
}

function newRow(id) {
  const row = document.createElement('li');
  row.id = `item-${id}`;
  const add = (tag, more) => row.appendChild(Object.assign(document.createElement(tag), more));
  add('input', { type: 'checkbox', ariaLabel: 'Done', onchange: ({ target }) => edit({ item: id, done: target.checked }) });
  add('input', { type: 'text', ariaLabel: 'Text', maxLength: 120, onchange: ({ target }) => edit({ item: id, text: target.value }) });
  add('small');
  add('button', { type: 'button', textContent: '✕', ariaLabel: 'Remove', onclick: () => edit({ item: id, gone: true }) });
  return row;
}

$('add').addEventListener('submit', (event) => {
  event.preventDefault();
  const { text } = event.target.elements;
  edit({ item: crypto.randomUUID(), text: text.value.trim() });
  text.value = '';
});

$('login').addEventListener('submit', async (event) => {
  event.preventDefault();
  const { name, password } = event.target.elements;
  try {
    await client.request('login', { name: name.value, password: password.value });
    event.target.reset();
    $('wrong').textContent = '';
  } catch (error) {
    $('wrong').textContent = error instanceof ErrorReply ? error.message : 'there is no connection';
  }
});

$('leave').addEventListener('click', () => {
  client.closeSession().then(load, () => { $('status').textContent = 'offline: cannot sign out'; });
});

show();
client.connect().catch(() => {});
