// 3.0 with a real server, in Node and in Chromium.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import WS from 'ws';
import { browserMissing, launch, serve } from './support/browser.js';
import * as steps from './support/modern.js';
import { Program, ROOT } from './support/programs.js';
import { Relay, goMissing } from './support/servers.js';

const names = Object.keys(steps).filter((name) => name !== 'resumedTopic');
const noBrowser = await browserMissing();

const PROGRAM = `package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/websocket"
)

func main() {
	ended := make(chan string, 1000)
	var mux server.Mux
	mux.Request("wait", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		<-ctx.Done()
		ended <- context.Cause(ctx).Error()
		return protocol.Payload{}, ctx.Err()
	})
	mux.Request("ended", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		return protocol.Text(<-ended), nil
	})
	mux.Request("echo", func(ctx context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil })
	mux.Request("meta", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		var all []string
		for k, v := range r.Meta.Metadata() {
			all = append(all, string(k)+"="+string(v))
		}
		d, ok := r.Meta.Deadline()
		return protocol.Text(fmt.Sprint(strings.Join(all, ","), " ", ok && d <= 5*time.Second)), nil
	})
	mux.Request("trace", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		var parent string
		var back protocol.Head
		trace, ok := r.Meta.Trace()
		state, _ := r.Meta.Field(protocol.TagTraceState)
		if ok {
			parent = trace.String()
			back = back.AppendTrace(trace).Append(protocol.TagTraceState, state)
		}
		_, err := r.Conn.Request(server.WithMeta(ctx, back), "traced", protocol.Text("x"))
		return protocol.Text(parent + " " + string(state)), err
	})
	mux.Request("who", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		who, _ := r.Conn.Value().(string)
		return protocol.Text(who), nil
	})
	mux.Request("login", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		_, err := r.Conn.CreateSession(ctx, nil)
		return protocol.Payload{}, err
	})
	mux.Request("ask", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		ctx = server.WithMeta(ctx, protocol.Head{}.AppendMetadata("from", "server"))
		p, err := r.Conn.Request(ctx, r.Payload.Text(), protocol.Text("x"))
		if err != nil {
			return protocol.Text("error: " + err.Error()), nil
		}
		return protocol.Text(p.Text()), nil
	})
	mux.Request("ask briefly", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		_, err := r.Conn.Request(ctx, r.Payload.Text(), protocol.Text("x"))
		return protocol.Text(strconv.FormatBool(errors.Is(err, context.DeadlineExceeded))), nil
	})
	mux.Stream("count", func(ctx context.Context, r *server.Request, send func(protocol.Payload) error) error {
		n, _ := strconv.Atoi(r.Payload.Text())
		for i := 0; i < n; i++ {
			if err := send(protocol.Text(strconv.Itoa(i))); err != nil {
				ended <- "stopped after " + strconv.FormatBool(i < 5000)
				return err
			}
		}
		if n == 3 {
			return &protocol.Error{Code: "THREE", Message: "three is enough"}
		}
		return nil
	})
	srv := server.New(server.Options{
		Upgrader: &websocket.Upgrader{Origins: []string{"*"}},
		Handler:  &mux,
		Version:  protocol.V3_0,
		Topics: func(name string) server.TopicOptions {
			return server.TopicOptions{History: !strings.HasPrefix(name, "plain"), Presence: strings.HasPrefix(name, "room")}
		},
		Logger:   slog.New(slog.DiscardHandler),
		Hooks: server.Hooks{OnSubscribe: func(ctx context.Context, c *server.Conn, topic string) (any, error) {
			if topic == "secret" {
				return nil, &protocol.Error{Code: "FORBIDDEN", Message: "not for you"}
			}
			return c.Value(), nil
		}, OnClientConnected: func(ctx context.Context, c *server.Conn) error {
			c.SetValue(string(c.Credentials()))
			if string(c.Credentials()) == "wrong" {
				return &transport.CloseError{Status: 4500, Reason: "who are you?"}
			}
			return nil
		}},
	})
	mux.Request("publish", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		var p struct {
			Topic    string
			From, To int
		}
		if err := r.Payload.DecodeJSON(&p); err != nil {
			return protocol.Payload{}, err
		}
		for n := p.From; n <= p.To; n++ {
			if _, err := srv.Topic(p.Topic).Publish(ctx, strconv.Itoa(n), protocol.Text("said")); err != nil {
				return protocol.Payload{}, err
			}
		}
		return protocol.Payload{}, nil
	})
	mux.Request("cut", func(ctx context.Context, r *server.Request) (protocol.Payload, error) {
		r.Conn.Close(4000, "") // after the reply
		return protocol.Payload{}, nil
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(ln.Addr())
	panic(http.Serve(ln, srv))
}
`;

describe('3.0 with a real server', { skip: await goMissing(), timeout: 600_000 }, () => {
  let dir;
  let server;
  let url;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'webwire-modern-'));
    await writeFile(join(dir, 'main.go'), PROGRAM);
    await promisify(execFile)('go', ['build', '-o', join(dir, 'server'), join(dir, 'main.go')], {
      cwd: ROOT,
    });
    server = await Program.start(join(dir, 'server'), [], /^([\d.]+:\d+)$/);
    url = `http://${server.where}/`;
  });

  after(async () => {
    await server?.kill();
    await rm(dir, { recursive: true, force: true });
  });

  describe('Node', () => {
    for (const name of names) test(name, () => steps[name](url, WS));

    test('resumedTopic', async () => {
      const relay = await Relay.start(new URL(url).host);
      try {
        await steps.resumedTopic(`http://${relay.addr}/`, WS, () => relay.cut());
      } finally {
        await relay.down();
      }
    });
  });

  describe('Chromium', { skip: noBrowser }, () => {
    let site;
    let browser;
    let page;

    before(async () => {
      site = await serve();
      browser = await launch();
      page = await browser.context.newPage();
      await page.goto(site.url);
    });

    after(async () => {
      await browser?.close();
      await site?.close();
    });

    for (const name of names) {
      test(name, () => page.evaluate(async ([step, to]) => {
        const all = await import('/test/support/modern.js');
        await all[step](to);
      }, [name, url]));
    }
  });
});
