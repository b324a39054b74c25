package protocol_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// Values out of range become the nearest that can be said, not others.
func TestBodiesOutOfRange(t *testing.T) {
	const ms = time.Millisecond
	h := protocol.HelloBody{MessageSize: 1, StreamCredit: -1, Requests: 1 << 20, Resume: &protocol.Resume{
		Received: math.MaxUint64, FirstKept: largest3 + 1,
	}}
	if got, err := h.Message().Hello(); err != nil || got.MessageSize != 1024 || got.StreamCredit != 0 ||
		got.Requests != 65535 || got.Resume.Received != largest3 || got.Resume.FirstKept != largest3 {
		t.Errorf("%+v, %+v, %v", got, got.Resume, err)
	}
	w := protocol.WelcomeBody{Window: time.Hour << 12, Ring: -1, Received: largest3 + 1, From: math.MaxUint64, Late: -1}
	if got, err := w.Message().Welcome(); err != nil || got.Window != (1<<32-1)*ms || got.Ring != 0 ||
		got.Received != largest3 || got.From != largest3 || got.Late != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	d := protocol.DrainBody{Spread: -time.Second, Grace: 1500 * time.Microsecond}
	if got, err := d.Message().Drain(); err != nil || got.Spread != 0 || got.Grace != ms {
		t.Errorf("%+v, %v", got, err)
	}
	s := protocol.SubscribeBody{Ref: 1, Topic: "t", Since: &protocol.Position{Epoch: largest3 + 1, Offset: math.MaxUint64}}
	if got, err := s.Message().Subscribe(); err != nil || *got.Since != (protocol.Position{Epoch: largest3, Offset: largest3}) {
		t.Errorf("%+v, %v", got, err)
	}
	g := protocol.GapBody{Lost: math.MaxUint64}
	if got, err := g.Message().Gap(); err != nil || got.Lost != largest3 {
		t.Errorf("%+v, %v", got, err)
	}
	for in, want := range map[int]int{-1: 0, 0: 0, 1: 1024, 1023: 1024, 1024: 1024, 8192: 8192} {
		c := protocol.Conf{Version: protocol.V3_0, MessageSize: in, StreamCredit: -1, Requests: -1}
		if got, err := c.Message().Conf(); err != nil || got.MessageSize != want || got.StreamCredit != 0 || got.Requests != 0 {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// A number that JavaScript does not have is not sent.
func TestBigNumbersAreNotSent(t *testing.T) {
	for _, m := range []protocol.Message{
		{Kind: protocol.Ack, Number: largest3 + 1},
		{Kind: protocol.Credit, Number: largest3 + 1},
		{Kind: protocol.Publication, Name: "n", Number: largest3 + 1},
	} {
		if b, err := protocol.V3_0.Append([]byte("kept"), m); !errors.Is(err, protocol.ErrMalformed) || string(b) != "kept" {
			t.Errorf("%v: %q, %v", m.Kind, b, err)
		}
	}
}

// Messages that are too short, too long, or of another kind have no content, whoever made them.
func TestBodiesOfWrongSizes(t *testing.T) {
	for k := protocol.Kind(0); k <= protocol.Presence+1; k++ {
		for size := range 80 {
			for _, encoding := range []protocol.Encoding{protocol.Binary, protocol.UTF8} {
				m := protocol.Message{Kind: k, Ref: 1, Payload: protocol.Payload{Encoding: encoding, Data: make([]byte, size)}}
				_, sendable := protocol.V3_0.Append(nil, m)
				for kind, err := range map[protocol.Kind]error{
					protocol.Hello:        second(m.Hello()),
					protocol.Welcome:      second(m.Welcome()),
					protocol.Cancel:       second(m.Cancel()),
					protocol.Drain:        second(m.Drain()),
					protocol.Gap:          second(m.Gap()),
					protocol.ReplyFailure: second(m.Failure()),
					protocol.Subscribe:    second(m.Subscribe()),
					protocol.Presence:     second(m.Presence()),
				} {
					switch {
					case err == nil && (k != kind || sendable != nil):
						t.Errorf("a %v of %d bytes, which cannot be sent (%v), is a %v", k, size, sendable, kind)
					case err != nil && !errors.Is(err, protocol.ErrMalformed):
						t.Errorf("%v of %d bytes: %v", k, size, err)
					}
				}
			}
		}
	}
	for size := range 20 {
		if _, err := protocol.Bytes(make([]byte, size)).Position(); (err == nil) != (size == 16) {
			t.Errorf("position of %d bytes: %v", size, err)
		}
	}
	if _, err := protocol.Text(strings.Repeat("x", 16)).Position(); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("position as text: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// A Conf has the form of the version that it names.
func TestConfOfVersions(t *testing.T) {
	c := protocol.Conf{Version: protocol.V3_0, ReadTimeout: time.Minute, MessageSize: 8192, StreamCredit: 65536, Requests: 16, SubProtocol: "chat"}
	m := c.Message()
	if got, err := m.Conf(); err != nil || got != c {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := protocol.V2_0.Append(nil, m); err != nil {
		t.Error("2.0 has no limit to its sub-protocol:", err)
	}
	m.Payload.Data = m.Payload.Data[:15]
	if _, err := protocol.V3_0.Append(nil, m); !errors.Is(err, protocol.ErrMalformed) {
		t.Error(err)
	}
	// A client of 2.0 must learn that the server speaks 3.0, not that it is broken.
	m.Payload.Data = m.Payload.Data[:10]
	if got, err := m.Conf(); err != nil || got.Version != protocol.V3_0 || got.MessageSize != 8192 {
		t.Errorf("%+v, %v", got, err)
	}
	c.Version = protocol.V2_0
	if got, err := c.Message().Conf(); err != nil || got.StreamCredit != 0 || got.Requests != 0 || got.SubProtocol != "chat" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSecret(t *testing.T) {
	a, b := protocol.Secret([]byte(secret3)), protocol.Secret([]byte(secret3))
	if !a.Equal(b) || a.Equal(protocol.Secret{}) {
		t.Error("secrets do not compare")
	}
	resume := &protocol.Resume{Secret: a}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		text := fmt.Sprintf(format+" "+format, a, *resume)
		if strings.Contains(text, secret3) || strings.Contains(text, hexOf(secret3)) || strings.Contains(text, "102 101 100") {
			t.Errorf("%s prints %s", format, text)
		}
	}
	if id := protocol.ConnID([]byte(conn3)); id.String() != hexOf(conn3) {
		t.Error(id)
	}
}

func TestOutcomes(t *testing.T) {
	for o := range protocol.OutcomeUnavailable + 1 {
		if o.Resumed() != (o == protocol.OutcomeResumed || o == protocol.OutcomeGap) {
			t.Errorf("%d: %v", o, o.Resumed())
		}
	}
}
