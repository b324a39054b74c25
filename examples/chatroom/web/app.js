// The page: it shows the events of the chat, and passes on what the user does.

import { Chat, FIRST_ROOM } from './chat.js';
import { Composer } from './composer.js';
import { $, el } from './dom.js';
import { Log } from './log.js';
import { roomKey } from './room.js';
import { Sidebar } from './sidebar.js';
import { browser } from './storage.js';

const NAME = 'chatroom.name'; // the last one that was used
const TYPING = 4000; // after which somebody has stopped typing
const LATE = 800; // before the banner says that there is no connection

const chat = new Chat();
let current; // key of the room that is shown
let signingIn = false;

const log = new Log({
  retry: (id) => {
    chat.outbox.retry(id);
    chat.flush();
  },
  discard: (id) => chat.outbox.remove(id),
  earlier: () => chat.earlier(chat.open.get(current)),
});
const composer = new Composer({
  say: (text) => chat.say(chat.open.get(current), text),
  typing: () => chat.typing(chat.open.get(current)),
});
const sidebar = new Sidebar({ enter: (name) => go(name) });

// Which room: the address says it, so that back and forward, and links, work.

function go(name) {
  if (roomKey(name) === current) sidebar.close();
  else location.hash = name;
}

function wanted() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return ''; // somebody made it up
  }
}

function showRoom(name) {
  const room = chat.room(name);
  current = room.key;
  chat.enter(name);
  sidebar.close(false);
  sidebar.refused('');
  room.unread = 0;
  log.show(room, chat.me, chat.unsent(current));
  showMembers(room);
  showProblem(room);
  showTyping();
  showRooms();
  composer.show(room);
  composer.focusUnlessTouch();
}

// leaveRefused leaves a room that the server has refused.
function leaveRefused({ key, error }) {
  const next = [...chat.open.keys()][0] ?? FIRST_ROOM;
  if (key === current) {
    history.replaceState(null, '', `#${next}`);
    showRoom(next);
  }
  sidebar.refused(error.message);
}

addEventListener('hashchange', () => chat.me && showRoom(wanted() || FIRST_ROOM));

// The fragment of the link would be taken for a room.
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  composer.focus();
});

$('leave').addEventListener('click', () => {
  const others = [...chat.open.values()].filter(({ key }) => key !== current);
  chat.leave(current).catch(() => {}); // the connection is lost, and with it the room
  go(others.at(-1)?.name ?? FIRST_ROOM);
});

// showProblem shows why the room could not be joined, if it could not.
function showProblem(room) {
  if (room.key !== current) return;
  $('problem').hidden = !room.problem;
  $('problem-text').textContent = room.problem && `You are not in ${room.name}: ${room.problem}`;
}

$('problem-retry').addEventListener('click', async () => {
  const room = chat.open.get(current);
  room.problem = '';
  showProblem(room);
  composer.focus();
  await chat.enter(room.name);
});

function showRooms() {
  const name = chat.open.get(current)?.name ?? '';
  $('room-title').textContent = name;
  $('room-title').title = name;
  sidebar.rooms(chat.list, chat.open, current);
  const unread = [...chat.open.values()].reduce((sum, room) => sum + room.unread, 0);
  document.title = chat.me ? `${unread ? `(${unread}) ` : ''}${name} · Chatroom` : 'Chatroom';
  $('leave').hidden = current === FIRST_ROOM && chat.open.size < 2;
}

function showMembers(room) {
  if (room.key !== current) return;
  sidebar.people(room.members, chat.me);
  const { length } = room.members;
  $('room-count').textContent = length ? `${length} ${length === 1 ? 'person' : 'people'} here` : '';
}

// Who is typing.

const typing = new Map(); // by key of the room, then by name: a timer

function startTyping({ key }, name) {
  stopTyping({ key }, name);
  if (!typing.has(key)) typing.set(key, new Map());
  typing.get(key).set(name, setTimeout(() => stopTyping({ key }, name), TYPING));
  showTyping();
}

function stopTyping({ key }, name) {
  if (!typing.get(key)?.has(name)) return;
  clearTimeout(typing.get(key).get(name));
  typing.get(key).delete(name);
  showTyping();
}

function showTyping() {
  const [one, two, ...more] = [...(typing.get(current)?.keys() ?? [])].map((name) => el('bdi', {}, name));
  let text = [];
  if (more.length) text = ['Several people are typing'];
  else if (two) text = [one, ' and ', two, ' are typing'];
  else if (one) text = [one, ' is typing'];
  $('typing-text').replaceChildren(...text);
  $('typing').classList.toggle('active', text.length > 0);
}

// Signing in and out.

function showSignIn(why) {
  composer.forget();
  if (!why && !$('signin').hidden) return; // the reason may be shown already
  $('chat').hidden = true;
  $('signin').hidden = false;
  document.title = 'Chatroom';
  current = undefined;
  $('name').value ||= browser.get(NAME) ?? '';
  signInError(why);
  if (!document.querySelector('dialog[open]')) $('name').focus();
}

function showChat() {
  sidebar.me(chat.me);
  $('signout').disabled = !chat.signedIn;
  $('signin').hidden = true;
  if (!$('chat').hidden) return;
  $('chat').hidden = false;
  showRoom(wanted() || [...chat.open.values()][0]?.name || FIRST_ROOM);
}

function signInError(text) {
  $('name-error').textContent = text;
  $('name').setAttribute('aria-invalid', Boolean(text));
}

$('signin-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const name = $('name').value.trim();
  if (signingIn) return;
  if (!name) {
    signInError('Please type a name.');
    $('name').focus();
    return;
  }
  signingIn = true;
  signInError('');
  try {
    await chat.signIn(name);
    browser.set(NAME, name);
  } catch (error) {
    const text = error.code ? error.message : 'The server does not answer. Please try again.';
    signInError(`${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`);
    $('name').focus();
  } finally {
    signingIn = false;
  }
});

$('signout').addEventListener('click', async () => {
  if (chat.unsent().length && !(await confirmed($('unsent')))) return;
  chat.signOut().catch((error) => showBanner(`Signing out failed: ${error.message}`, 'lost'));
});

function confirmed(dialog) {
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'leave'), { once: true });
  });
}

// The connection.

let lateTimer; // until the banner says that there is no connection
let backTimer; // until it no longer says that there is one again
let wasLost = false;

// trouble returns what is wrong with the connection, if anything.
function trouble() {
  if (!navigator.onLine) return 'Your device is offline. What you write is kept, and sent when it is online again.';
  if (chat.held) return 'You cannot be signed in at the moment, maybe because too many tabs are open. What you write is kept, and sent later.';
  if (chat.status === 'connected' || chat.status === 'disconnected') return '';
  return chat.me ? 'No connection. What you write is kept, and sent when it is back.' : 'Connecting to the server…';
}

function showStatus() {
  clearTimeout(lateTimer);
  const connected = chat.status === 'connected';
  const text = trouble();
  $('signout').disabled = !chat.signedIn;
  document.body.classList.toggle('offline', !connected || Boolean(text));
  if (text) {
    const show = () => {
      clearTimeout(backTimer);
      wasLost = true;
      showBanner(text, 'lost');
    };
    if (wasLost || !navigator.onLine) show();
    else lateTimer = setTimeout(show, LATE);
  } else if (connected && wasLost) {
    wasLost = false;
    showBanner('Connected again.', 'back');
    backTimer = setTimeout(() => showBanner('', ''), 2500);
  }
}

addEventListener('online', showStatus);
addEventListener('offline', showStatus);

function showBanner(text, kind) {
  $('banner').className = `banner ${kind}`;
  $('banner').textContent = text;
}

// Events of the chat.

const on = (type, listener) => chat.addEventListener(type, ({ detail }) => listener(detail));

on('status', showStatus);
on('signedin', showChat);
on('signedout', showSignIn);
on('refused', leaveRefused);
on('failed', (error) => showBanner(`This does not work: ${error.message}`, 'lost'));
on('rooms', () => current && showRooms());
on('members', showMembers);
on('problem', showProblem);
on('outbox', () => current && log.unsent(() => chat.unsent(current)));
on('typing', ({ room, name }) => startTyping(room, name));
on('notice', ({ room, name, what }) => {
  if (what === 'left') stopTyping(room, name);
  if (room.key === current) log.notice(name, what);
});
on('messages', ({ room, added = [], older, reset, missed }) => {
  for (const { name } of added) stopTyping(room, name);
  const seen = room.key === current && !document.hidden;
  const news = missed && !room.seen ? [] : added.filter(({ name }) => name !== chat.me);
  room.seen = true; // messages from before are not news
  if (!seen && news.length) {
    room.unread += news.length;
    showRooms();
  }
  if (room.key !== current) return;
  if (reset) log.show(room, chat.me, chat.unsent(current));
  else if (older) log.prepend(older, chat.me);
  else if (missed && room.messages.length === added.length) log.show(room, chat.me, chat.unsent(current));
  else log.add(added, chat.me);
});

document.addEventListener('visibilitychange', () => {
  const room = chat.open.get(current);
  if (document.hidden || !room) return;
  room.unread = 0;
  showRooms();
});

if (chat.me) showChat();
chat.start();
showStatus();
