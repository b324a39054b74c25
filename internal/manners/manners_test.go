package manners_test

import (
	"encoding/hex"
	"testing"

	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
)

// The table of section 9.
func TestReactions(t *testing.T) {
	const (
		ignore   = manners.Ignore
		internal = manners.AnswerInternalError
		mistake  = manners.AnswerProtocolError
		drop     = manners.Disconnect
	)
	for v, want := range map[protocol.Version]struct {
		badRequest, badOther, stray manners.Reaction
		text                        bool
	}{
		protocol.V1_2: {drop, drop, drop, true},
		protocol.V1_3: {internal, internal, ignore, true},
		protocol.V1_4: {mistake, ignore, ignore, true},
		protocol.V1_5: {mistake, ignore, ignore, true},
		protocol.V2_0: {drop, drop, ignore, false},
	} {
		m := manners.Of(v)
		for data, want := range map[string]manners.Reaction{
			"7f01":                 want.badRequest,
			"1f010203040506070800": want.badRequest,
			"200102030405060708":   want.badRequest,
			"":                     want.badOther,
			"07":                   want.badOther,
			"3f00":                 want.badOther,
			"bf01":                 want.badOther,
			"1600":                 want.badOther,
		} {
			msg, err := v.Parse(unhex(t, data))
			if got := m.Malformed(msg); err == nil || got != want {
				t.Errorf("%v: %q: %v, %v, want %v", v, data, got, err, want)
			}
		}
		for k := protocol.Reply; k <= protocol.AcceptConf; k++ {
			special := k >= protocol.ReplyShutdown && k <= protocol.ReplyProtocolError
			if got := m.Misdirected(k); special && got != want.stray || !special && got != ignore {
				t.Errorf("%v: stray %v: %v", v, k, got)
			}
		}
		if m.TextFrames != want.text {
			t.Errorf("%v: text %v", v, m.TextFrames)
		}
	}
}

// What versions have must agree with the messages they have.
func TestMannersAgreeWithMessages(t *testing.T) {
	for _, v := range protocol.Versions() {
		has := func(m protocol.Message) bool {
			_, err := v.Append(nil, m)
			return err == nil
		}
		m := manners.Of(v)
		heartbeat := protocol.Message{Kind: protocol.Heartbeat}
		if m.Hello {
			heartbeat.Kind = protocol.Ack
		}
		if m.Heartbeats != has(heartbeat) {
			t.Errorf("%v: heartbeats %v", v, m.Heartbeats)
		}
		if m.Conf != has(protocol.Conf{}.Message()) {
			t.Errorf("%v: conf %v", v, m.Conf)
		}
		if m.Hello != (v.FromClient(protocol.Hello) && v.FromServer(protocol.Welcome)) {
			t.Errorf("%v: hello %v", v, m.Hello)
		}
		answers := m.Malformed(protocol.Message{Kind: protocol.Request}) == manners.AnswerProtocolError
		if answers != has(protocol.Message{Kind: protocol.ReplyProtocolError}) {
			t.Errorf("%v: protocol errors %v", v, answers)
		}
		if m.ConfirmClose != (v < protocol.V2_0) {
			t.Errorf("%v: confirms close: %v", v, m.ConfirmClose)
		}
	}
}

func TestUnknownVersion(t *testing.T) {
	if m := manners.Of(0x0900); m != (manners.Manners{}) {
		t.Errorf("%+v", m)
	}
}

func unhex(t *testing.T, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
