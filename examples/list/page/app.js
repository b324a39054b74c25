import { Client, ErrorReply } from './webwire/index.js';
import { List } from './list.js';

const $ = (id) => document.getElementById(id);
const client = new Client('/api', { minBackoff: 200, maxBackoff: 5000 });
const list = new List(client, () => { due ??= setTimeout(show); });
let due; // a timer: many edits may come at once

function show() {
  due = undefined;
  $('status').textContent = client.status === 'connected' ? '' : 'offline: edits are kept';
  $('login').hidden = Boolean(list.user);
  $('leave').hidden = $('main').hidden = !list.user;
  const rows = list.items.map(({ ID, Text, By, Done, waiting }) => {
    const row = $(ID) ?? Object.assign($('row').content.firstElementChild.cloneNode(true), { id: ID });
    const [done, text, by] = row.children;
    done.checked = Done;
    if (text !== document.activeElement) text.value = Text;
    by.textContent = waiting ? 'not sent' : By;
    row.className = `${Done ? 'done' : ''} ${waiting ? 'waiting' : ''}`;
    return row;
  });
  for (const row of [...$('items').children]) if (!rows.includes(row)) row.remove();
  rows.forEach((row, i) => { // a row that stays where it is keeps its focus
    if ($('items').children[i] !== row) $('items').insertBefore(row, $('items').children[i] ?? null);
  });
}

$('items').onchange = ({ target: { parentElement: { id }, type, checked, value } }) => {
  list.edit(id, type === 'checkbox' ? { Done: checked } : { Text: value });
};

$('items').addEventListener('click', ({ target }) => target.type === 'button' && list.edit(target.parentElement.id, {}, true));

$('add').onsubmit = (event) => {
  event.preventDefault();
  list.edit(crypto.randomUUID(), { Text: $('add').text.value });
  $('add').reset();
};

$('login').onsubmit = async (event) => {
  event.preventDefault();
  try {
    await client.request('login', Object.fromEntries(new FormData($('login'))));
    $('login').reset();
  } catch (error) {
    $('wrong').textContent = error instanceof ErrorReply ? error.message : 'there is no connection';
  }
};

$('leave').onclick = () => client.closeSession().then(() => location.reload(), () => { $('status').textContent = 'cannot sign out'; });
client.addEventListener('statuschange', show);
client.connect().catch(() => {});
