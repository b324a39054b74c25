package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/session"
	"github.com/webwire-go/webwire/transport"
	"github.com/webwire-go/webwire/transport/memory"
)

// scenario is one of those that testdata/README.md describes.
type scenario struct {
	Name    string
	Options struct {
		Version     string
		Kept        string
		Storage     *bool
		MinBackoff  int
		MaxBackoff  int
		Timeout     int
		DialTimeout int
		Autoconnect *bool
	}
	In    map[string][]scenarioStep
	Steps []scenarioStep
}

type scenarioStep struct {
	Call     string
	As       string
	Name     string
	Key      string
	Timeout  int
	Cancel   string
	Outcome  string
	Is       string
	Accept   bool
	Fail     string
	Dialling *bool
	Sent     string
	Reply    string
	With     string
	Say      string
	Drop     json.RawMessage
	Ended    *bool
	Pass     int
	Events   *[]string
	Session  optional
	Stored   optional
	Status   string
}

// optional is a value that may be missing, null or a string.
type optional struct {
	given bool
	value string
}

func (o *optional) UnmarshalJSON(data []byte) error {
	o.given = true
	if string(data) == "null" {
		return nil
	}
	return json.Unmarshal(data, &o.value)
}

// The client does what the scenarios say, which the JavaScript client does too.
func TestScenarios(t *testing.T) {
	for _, file := range []string{"session.json", "connect.json"} {
		var all []scenario
		readJSON(t, file, &all)
		for _, s := range all {
			t.Run(s.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { s.run(t) })
			})
		}
	}
}

func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// stage is where a scenario is played.
type stage struct {
	t       *testing.T
	client  *client.Client
	version protocol.Version
	dialler *heldDialer
	keys    *keptKey
	peer    *farEnd
	calls   map[string]*stagedCall
	ids     map[string]protocol.ID

	mu     sync.Mutex
	events []string
}

type stagedCall struct {
	cancel context.CancelFunc
	done   chan error
	result string // "pending" until it has ended
}

func (s scenario) run(t *testing.T) {
	st := &stage{
		t: t, version: protocol.V2_0, dialler: &heldDialer{attempts: make(chan chan answer)}, keys: &keptKey{key: s.Options.Kept},
		calls: make(map[string]*stagedCall), ids: make(map[string]protocol.ID),
	}
	if v := s.Options.Version; v != "" {
		st.version, _ = protocol.ParseVersion(v)
	}
	ms := func(n, otherwise int) time.Duration {
		if n == 0 {
			n = otherwise
		}
		return time.Duration(n) * time.Millisecond
	}
	opts := client.Options{
		Versions:           []protocol.Version{st.version},
		Logger:             discard,
		MinBackoff:         ms(s.Options.MinBackoff, 1000),
		MaxBackoff:         ms(s.Options.MaxBackoff, 1000),
		Timeout:            ms(s.Options.Timeout, 60_000),
		DialTimeout:        ms(s.Options.DialTimeout, 10_000),
		DisableAutoconnect: s.Options.Autoconnect != nil && !*s.Options.Autoconnect,
		Hooks:              st.hooks(s.In),
	}
	if s.Options.Storage == nil || *s.Options.Storage {
		opts.Keys = st.keys
	}
	st.client = client.New(st.dialler, opts)
	defer func() {
		st.client.Close()
		synctest.Wait()
		if st.peer != nil {
			st.peer.conn.Abort()
		}
	}()
	for i, step := range s.Steps {
		before := t.Failed()
		st.play(step)
		synctest.Wait()
		if t.Failed() && !before {
			text, _ := json.Marshal(step)
			t.Logf("at step %d: %s", i+1, text)
			return
		}
	}
	if left := st.told(); len(left) > 0 {
		t.Errorf("events that no step expects: %q", left)
	}
	if m, ok := st.next(); ok {
		t.Errorf("a message that no step expects: %s", st.describe(m))
	}
}

func (st *stage) hooks(in map[string][]scenarioStep) client.Hooks {
	tell := func(what string) {
		st.mu.Lock()
		st.events = append(st.events, what)
		st.mu.Unlock()
		name, _, _ := strings.Cut(what, " ")
		for _, step := range in[name] {
			call := st.call(step)
			err := <-call.done
			call.done <- err
		}
	}
	return client.Hooks{
		OnConnected:       func(context.Context) { tell("connected") },
		OnDisconnected:    func(context.Context, error) { tell("disconnected") },
		OnConnectError:    func(context.Context, error) { tell("connecterror") },
		OnConnectFailed:   func(context.Context, error) { tell("connectfailed") },
		OnServerSignal:    func(_ context.Context, s *client.Signal) { tell("signal " + s.Name) },
		OnSessionCreated:  func(_ context.Context, s session.Session) { tell("sessioncreated " + s.Key) },
		OnSessionUpdated:  func(_ context.Context, s session.Session) { tell("sessionupdated " + s.Key) },
		OnSessionClosed:   func(context.Context) { tell("sessionclosed") },
		OnSessionError:    func(_ context.Context, err error) { tell("sessionerror " + outcomeName(err, "")) },
		OnSessionRestored: func(_ context.Context, s session.Session) { tell("sessionrestored " + s.Key) },
	}
}

// told returns the events since the last call.
func (st *stage) told() []string {
	st.mu.Lock()
	defer st.mu.Unlock()
	all := st.events
	st.events = nil
	return all
}

func (st *stage) play(step scenarioStep) {
	t := st.t
	switch {
	case step.Call != "":
		st.call(step)
	case step.Cancel != "":
		st.calls[step.Cancel].cancel()
	case step.Outcome != "":
		if got := st.outcome(step.Outcome); got != step.Is {
			t.Errorf("the outcome of %s is %s, want %s", step.Outcome, got, step.Is)
		}
	case step.Accept:
		near, far := memory.Pipe()
		if !st.dialler.decide(answer{conn: near}) {
			t.Error("the client is not making an attempt")
			return
		}
		st.peer = newFarEnd(far)
		if manners.Of(st.version).Conf {
			st.write(protocol.Conf{Version: st.version}.Message())
		}
	case step.Fail != "":
		if !st.dialler.decide(answer{err: failure(t, step.Fail)}) {
			t.Error("the client is not making an attempt")
		}
	case step.Dialling != nil:
		if got := st.dialler.dialling(); got != *step.Dialling {
			t.Errorf("the client is making an attempt: %t", got)
		}
	case step.Sent != "":
		m, ok := st.next()
		got := "nothing"
		if ok {
			got = st.describe(m)
		}
		if got != step.Sent {
			t.Errorf("the client sent %s, want %s", got, step.Sent)
		}
		st.ids[step.As] = m.ID
	case step.Reply != "":
		st.reply(st.ids[step.Reply], step.With)
	case step.Say != "":
		st.say(step.Say)
	case step.Drop != nil:
		if status, err := strconv.Atoi(string(step.Drop)); err == nil {
			go st.peer.conn.Close(transport.Status(status), "")
		} else {
			st.peer.conn.Abort()
		}
	case step.Ended != nil:
		if got := st.peer.over(); got != *step.Ended {
			t.Errorf("the client has ended its connection: %t", got)
		}
		if *step.Ended {
			st.peer.forget()
		}
	case step.Pass > 0:
		time.Sleep(time.Duration(step.Pass) * time.Millisecond)
	case step.Events != nil:
		if got := st.told(); !slices.Equal(got, *step.Events) {
			t.Errorf("events %q, want %q", got, *step.Events)
		}
	case step.Session.given:
		if s, _ := st.client.Session(); s.Key != step.Session.value {
			t.Errorf("the session is %q, want %q", s.Key, step.Session.value)
		}
	case step.Stored.given:
		if key, _ := st.keys.LoadKey(); key != step.Stored.value {
			t.Errorf("the key in storage is %q, want %q", key, step.Stored.value)
		}
	case step.Status != "":
		if got := st.client.Status().String(); got != step.Status {
			t.Errorf("the client is %s, want %s", got, step.Status)
		}
	default:
		t.Error("a step that this runner does not know")
	}
}

// call begins a call of the client.
func (st *stage) call(step scenarioStep) *stagedCall {
	ctx, cancel := context.WithCancel(context.Background())
	if step.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(step.Timeout)*time.Millisecond)
	}
	c := &stagedCall{cancel: cancel, done: make(chan error, 1), result: "pending"}
	st.mu.Lock()
	st.calls[step.As] = c
	st.mu.Unlock()
	go func() {
		var err error
		switch step.Call {
		case "connect":
			err = st.client.Connect(ctx)
		case "request":
			_, err = st.client.Request(ctx, step.Name, protocol.Text("x"))
		case "signal":
			err = st.client.Signal(ctx, step.Name, protocol.Text("x"))
		case "restore":
			err = st.client.RestoreSession(ctx, step.Key)
		case "close session":
			err = st.client.CloseSession(ctx)
		case "close":
			err = st.client.Close()
		default:
			err = fmt.Errorf("no call %q", step.Call)
		}
		c.done <- err
	}()
	st.t.Cleanup(cancel)
	return c
}

func (st *stage) outcome(name string) string {
	c := st.calls[name]
	if c == nil {
		return "that of no call"
	}
	select {
	case err := <-c.done:
		c.result = outcomeName(err, "failed")
	default:
	}
	return c.result
}

// outcomeName returns what scenarios call an error.
func outcomeName(err error, otherwise string) string {
	var lost *client.DisconnectedError
	var app *protocol.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &lost) && lost.Sent:
		return "sent"
	case errors.As(err, &app):
		return "error " + app.Code
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.As(err, &lost), errors.Is(err, client.ErrDisconnected):
		return "not sent"
	case errors.Is(err, client.ErrClosed):
		return "closed"
	case errors.Is(err, protocol.ErrSessionNotFound):
		return "not found"
	case errors.Is(err, protocol.ErrSessionFull):
		return "full"
	case errors.Is(err, protocol.ErrSessionsDisabled):
		return "disabled"
	case errors.Is(err, protocol.ErrInternal):
		return "internal"
	case errors.Is(err, protocol.ErrShutdown):
		return "shutdown"
	case errors.Is(err, protocol.ErrMalformed):
		return "malformed"
	case otherwise != "":
		return otherwise
	}
	return err.Error()
}

// What the server does.

func (st *stage) write(m protocol.Message) {
	b, err := st.version.Append(nil, m)
	if err == nil {
		err = st.peer.conn.Write(b)
	}
	if err != nil {
		st.t.Error(err)
	}
}

func (st *stage) reply(id protocol.ID, with string) {
	var err error
	what, rest, _ := strings.Cut(with, " ")
	switch {
	case with == "ok":
		st.write(protocol.Message{Kind: protocol.Reply, ID: id})
		return
	case with == "nonsense":
		st.write(protocol.Message{Kind: protocol.Reply, ID: id, Payload: protocol.Text("nonsense")})
		return
	case what == "session":
		st.write(protocol.Message{Kind: protocol.Reply, ID: id, Payload: protocol.Payload{Encoding: protocol.UTF8, Data: st.session(rest)}})
		return
	case what == "error":
		err = &protocol.Error{Code: rest}
	case with == "not found":
		err = protocol.ErrSessionNotFound
	case with == "full":
		err = protocol.ErrSessionFull
	case with == "disabled":
		err = protocol.ErrSessionsDisabled
	case with == "shutdown":
		err = protocol.ErrShutdown
	case with == "internal":
		err = protocol.ErrInternal
	default:
		st.t.Errorf("no reply %q", with)
	}
	st.write(st.version.Failure(id, err))
}

func (st *stage) say(what string) {
	kind, rest, _ := strings.Cut(what, " ")
	switch {
	case what == "created nonsense":
		if err := st.peer.conn.Write([]byte("\x15nonsense")); err != nil {
			st.t.Error(err)
		}
	case kind == "created":
		st.write(protocol.Message{Kind: protocol.SessionCreated, Payload: protocol.Payload{Encoding: protocol.UTF8, Data: st.session(rest)}})
	case kind == "closed":
		st.write(protocol.Message{Kind: protocol.SessionClosed})
	case kind == "signal":
		st.write(protocol.Message{Kind: protocol.Signal, Name: rest, Payload: protocol.Text("x")})
	default:
		st.t.Errorf("no message %q", what)
	}
}

func (st *stage) session(key string) []byte {
	data, err := st.version.AppendSession(nil, protocol.Session{Key: key, Created: time.Now()})
	if err != nil {
		st.t.Error(err)
	}
	return data
}

// next returns the next message of the client that is no heartbeat.
func (st *stage) next() (protocol.Message, bool) {
	for st.peer != nil {
		b, ok := st.peer.take()
		if !ok {
			break
		}
		m, err := st.version.Parse(b)
		if err != nil {
			st.t.Errorf("the client sent %q: %v", b, err)
		}
		if m.Kind != protocol.Heartbeat {
			return m, true
		}
	}
	return protocol.Message{}, false
}

func (st *stage) describe(m protocol.Message) string {
	switch m.Kind {
	case protocol.RestoreSession:
		return "restore " + m.Payload.Text()
	case protocol.CloseSession:
		return "close session"
	case protocol.Request, protocol.Signal:
		return m.Kind.String() + " " + m.Name
	}
	return m.Kind.String()
}

// farEnd is the server's end of a connection, which reads all the time.
type farEnd struct {
	conn transport.Conn

	mu    sync.Mutex
	msgs  [][]byte
	ended bool
}

func newFarEnd(conn transport.Conn) *farEnd {
	f := &farEnd{conn: conn}
	conn.(transport.SilenceAllower).AllowSilence()
	go func() {
		for {
			b, err := conn.Read(nil)
			f.mu.Lock()
			if err != nil {
				f.ended = true
				f.mu.Unlock()
				return
			}
			f.msgs = append(f.msgs, b)
			f.mu.Unlock()
		}
	}()
	return f
}

func (f *farEnd) take() ([]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.msgs) == 0 {
		return nil, false
	}
	b := f.msgs[0]
	f.msgs = f.msgs[1:]
	return b, true
}

func (f *farEnd) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended
}

func (f *farEnd) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.msgs = nil
}

// heldDialer makes attempts that end when and as a test decides.
type heldDialer struct {
	attempts chan chan answer

	mu      sync.Mutex
	waiting int
}

type answer struct {
	conn transport.Conn
	err  error
}

func (d *heldDialer) Dial(ctx context.Context, _ transport.DialOptions) (transport.Conn, error) {
	decided := make(chan answer)
	d.count(1)
	defer d.count(-1)
	select {
	case d.attempts <- decided:
		a := <-decided
		return a.conn, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (d *heldDialer) count(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting += n
}

func (d *heldDialer) dialling() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting > 0
}

// decide ends the attempt that waits, and reports whether there is one.
func (d *heldDialer) decide(a answer) bool {
	select {
	case decided := <-d.attempts:
		decided <- a
		return true
	default:
		return false
	}
}

// keptKey is a KeyStore in memory.
type keptKey struct {
	mu  sync.Mutex
	key string
}

func (k *keptKey) LoadKey() (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key, nil
}

func (k *keptKey) SaveKey(key string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.key = key
	return nil
}

// String returns what was asked for, as the file has it.
func (s scenarioStep) MarshalJSON() ([]byte, error) {
	given := make(map[string]any)
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			value := f.Interface()
			if o, ok := value.(optional); ok {
				value = o.value
			}
			given[strings.ToLower(v.Type().Field(i).Name)] = value
		}
	}
	return json.Marshal(given)
}
