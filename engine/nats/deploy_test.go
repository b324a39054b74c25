package natsengine_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/engine/enginetest"
	natsengine "github.com/webwire-go/webwire/engine/nats"
)

const deployed = "../../deploy/nats/"

// setEnvironment sets what the configuration reads; t.Setenv does not go with
// t.Parallel.
func setEnvironment() {
	for _, name := range []string{"CHAT", "ADMIN", "SYSTEM"} {
		os.Setenv("NATS_"+name+"_PASSWORD", "secret-of-"+name)
	}
	os.Setenv("NATS_NAME", "nats-1")
}

// The configuration in deploy/nats gives the application's user what the engine needs,
// and nothing of others.
func TestDeployedConfiguration(t *testing.T) {
	t.Parallel()
	o, err := server.ProcessConfigFile(deployed + "nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Routes) != 3 || o.ServerName != "nats-1" {
		t.Errorf("server %s has the routes %v", o.ServerName, o.Routes)
	}
	compose, err := os.ReadFile(deployed + "compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range o.Routes {
		for _, line := range []string{"  %s:\n    <<: *nats\n", "NATS_NAME: %s }", "\"%s:/data\"", "\n  %s:\n"} {
			if line := fmt.Sprintf(line, route.Hostname()); !strings.Contains(string(compose), line) {
				t.Errorf("compose.yaml has no %q", line)
			}
		}
	}

	// One server suffices to try out the account, at other addresses.
	c := newCluster(t, 1)
	o.Host, o.Port, o.HTTPPort = "127.0.0.1", c.options[0].Port, 0
	o.StoreDir, o.Cluster, o.Routes = t.TempDir(), server.ClusterOpts{}, nil
	o.NoLog, o.NoSigs = true, true
	c.options[0] = o
	c.runAll(t)

	admin, err := nats.Connect(c.url, nats.UserInfo("admin", "secret-of-ADMIN"), patient)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	js, err := jetstream.New(admin)
	if err != nil {
		t.Fatal(err)
	}
	chat := nats.UserInfo("chat", "secret-of-CHAT")
	var failures denials
	enginetest.Run(t, enginetest.Harness{
		Nodes: func(t *testing.T, n int) []engine.Engine {
			t.Cleanup(func() { // the nodes are closed
				ctx := context.Background() // that of the test has ended
				for name := range js.StreamNames(ctx).Name() {
					if err := js.DeleteStream(ctx, name); err != nil {
						t.Error(err)
					}
				}
			})
			var nodes []engine.Engine
			for range n {
				nodes = append(nodes, natsengine.New(natsengine.Options{
					URL: c.url, App: "chat", Connect: []nats.Option{chat, patient}, Logger: failures.logger(),
				}))
			}
			return nodes
		},
		History: 100,
		Slack:   slack(),
	})
	if all := failures.all(); len(all) > 0 {
		t.Errorf("denied: %q", all)
	}

	denied := make(chan error, 1)
	user, err := nats.Connect(c.url, chat, patient, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	for _, subject := range []string{"ww.other.t.room", "$JS.API.STREAM.DELETE.WW_chat_sessions"} {
		if err := user.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
		select {
		case <-denied:
		case <-time.After(time.Minute):
			t.Errorf("the application may publish to %s", subject)
		}
	}
	if _, err := user.SubscribeSync(">"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-denied:
	case <-time.After(time.Minute):
		t.Error("the application may subscribe to everything")
	}
}

// denials are the records of a log about permissions.
type denials struct {
	mu   sync.Mutex
	text []string
}

func (d *denials) logger() *slog.Logger { return slog.New(slog.NewTextHandler(d, nil)) }

func (d *denials) Write(line []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if bytes.Contains(bytes.ToLower(line), []byte("permission")) {
		d.text = append(d.text, string(line))
	}
	return len(line), nil
}

func (d *denials) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text
}
