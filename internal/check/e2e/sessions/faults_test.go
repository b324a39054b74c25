package sessions_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/session/sessiontest"
)

var errDisk = errors.New("the disk is on fire")

// faults are the ways in which an operation of a store fails. The session may have
// been changed all the same where that is said.
var faults = []struct {
	name  string
	fault sessiontest.Fault
	done  bool
}{
	{"Fail", sessiontest.Fail(errDisk), false},
	{"FailAfter", sessiontest.FailAfter(errDisk), true},
	{"Damaged", sessiontest.Fail(fmt.Errorf("%w: file 1234", session.ErrDamaged)), false},
	{"Panic", sessiontest.Panic("the store has a bug"), false},
	{"PanicAfter", func(ctx context.Context, _ *sessiontest.Call, next func(context.Context) error) error {
		next(ctx)
		panic("the store has a bug")
	}, true},
	{"Hang", func(ctx context.Context, call *sessiontest.Call, next func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute/2)
		defer cancel()
		return sessiontest.Hang()(ctx, call, next)
	}, false},
}

// eachFault runs a test with a store that works until it is broken.
func eachFault(t *testing.T, test func(t *testing.T, s *site, store *sessiontest.Faulty, fault sessiontest.Fault, done bool)) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, v protocol.Version) {
				store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
				test(t, open(t, v, server.Options{Sessions: store}), store, f.fault, f.done)
			})
		})
	}
}

// patient is for clients that outlast a store that hangs.
var patient = client.Options{DialTimeout: 5 * time.Minute, Timeout: 5 * time.Minute}

func TestCreateWithFailingStore(t *testing.T) {
	eachFault(t, func(t *testing.T, s *site, store *sessiontest.Faulty, fault sessiontest.Fault, _ bool) {
		var keys []string
		store.Break(sessiontest.Save, func(ctx context.Context, call *sessiontest.Call, next func(context.Context) error) error {
			keys = append(keys, call.Key)
			return fault(ctx, call, next)
		})
		var told events
		opts := patient
		opts.Hooks = told.watch("c")
		c := s.client(opts)
		_, err := client.Call[struct{}](t.Context(), c, "login", ann)
		wantErr(t, err, protocol.ErrInternal)
		wantNobody(t, c)
		s.wantSessions(0)
		told.want(t)
		if _, err := store.Load(t.Context(), keys[0]); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("a session that nobody has is left in the store (%v)", err)
		}
		store.Mend(sessiontest.Save)
		login(t, c, ann)
		wantUser(t, c, ann)
	})
}

func TestRestoreWithFailingStore(t *testing.T) {
	eachFault(t, func(t *testing.T, s *site, store *sessiontest.Faulty, fault sessiontest.Fault, _ bool) {
		var told events
		opts := patient
		opts.Hooks = told.watch("c")
		c := s.client(opts)
		made := login(t, c, ann)
		s.dropAll()
		store.Break(sessiontest.Load, fault)
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantNobody(t, c)
		wantErr(t, c.RestoreSession(t.Context(), made.Key), protocol.ErrInternal)
		s.wantConns(made.Key, 0)
		store.Mend(sessiontest.Load)
		s.dropAll()
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantUser(t, c, ann) // the key was kept
		told.want(t, "c created")
	})
}

// That the use of a session cannot be noted keeps nobody out.
func TestTouchWithFailingStore(t *testing.T) {
	eachFault(t, func(t *testing.T, s *site, store *sessiontest.Faulty, fault sessiontest.Fault, _ bool) {
		c := s.client(patient)
		login(t, c, ann)
		store.Break(sessiontest.Touch, fault)
		s.dropAll()
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantUser(t, c, ann)
		synctest.Wait()
		if store.Calls(sessiontest.Touch) < 2 || !s.logged.has("note a use") && !s.logged.has("panicked") {
			t.Errorf("nothing is logged of it:\n%v", s.logged)
		}
	})
}

func TestCloseWithFailingStore(t *testing.T) {
	eachFault(t, func(t *testing.T, s *site, store *sessiontest.Faulty, fault sessiontest.Fault, done bool) {
		var told events
		opts := patient
		opts.Hooks = told.watch("a")
		a, b := s.client(opts), s.client(patient)
		made := login(t, a, ann)
		if err := b.RestoreSession(t.Context(), made.Key); err != nil {
			t.Fatal(err)
		}
		store.Break(sessiontest.Delete, fault)
		wantErr(t, a.CloseSession(t.Context()), protocol.ErrInternal)
		if err := s.CloseSession(t.Context(), made.Key); err == nil {
			t.Error("the server closed it")
		}
		wantUser(t, a, ann) // as far as anybody knows
		wantUser(t, b, ann)
		s.wantConns(made.Key, 2)
		told.want(t, "a created")
		store.Mend(sessiontest.Delete)
		if err := b.CloseSession(t.Context()); err != nil {
			t.Errorf("once more: %v", err)
		}
		told.want(t, "a closed")
		wantNobody(t, a)
		s.wantSessions(0)
	})
}

// A store that does not notice its damages must not get them to a client.
func TestSpoiledSessions(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
		s := open(t, v, server.Options{Sessions: store})
		c := s.client(client.Options{})
		made := login(t, c, ann)
		other := login(t, s.client(client.Options{}), user{Name: "eve"})
		spoilers := map[string]sessiontest.Fault{
			"all": sessiontest.Spoil(),
			"info": func(ctx context.Context, call *sessiontest.Call, next func(context.Context) error) error {
				err := next(ctx)
				call.Session.Info = call.Session.Info[:5]
				return err
			},
			"somebody else's": func(ctx context.Context, call *sessiontest.Call, next func(context.Context) error) error {
				call.Key = other.Key
				return next(ctx)
			},
		}
		for name, fault := range spoilers {
			store.Break(sessiontest.Load, fault)
			s.dropAll()
			if err := c.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, ok := c.Session(); ok {
				t.Errorf("%s: the client got %v with %s", name, got, got.Info)
			}
			s.wantConns(made.Key, 0)
		}
		store.Mend(sessiontest.Load)
		s.dropAll()
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantUser(t, c, ann)

		store.Break(sessiontest.Save, sessiontest.Spoil())
		_, err := client.Call[struct{}](t.Context(), s.client(client.Options{}), "login", ann)
		wantErr(t, err, protocol.ErrInternal)
	})
}

// A slow store delays; what is held meanwhile is given back.
func TestSlowStore(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		store := &sessiontest.Faulty{Store: &session.MemoryStore{}}
		for _, op := range []sessiontest.Op{sessiontest.Save, sessiontest.Load, sessiontest.Touch, sessiontest.Delete} {
			store.Break(op, sessiontest.Delay(3*time.Second))
		}
		s := open(t, v, server.Options{Sessions: store, MaxSessionConns: 1, SessionPolicy: server.RefuseNewest})
		a, w := s.client(client.Options{}), s.wire()
		made := login(t, a, ann)
		wantUser(t, a, ann)
		a.Close()
		s.wantConns(made.Key, 0)

		w.send(protocol.RestoreSession, "", made.Key)
		synctest.Wait()
		second := s.wire() // the place is taken while the store is asked
		second.want(second.send(protocol.RestoreSession, "", made.Key), protocol.ReplySessionFull)
		w.conn.Abort() // and given back if nobody is there any more for the answer
		synctest.Wait()
		second.want(second.send(protocol.RestoreSession, "", made.Key), protocol.Reply)

		id := second.send(protocol.CloseSession, "", "")
		synctest.Wait()
		third := s.wire() // waits for the closing, to which the session is lost
		third.want(third.send(protocol.RestoreSession, "", made.Key), protocol.ReplySessionNotFound)
		if manners.Of(v).ConfirmClose {
			second.want(id, protocol.SessionClosed)
		}
		second.want(id, protocol.Reply)
		s.wantSessions(0)
	})
}

// The connection is lost while its session is being created: nobody knows the key.
func TestLostWhileCreating(t *testing.T) {
	eachVersion(t, func(t *testing.T, v protocol.Version) {
		var all events
		store := noting(&all)
		reached, gate := make(chan struct{}), make(chan struct{})
		s := open(t, v, server.Options{Sessions: store, Hooks: server.Hooks{
			OnSessionCreated: func(context.Context, *server.Conn, session.Session) error {
				close(reached)
				<-gate
				return nil
			},
			OnSessionClosed: func(context.Context, string) error { all.add("OnSessionClosed"); return nil },
		}})
		w := s.wire()
		w.send(protocol.Request, "login", "{}")
		<-reached
		w.conn.Abort()
		synctest.Wait()
		close(gate)
		all.want(t, "Save", "Load", "Delete", "OnSessionClosed")
		s.wantSessions(0)
	})
}
