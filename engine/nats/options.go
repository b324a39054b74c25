// Package natsengine is an engine on NATS: it makes several servers of an application
// act as one. It needs NATS 2.12 or newer with JetStream.
//
//	srv := server.New(server.Options{Engine: natsengine.New(natsengine.Options{
//		URL: "nats://nats-1:4222,nats://nats-2:4222,nats://nats-3:4222",
//		App: "chat",
//	})})
//
// Publications are core NATS messages; history, sessions and presence are in
// JetStream streams, whose number does not depend on the number of topics. A node that
// opens creates the streams that do not exist and compares those that do; it never
// recreates them. A stream that does not do what the engine needs fails Open; one with
// other limits is used as it is, with a warning.
//
// # What to run
//
// Run three NATS servers of their own. JetStream inside pods of the application that
// an autoscaler adds and removes loses its quorum, and then all data. Data is as
// durable as your JetStream: by default NATS syncs files to the disk every two
// minutes, so a power failure of a majority of the servers at once loses what was
// acknowledged in that time; set
//
//	jetstream { sync_interval: always }
//
// if that matters more than speed. The limit max_payload of the servers, 1 MiB by
// default, also limits publications. Each class of history reserves its MaxBytes
// on the servers. docs/nodes.md has the permissions, the sizes, and a configuration.
//
// # What is promised
//
// The engine keeps the promises of package engine. A node finds out within about six
// seconds that it is separated from NATS, and within one second that a stream was recreated
// or has another leader; it calls Lost then. A partition of NATS itself can show a
// node on the smaller side an old state of the logs for about ten seconds, until
// the servers there step down. Messages that an operator deletes from the middle of a
// stream, or a purge of a single subject, go unnoticed; a purge of a stream is
// noticed by readers whose position is before its end.
package natsengine

import (
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/webwire-go/webwire/engine"
	"github.com/webwire-go/webwire/session"
)

// Options are the settings of an engine. The zero value connects to a server on this
// machine. All nodes of an application must have the same App, Classes and Class.
type Options struct {
	// URL is where the NATS servers are, separated by commas.
	// Empty: nats://127.0.0.1:4222.
	URL string

	// App is the application's name in subjects and streams: 1 to 32 letters,
	// digits, "-" and "_". Applications with different names share nothing. Empty:
	// "webwire".
	App string

	// Connect are further options of the connection, such as credentials and TLS.
	// They must not set handlers or how to reconnect. Nil: none.
	Connect []nats.Option

	// Replicas is on how many servers each stream is kept, when it is made. Zero: 3,
	// or 1 if the server is not part of a cluster.
	Replicas int

	// Classes are the kinds of history that topics can have, with a stream each.
	// Nil: DefaultClasses.
	Classes []Class

	// Class returns the name of the class of a topic. It must always return the same
	// for a topic, on all nodes. Nil: the first of Classes, for all topics.
	Class func(topic string) string

	// MaxSessionAge is how long a session is kept after it was last seen. Zero:
	// session.DefaultMaxAge. Negative: no limit.
	MaxSessionAge time.Duration

	// Timeout is how long a call waits for an answer of NATS if its context allows
	// more. Open waits up to four times as long for servers that are starting.
	// Zero: 5 seconds.
	Timeout time.Duration

	// OnAway is called when the connection to NATS is lost, with the reason, for example so
	// that a load balancer sends clients to other nodes. OnAway, OnBack, OnGivenUp and
	// OnNodeDied are called one at a time, in the order in which things happened, and must
	// return soon. Nil: nothing is called.
	OnAway func(cause error)

	// OnBack is called when the connection to NATS is back. Nil: nothing is called.
	OnBack func()

	// OnGivenUp is called after OnAway, once, if the connection is closed for good: the NATS
	// client keeps reconnecting, except after an error of a server that it does not know.
	// Calls then fail with errors that wrap engine.ErrAway and say so, and the node does not
	// come back: shut it down, and end the process, so that it is started again.
	// Nil: nothing is called.
	OnGivenUp func(cause error)

	// OnNodeDied is called when another node has been silent for five seconds, and not when
	// it was closed. Nil: nothing is called.
	OnNodeDied func(node engine.NodeID)

	// Logger gets lost connections and other failures. Nil: slog.Default().
	Logger *slog.Logger
}

// Class is a kind of history.
type Class struct {
	// Name is part of the name of the stream: 1 to 32 letters, digits, "-" and "_".
	Name string

	// History is how many entries of a topic are kept. Zero: 100.
	History int

	// MaxAge is how long an entry is kept. Zero: one hour. Negative: no limit.
	MaxAge time.Duration

	// MaxBytes limits all entries of the class together; the oldest are evicted
	// first. The servers reserve it. Zero: 1 GiB. Negative: no limit, and nothing is
	// reserved.
	MaxBytes int64
}

// DefaultClasses returns the classes "recent", 100 entries for an hour, and "kept",
// 10,000 entries for 7 days.
func DefaultClasses() []Class {
	return []Class{
		{Name: "recent", History: 100, MaxAge: time.Hour},
		{Name: "kept", History: 10_000, MaxAge: 7 * 24 * time.Hour},
	}
}

// New returns the engine of one node. It connects when its Bus is opened.
func New(opts Options) engine.Engine {
	setDefault(&opts.URL, nats.DefaultURL)
	setDefault(&opts.App, "webwire")
	setDefault(&opts.MaxSessionAge, session.DefaultMaxAge)
	setDefault(&opts.Timeout, 5*time.Second)
	setDefault(&opts.Logger, slog.Default())
	classes := append([]Class(nil), opts.Classes...)
	if len(classes) == 0 {
		classes = DefaultClasses()
	}
	for i := range classes {
		setDefault(&classes[i].History, 100)
		setDefault(&classes[i].MaxAge, time.Hour)
		setDefault(&classes[i].MaxBytes, 1<<30)
	}
	opts.Classes = classes
	if opts.Class == nil {
		opts.Class = func(string) string { return classes[0].Name }
	}
	n := newNode(opts)
	return engine.Engine{Bus: n, Log: history{n}, Roster: roster{n}, Sessions: sessions{n}}
}

func setDefault[T comparable](value *T, byDefault T) {
	var zero T
	if *value == zero {
		*value = byDefault
	}
}
