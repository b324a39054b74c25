package interop

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// wireSteps are about messages of 3.0 that a client of an application cannot be made to
// send, or not at a certain moment.
var wireSteps = []step{
	{name: "hello and welcome", run: with3(welcomed)},
	{name: "hello that is refused", run: with3(helloRefused)},
	{name: "hello that does not come", run: with3(helloLate), slow: true},
	{name: "trace context", run: with3(traceArrives)},
	{name: "fields that are unknown", run: with3(unknownFields)},
	{name: "acks", run: with3(acks)},
	{name: "malformed and misdirected messages", run: with3(malformed)},
	{name: "messages that are ignored", run: with3(ignored)},
}

// welcomed checks what a server says first.
func welcomed(r *run) error {
	w, err := r.wire(r.Addr, someHello())
	if err != nil {
		return err
	}
	switch c := w.conf; {
	case c.Version != protocol.V3_0:
		return fmt.Errorf("accept-conf has the version %v", c.Version)
	case c.MessageSize != 0 && c.MessageSize < 1<<10:
		return fmt.Errorf("accept-conf limits messages to %d bytes", c.MessageSize)
	case c.Requests == 0:
		return errors.New("the server takes no requests")
	}
	if o := w.welcome; o.Outcome != protocol.OutcomeFresh || o.Received != 0 || o.From != 1 || o.Late != 0 {
		return fmt.Errorf("welcome says outcome %d, received %d, from %d, late %d", o.Outcome, o.Received, o.From, o.Late)
	}
	other, err := r.wire(r.Addr, someHello())
	if err != nil {
		return err
	}
	if w.welcome.Window > 0 && (w.welcome.Conn == other.welcome.Conn || w.welcome.Secret.Equal(other.welcome.Secret)) {
		return errors.New("two connections have the same id or the same secret")
	}
	// A client that begins a connection does not wait for anything.
	early, err := r.socket(r.Addr)
	if err != nil {
		return err
	}
	id := early.id()
	echo := protocol.Message{Kind: protocol.Request, ID: id, Name: "echo", Payload: protocol.Text("early")}
	if err := early.send(someHello().Message(), echo); err != nil {
		return err
	}
	if m, err := early.receive(); err != nil || m.Kind != protocol.Welcome {
		return instead(m, err, "welcome")
	}
	_, err = early.reply(id)
	return err
}

// helloRefused tries what is not a hello.
func helloRefused(r *run) error {
	good, err := protocol.V3_0.Append(nil, someHello().Message())
	if err != nil {
		return err
	}
	changed := func(at int, to byte) []byte {
		b := append([]byte(nil), good...)
		b[at] = to
		return b
	}
	critical := someHello()
	critical.Head = critical.Head.Append(200, nil)
	withCritical, err := protocol.V3_0.Append(nil, critical.Message())
	if err != nil {
		return err
	}
	tooSmall := append([]byte(nil), good...)
	copy(tooSmall[4:], []byte{0xff, 3, 0, 0}) // 1023 bytes
	for name, first := range map[string][]byte{
		"an empty message":               {},
		"a request":                      {128, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 'a', 'x'},
		"a short hello":                  good[:len(good)-1],
		"a long hello":                   append(changed(0, good[0]), 0),
		"an unknown flag":                changed(3, 2),
		"resume without its part":        changed(3, 1),
		"messages of at most 1023 bytes": tooSmall,
		"a critical field":               withCritical,
	} {
		w, err := r.socket(r.Addr)
		if err != nil {
			return err
		}
		if len(first) == 0 && !takesEmpty(r.Network) {
			continue
		}
		if err := w.Write(first); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := w.closed(transport.StatusProtocolError); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	w, err := r.wire(r.Addr, someHello())
	if err != nil {
		return err
	}
	if err := w.send(someHello().Message()); err != nil {
		return err
	}
	if err := w.closed(transport.StatusProtocolError); err != nil {
		return fmt.Errorf("a second hello: %w", err)
	}
	return nil
}

// takesEmpty reports whether a network carries empty messages.
func takesEmpty(n Network) bool {
	_, stream := n.(Stream)
	return !stream
}

// helloLate does not say hello within ten seconds.
func helloLate(r *run) error {
	began := time.Now()
	w, err := r.socket(r.Addr)
	if err != nil {
		return err
	}
	if err := w.closed(transport.StatusProtocolError); err != nil {
		return err
	}
	// A busy machine may be late.
	if took := time.Since(began); took < 8*time.Second || took > stepTimeout*3/4 {
		return fmt.Errorf("the server waited for hello for %v, want 10 s", took)
	}
	return nil
}

// metaOf has the server tell what it understood of the head of a request.
func (w *wire) metaOf(head protocol.Head) (answer metaAnswer, err error) {
	id, err := w.request("meta", "x", head)
	if err != nil {
		return answer, err
	}
	text, err := w.reply(id)
	if err != nil {
		return answer, err
	}
	return answer, json.Unmarshal([]byte(text), &answer)
}

func traceArrives(r *run) error {
	w, err := r.wire(r.Addr, someHello())
	if err != nil {
		return err
	}
	trace := protocol.TraceContext{TraceID: [16]byte{1, 2, 3}, SpanID: [8]byte{4, 5}, Flags: 1}
	head := protocol.Head{}.AppendTrace(trace).AppendTraceState("a=b").AppendBaggage("c=d").AppendMetadata("tenant", "7")
	got, err := w.metaOf(head)
	if err != nil {
		return err
	}
	value, _ := head.Field(protocol.TagTrace)
	if want := hex.EncodeToString(value); got.Trace != want {
		return fmt.Errorf("trace context %s, want %s", got.Trace, want)
	}
	if want := map[string]string{"tenant": "7"}; !maps.Equal(got.Metadata, want) {
		return fmt.Errorf("metadata %q, want %q", got.Metadata, want)
	}
	return nil
}

// unknownFields tries fields that no version has: those below 128 are skipped, one that is
// critical keeps a request from being executed.
func unknownFields(r *run) error {
	w, err := r.wire(r.Addr, someHello())
	if err != nil {
		return err
	}
	head := protocol.Head{}.Append(8, []byte("x")).Append(63, nil).AppendMetadata("tenant", "7").Append(40, make([]byte, 1000))
	got, err := w.metaOf(head)
	if err != nil {
		return fmt.Errorf("unknown fields below 128: %w", err)
	}
	if want := map[string]string{"tenant": "7"}; !maps.Equal(got.Metadata, want) {
		return fmt.Errorf("metadata %q, want %q", got.Metadata, want)
	}
	for _, tag := range []protocol.Tag{128, 255} {
		id, err := w.request("login", `{"a":1}`, protocol.Head{}.Append(tag, nil))
		if err != nil {
			return err
		}
		if err := w.failure(id, protocol.FailureUnsupported, protocol.ExecutedNo); err != nil {
			return fmt.Errorf("critical field %d: %w", tag, err)
		}
	}
	if err := w.expect("session", "null"); err != nil {
		return fmt.Errorf("after a login with a critical field: %w", err)
	}
	// A signal with such a field is not handled, and nothing is answered.
	signal := protocol.Message{Kind: protocol.Signal, Name: "s", Payload: protocol.Text("x"), Head: protocol.Head{}.Append(128, nil)}
	if err := w.send(signal); err != nil {
		return err
	}
	text, err := w.ask("last-signals", "x")
	if err != nil {
		return err
	}
	var signals []described
	if err := json.Unmarshal([]byte(text), &signals); err != nil {
		return err
	}
	if len(signals) != 0 {
		return errors.New("a signal with a critical field was handled")
	}
	return nil
}

// acks: the server acknowledges what it got, and takes every true ack.
func acks(r *run) error {
	w, err := r.wire(r.Addr, someHello())
	if err != nil {
		return err
	}
	if w.welcome.Window > 0 {
		if err := w.works(); err != nil {
			return err
		}
		for at := uint64(0); at < 1; {
			m, err := w.read()
			switch {
			case err != nil:
				return fmt.Errorf("waiting for an ack: %w", err)
			case m.Kind != protocol.Ack:
				return fmt.Errorf("%v comes instead of an ack", m.Kind)
			case m.Number > 1:
				return fmt.Errorf("%d messages are acknowledged, 1 was sent", m.Number)
			}
			at = m.Number
		}
		// One reply has arrived: to say so, again, and late, is harmless.
		for _, number := range []uint64{1, 1, 0} {
			if err := w.send(protocol.Message{Kind: protocol.Ack, Number: number}); err != nil {
				return err
			}
		}
		if err := w.works(); err != nil {
			return err
		}
	}
	if err := w.send(protocol.Message{Kind: protocol.Ack, Number: 1000}); err != nil {
		return err
	}
	if err := w.closed(transport.StatusProtocolError); err != nil {
		return fmt.Errorf("more is acknowledged than was sent: %w", err)
	}
	return nil
}

// id1 is an id on the wire, in hexadecimal.
const id1 = "0100000000000000"

// malformed sends messages that end the connection.
func malformed(r *run) error {
	for name, text := range map[string]string{
		"unknown type 200":                  "c8",
		"a type of 2.0":                     "01" + id1,
		"accept-conf":                       "17030060ea00000000000000000100800000",
		"session created":                   "157b7d",
		"session closed":                    "16",
		"drain":                             "0b0010270000307500000000",
		"gap":                               "0c000000000300000000000000" + "00000000000000000000000000000000",
		"publication":                       "4507000000" + id1 + "0000" + "0141ff00",
		"presence":                          "480700000002",
		"short ack":                         "08000000",
		"long ack":                          "08" + "0000000000000000" + "00",
		"ack of 2^53":                       "08" + "0000000000002000",
		"short cancel":                      "09" + id1,
		"long cancel":                       "09" + id1 + "0000",
		"short credit":                      "0a" + id1 + "00000000",
		"credit of 2^53":                    "0a" + id1 + "0000000000002000",
		"failure with code 0":               "0d" + id1 + "0000",
		"failure that says executed 3":      "0d" + id1 + "0203",
		"short failure":                     "0d" + id1 + "02",
		"request with a head of 8193 bytes": "7f" + id1 + "0120" + "0161",
		"request with a field cut short":    "7f" + id1 + "0300" + "010400" + "016100",
		"request without a head":            "7f" + id1 + "00",
		"signal with a head cut short":      "3f" + "0500" + "0161",
		"reply without a head":              "bf" + id1,
		"UTF-16 item of an odd length":      "44" + id1 + "00" + "610062",
		"short item":                        "42" + "01000000",
		"restore without its id":            "2000",
		"short unsubscribe":                 "2307",
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			return err
		}
		w, err := r.wire(r.Addr, someHello())
		if err != nil {
			return err
		}
		if err := w.Write(b); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := w.closed(transport.StatusProtocolError); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// ignored sends messages for ids that the server does not know.
func ignored(r *run) error {
	w, err := r.wire(r.Addr, someHello())
	if err != nil {
		return err
	}
	if err := w.works(); err != nil {
		return err
	}
	answered := protocol.NewID(w.last)
	for _, id := range []protocol.ID{answered, protocol.NewID(1 << 40)} {
		for _, m := range []protocol.Message{
			protocol.CancelBody{ID: id}.Message(),
			protocol.CancelBody{ID: id, Reason: 77}.Message(),
			{Kind: protocol.Credit, ID: id, Number: 1 << 40},
			{Kind: protocol.Item, ID: id, Payload: protocol.Text("x")},
			{Kind: protocol.Reply, ID: id, Payload: protocol.Text("x")},
			{Kind: protocol.ReplyError, ID: id, Name: "CODE", Payload: protocol.Text("x")},
			protocol.FailureShutdown.Failure().Message(id),
			(&protocol.FailureError{Code: 99, Executed: protocol.ExecutedMaybe}).Message(id),
		} {
			if err := w.send(m); err != nil {
				return err
			}
			if err := w.works(); err != nil {
				return fmt.Errorf("%v of an unknown request: %w", m.Kind, err)
			}
		}
	}
	return nil
}
