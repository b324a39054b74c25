// Sockets that break between the client and a real server, in Node and in Chromium.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import WS from 'ws';
import { browserMissing, launch, serve } from './support/browser.js';
import { Program, ROOT } from './support/programs.js';
import { Worker, perfect } from './support/resume.js';
import { Relay, goMissing } from './support/servers.js';

const noBrowser = await browserMissing();

// What clients ask for is counted for each connection, in the value of it.
const PROGRAM = `package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

type counts struct {
	mu       sync.Mutex
	executed map[string]int
	ticks    int
	last     int
	disorder int
	news     int
	sending  sync.Mutex
}

type report struct {
	Executed int \`json:"executed"\`
	Doubled  int \`json:"doubled"\`
	Ticks    int \`json:"ticks"\`
	Disorder int \`json:"disorder"\`
	News     int \`json:"news"\`
}

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "")
	window := flag.Duration("window", 0, "")
	expiry := flag.Duration("expiry", 0, "")
	flag.Parse()
	var credentials atomic.Int64
	of := func(c *server.Conn) *counts { return c.Value().(*counts) }

	var mux server.Mux
	mux.Request("add", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		c := of(r.Conn)
		c.mu.Lock()
		c.executed[r.Payload.Text()]++
		c.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		c.sending.Lock()
		defer c.sending.Unlock()
		c.news++
		return r.Payload, r.Conn.Signal(ctx, "news", protocol.Text(strconv.Itoa(c.news)))
	})
	mux.Signal("tick", func(_ context.Context, s *server.Signal) {
		c := of(s.Conn)
		c.mu.Lock()
		defer c.mu.Unlock()
		n, _ := strconv.Atoi(s.Payload.Text())
		c.ticks++
		if n <= c.last {
			c.disorder++
		}
		c.last = n
	})
	mux.Request("slow", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		d, _ := time.ParseDuration(r.Payload.Text())
		select {
		case <-time.After(d):
			return protocol.Text("slept"), nil
		case <-ctx.Done():
			return protocol.Payload{}, context.Cause(ctx)
		}
	})
	mux.Request("login", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		_, err := r.Conn.CreateSession(ctx, nil)
		return protocol.Payload{}, err
	})
	mux.Request("report", func(_ context.Context, r *server.Request) (protocol.Payload, error) {
		c := of(r.Conn)
		c.sending.Lock()
		defer c.sending.Unlock()
		c.mu.Lock()
		defer c.mu.Unlock()
		res := report{Executed: len(c.executed), Ticks: c.ticks, Disorder: c.disorder, News: c.news}
		for _, n := range c.executed {
			res.Doubled += n - 1
		}
		return protocol.JSON(res)
	})
	expires := func(c *server.Conn) error {
		if *expiry > 0 {
			n, err := strconv.Atoi(string(c.Credentials()))
			if err != nil || int64(n) <= credentials.Swap(int64(n)) {
				return errors.New("these credentials were used before")
			}
			c.ExpiresAt(time.Now().Add(*expiry))
		}
		return nil
	}
	srv := server.New(server.Options{
		Upgrader:     &websocket.Upgrader{Origins: []string{"*"}},
		Handler:      &mux,
		Logger:       slog.New(slog.DiscardHandler),
		ResumeWindow: *window,
		Hooks: server.Hooks{
			OnClientConnected: func(_ context.Context, c *server.Conn) error {
				c.SetValue(&counts{executed: make(map[string]int)})
				return expires(c)
			},
			OnClientBack: func(_ context.Context, c *server.Conn) error { return expires(c) },
		},
	})
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		panic(err)
	}
	fmt.Println(ln.Addr())
	web := &http.Server{Handler: srv}
	go web.Serve(ln)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = srv.Shutdown(ctx)
	_ = web.Close()
}
`;

describe('resume with a real server', { skip: await goMissing(), timeout: 600_000 }, () => {
  let dir;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'webwire-resume-'));
    await writeFile(join(dir, 'main.go'), PROGRAM);
    await promisify(execFile)('go', ['build', '-o', join(dir, 'server'), join(dir, 'main.go')], {
      cwd: ROOT,
    });
  });

  after(() => rm(dir, { recursive: true, force: true }));

  // start starts a server, and returns where it is and how to end it.
  async function start(t, ...args) {
    const server = await Program.start(join(dir, 'server'), args, /^([\d.]+:\d+)$/);
    t.after(() => server.kill());
    return { addr: server.where, end: (signal) => server.kill(signal) };
  }

  async function relayed(t, ...args) {
    const server = await start(t, ...args);
    const relay = await Relay.start(server.addr);
    t.after(() => relay.down());
    return { server, relay, url: `http://${relay.addr}/` };
  }

  // until returns when something is so.
  async function until(so) {
    while (!await so()) await sleep(5);
  }

  // away returns when a client has noticed that its socket is lost.
  const away = (client) => until(() => client.status !== 'connected');

  describe('Node', () => {
    test('sockets are cut under requests and signals: none is lost, none doubled', async (t) => {
      const { relay, url } = await relayed(t);
      const worker = new Worker(url, WS);
      await worker.start();
      for (let i = 1; i <= 20; i++) {
        await sleep(Math.random() * 100);
        relay.cut();
        await sleep(Math.random() * 60);
        relay.cut(); // the next socket, if there is one yet, at whatever point it is
        await until(() => worker.count('resumed') >= i);
      }
      assert.deepEqual(await worker.stop(), perfect);
      assert.deepEqual([worker.count('connected'), worker.count('disconnected'), worker.count('gap')], [1, 0, 0]);
      t.diagnostic(`${worker.requests} requests, ${worker.signals} signals, ${worker.count('resumed')} resumes`);
    });

    test('the network is away for a while: requests wait, and are answered', async (t) => {
      const { relay, url } = await relayed(t);
      const worker = new Worker(url, WS);
      await worker.start();
      const slow = worker.client.request('slow', '1s');
      await relay.down();
      await away(worker.client);
      await sleep(1500); // the reply comes meanwhile
      assert.equal(worker.client.status, 'resuming');
      await relay.up();
      assert.equal((await slow).text(), 'slept');
      assert.deepEqual(await worker.stop(), perfect);
      assert.deepEqual(worker.events.slice(0, 2), ['connected', 'resumed']);
    });

    test('beyond the window the connection is another, and says so', async (t) => {
      const { relay, url } = await relayed(t, '-window', '500ms');
      const worker = new Worker(url, WS);
      const { client } = worker;
      await client.request('login');
      const { key } = client.session;
      const slow = assert.rejects(client.request('slow', '10s'), (error) => error.name === 'DisconnectedError' && error.sent);
      client.signal('tick', '1');
      await relay.down();
      await away(client);
      const waiting = client.request('add', 'x');
      await slow;
      assert.equal(client.status, 'connecting');
      await relay.up();
      assert.equal((await waiting).text(), 'x');
      assert.equal(client.session.key, key);
      assert.equal(worker.count('gap'), 1);
      assert.deepEqual(worker.events.map((event) => event.split(' ')[0]), ['connected', 'disconnected', 'gap', 'connected']);
      client.close();
    });

    test('a server that is killed and started again: what was sent may have been executed', async (t) => {
      const server = await start(t);
      const worker = new Worker(`http://${server.addr}/`, WS);
      const { client } = worker;
      await client.connect();
      const slow = assert.rejects(client.request('slow', '10s'), (error) => error.name === 'DisconnectedError' && error.sent);
      await server.end('SIGKILL');
      await away(client);
      const waiting = client.request('add', 'x');
      await start(t, '-addr', server.addr);
      await slow;
      assert.equal((await waiting).text(), 'x');
      assert.equal(worker.count('gap'), 1);
      client.close();
    });

    test('a server that shuts down in good order, and its successor: no request fails', async (t) => {
      const server = await start(t);
      const worker = new Worker(`http://${server.addr}/`, WS);
      await worker.start();
      const slow = worker.client.request('slow', '500ms');
      await until(() => worker.requests > 20); // the slow one has begun long ago
      const ended = server.end('SIGTERM');
      assert.equal((await slow).text(), 'slept');
      await ended;
      await start(t, '-addr', server.addr);
      await until(() => worker.count('connected') > 1);
      const { errors } = await worker.stop(false);
      assert.deepEqual(errors, []);
      assert.equal(worker.count('connected'), 2);
    });

    test('credentials that expire every second while a page works: no request fails', async (t) => {
      const server = await start(t, '-expiry', '1s');
      let made = 0;
      const worker = new Worker(`http://${server.addr}/`, WS, {
        credentials: async () => {
          return String(++made);
        },
      });
      await worker.start();
      await until(() => made >= 5);
      assert.deepEqual(await worker.stop(), perfect);
    });
  });

  describe('Chromium', { skip: noBrowser }, () => {
    let site;
    let browser;

    before(async () => {
      site = await serve();
      browser = await launch();
    });

    after(async () => {
      await browser?.close();
      await site?.close();
    });

    async function open(t) {
      const page = await browser.context.newPage();
      await page.goto(site.url);
      t.after(() => page.close());
      return page;
    }

    // begin lets a page work.
    async function begin(t, url, crowd = 8) {
      const page = await open(t);
      await page.evaluate(async ({ to, many }) => {
        const { Worker: Work } = await import('/test/support/resume.js');
        window.work = new Work(to);
        await window.work.start(many);
      }, { to: url, many: crowd });
      return page;
    }

    const stop = (page, one = true) => page.evaluate(async (all) => [await window.work.stop(all), window.work.events], one);
    const happened = (page, type, times = 1) => page.waitForFunction(
      ({ want, n }) => window.work.count(want) >= n, { want: type, n: times }, { polling: 50 },
    );

    test('sockets are cut under requests and signals', async (t) => {
      const { relay, url } = await relayed(t);
      const page = await begin(t, url);
      for (let i = 1; i <= 8; i++) {
        await sleep(Math.random() * 100);
        relay.cut();
        await happened(page, 'resumed', i);
      }
      const [result, events] = await stop(page);
      assert.deepEqual(result, perfect);
      assert.equal(events.filter((event) => event !== 'resumed').length, 1, events);
    });

    test('offline and back', async (t) => {
      const { relay, url } = await relayed(t);
      const page = await begin(t, url);
      t.after(() => browser.context.setOffline(false));
      relay.swallow(); // before the page asks: it knows that it is offline
      await browser.context.setOffline(true);
      await browser.context.setOffline(false);
      await happened(page, 'resumed');
      const [result, events] = await stop(page);
      assert.deepEqual(result, perfect);
      assert.deepEqual(events.filter((event) => event !== 'resumed'), ['connected']);
    });

    for (const [what, window, last] of [['within', '2m', 'resumed'], ['beyond', '300ms', 'connected']]) {
      test(`a tab that is frozen, ${what} the window`, async (t) => {
        const { url } = await relayed(t, '-window', window);
        const page = await begin(t, url, 0);
        const devtools = await browser.context.newCDPSession(page);
        // Beyond the window it is lost, and must still be waiting when the page is frozen.
        await page.evaluate((lasts) => {
          window.slow = window.work.client.request('slow', lasts, { timeout: Infinity }).then((reply) => reply.text(), (error) => String(error.sent));
        }, last === 'resumed' ? '1s' : '1h');
        await open(t); // in front of the other: only hidden tabs are frozen
        await devtools.send('Page.setWebLifecycleState', { state: 'frozen' });
        await sleep(1_000);
        await devtools.send('Page.setWebLifecycleState', { state: 'active' });
        await happened(page, last, last === 'resumed' ? 1 : 2);
        assert.equal(await page.evaluate(() => window.slow), last === 'resumed' ? 'slept' : 'true');
        const [result, events] = await stop(page, last === 'resumed');
        if (last === 'resumed') {
          assert.deepEqual(result, perfect);
          assert.deepEqual(events.filter((event) => event !== 'resumed'), ['connected']);
        } else {
          assert.deepEqual(events.map((event) => event.split(' ')[0]), ['connected', 'disconnected', 'gap', 'connected']);
        }
      });
    }
  });
});
