// A room that goes on whichever node dies: the subscription continues where it was.
import { Client } from './webwire/index.js';

const $ = (id) => document.getElementById(id);
const room = new URLSearchParams(location.search).get('room') ?? 'lobby';
const client = new Client(new URL('ws', location.href).href);

$('room').textContent = room;
$('name').value = 'guest ' + Math.ceil(Math.random() * 1000);

let node = '';
const show = () => {
  $('status').textContent = node === '' ? client.status : `${client.status}; said by node ${node}`;
};
client.addEventListener('statuschange', show);
show();

$('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const text = $('text').value;
  try {
    node = (await client.request('say', { Room: room, Name: $('name').value, Text: text })).json();
    $('text').value = '';
    show();
  } catch (error) {
    $('status').textContent = `Not said, perhaps: ${error.message}`;
  }
});

const add = (text) => {
  const line = document.createElement('li');
  line.textContent = text;
  $('messages').append(line);
  line.scrollIntoView({ block: 'nearest' });
};

// since: 0 asks for all that the room still has.
const onGap = () => add('(some messages are gone)');
for await (const message of client.subscribe('room.' + room, { since: 0, onGap })) {
  const { Name, Text } = message.payload.json();
  add(`${Name}: ${Text}`);
}
