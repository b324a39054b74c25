// A server that attacks its clients, each in the way that the path of the URL names. It speaks
// 3.0. GET of a path tells how many connections came there, and how many messages were sent.

import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocketServer } from 'ws';

const little = (n, size) => Array.from({ length: size }, (_, i) => Math.floor(n / 256 ** i) % 256);
const message = (...parts) => Buffer.concat(parts.map((part) => Buffer.from(part)));
const zeros = (n) => Array(n).fill(0);
const ID = [1, 0, 0, 0, 0, 0, 0, 0];
const HEAD = [0, 0];
const BULK = zeros(1000);

const conf = message([23, 3, 0], little(60_000, 4), little(1 << 20, 4), little(64 << 10, 4), little(100, 2));
const welcome = message([25], zeros(59));
const lasting = message([25], zeros(33), little(120_000, 4), zeros(22)); // it can be resumed for two minutes
const drain = (spread, grace = 0) => message([11, 0], little(spread, 4), little(grace, 4));

// send resolves when the message was sent, to true unless the socket has ended. Meanwhile the
// server does other things too.
const send = (socket, data) => new Promise((resolve) => {
  socket.send(data, (error) => setImmediate(resolve, !error));
});

async function open(socket) {
  return await send(socket, conf) && send(socket, welcome);
}

// repeat sends messages until the socket ends.
const repeat = (...messages) => async (socket, counts) => {
  if (!await open(socket)) return;
  for (let i = 0; socket.readyState === 1; i++) {
    const each = messages[i % messages.length];
    if (i % 100) socket.send(each);
    else if (!await send(socket, each)) return;
    counts.messages++;
  }
};

// greeted does something once the connection is open.
const greeted = (then) => async (socket, counts) => {
  if (await open(socket)) await then(socket, counts);
};

// presence confirms subscriptions, and tells the last one of members: message i of those that
// come to it.
const presence = (op, said) => greeted(async (socket, counts) => {
  let ref = 0;
  let i = 0;
  socket.on('message', (data) => {
    if (data[0] !== 34) return; // a subscribe
    ref = data.readUInt32LE(9);
    i = 0;
    socket.send(message([191], data.subarray(1, 9), HEAD, zeros(16)));
  });
  do {
    counts.messages++;
    await sleep(1); // else what is measured is garbage
  } while (await send(socket, message([72], little(ref, 4), [op], JSON.stringify(said(i++)))));
});
const INFO = 'x'.repeat(10_000);

const request = (i) => message([128], little(i, 8), HEAD, [1], 'r', BULK);

const attacks = {
  'accept and close': (socket) => socket.close(),
  'open and close': greeted((socket) => socket.close()),
  'never conf': () => {},
  'never welcome': (socket) => socket.send(conf),
  async garbage(socket, counts) {
    if (Math.random() < 0.5 && !await open(socket)) return;
    do counts.messages++; while (await send(socket, Buffer.from(Array.from({ length: Math.random() * 100 }, () => Math.random() * 256))));
  },
  'conf again and again': repeat(conf),
  signals: repeat(message([63], HEAD, [1], 's', BULK)),
  'sessions created': repeat(message([21], '{"k":"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ","c":"2026-01-01T00:00:00Z","i":{"a":1}}')),
  'another session each time': greeted(async (socket, counts) => {
    do counts.messages++; while (await send(socket, message([21], `{"k":"${String(counts.messages).padStart(43, 'k')}","c":"2026-01-01T00:00:00Z"}`)));
  }),
  'replies to nothing': repeat(message([191], little(99, 8), HEAD, BULK)),
  'items of nothing': repeat(message([66], little(99, 8), BULK)),
  'publications of nothing': repeat(message([69], little(9, 4), little(1, 8), HEAD, [1], 't', BULK)),
  requests: repeat(message([128], ID, HEAD, [1], 'r', BULK)),
  'requests, and reads no answer': greeted(async (socket, counts) => {
    socket.pause();
    do counts.messages++; while (await send(socket, request(counts.messages)));
  }),
  'the same, and the connection can be resumed': async (socket, counts) => {
    if (!await send(socket, conf) || !await send(socket, lasting)) return;
    for (let i = 0; await send(socket, request(i)); i++) counts.messages++;
  },
  cancels: repeat(message([9], ID, [0])),
  'drain over an hour in a loop': repeat(drain(3_600_000)),
  'drain in a loop': repeat(drain(0)),
  'drain of each socket, and the connection can be resumed': async (socket, counts) => {
    if (!await send(socket, conf) || !await send(socket, lasting)) return;
    if (await send(socket, counts.connections % 2 ? drain(1, 2) : drain(0))) counts.messages++;
  },
  'presence: members that enter': presence(2, (i) => ({ id: `${i}`, data: INFO })),
  'presence: a snapshot that does not end': presence(0, (i) => [{ id: `${i}`, data: INFO }]),
  'presence: members without anything': presence(0, (i) => Array.from({ length: 1000 }, (_, j) => ({ id: `${1000 * i + j}` }))),
};

const all = new Map(Object.keys(attacks).map((name) => [name, { connections: 0, messages: 0 }]));
const named = ({ url }) => decodeURIComponent(url.slice(1));

const server = http.createServer((_, response) => {
  response.setHeader('Connection', 'close'); // the next question does not find one that is about to be closed
  response.end(JSON.stringify(Object.fromEntries(all)));
});
const sockets = new WebSocketServer({ server, perMessageDeflate: false, handleProtocols: () => 'webwire-3.0' });
sockets.on('connection', async (socket, asked) => {
  const name = named(asked);
  const counts = all.get(name);
  counts.connections++;
  socket.on('error', () => {});
  await attacks[name](socket, counts);
});
server.listen(0, '127.0.0.1', () => console.log(`${Object.keys(attacks).join('|')} at ${server.address().port}`));
