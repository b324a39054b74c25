package protocol_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// What PROTOCOL.md says about the messages of 3.0 in tables is what the codec does. Its
// examples are written with:
//
//	go test ./protocol -run TestDocument -update

const (
	document      = "PROTOCOL.md"
	examplesBegin = "<!-- examples of 3.0 -->\n\n| message | bytes |\n|---|---|\n"
	examplesEnd   = "<!-- end of the examples -->\n"
)

// examples3 has a message of each type.
func examples3() []struct {
	about   string
	message protocol.Message
} {
	id, n := protocol.NewID(1), protocol.NewID(7)
	trace, _ := protocol.ParseTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	conn, secret := protocol.ConnID([]byte(conn3)), protocol.Secret([]byte(secret3))
	with := func(kind protocol.Kind, m protocol.Message, p protocol.Payload) protocol.Message {
		m.Kind, m.Payload = kind, p
		return m
	}
	named := protocol.Message{ID: id, Name: "A"}
	published := protocol.Message{Ref: 7, Number: 9, Name: "A"}
	x, x16, bytes := protocol.Text("x"), protocol.UTF16Text("x"), protocol.Bytes([]byte{0xff, 0})
	return []struct {
		about   string
		message protocol.Message
	}{
		{"code `NO`, message `no`", protocol.V3_0.Failure(id, &protocol.Error{Code: "NO", Message: "no"})},
		{"32 messages", protocol.Message{Kind: protocol.Ack, Number: 32}},
		{"of request 1, enough", protocol.CancelBody{ID: id, Reason: protocol.CancelEnough}.Message()},
		{"for request 1, 98304 bytes in all", protocol.Message{Kind: protocol.Credit, ID: id, Number: 98304}},
		{"server stops, spread 10 s, grace 30 s", protocol.DrainBody{Spread: 10 * time.Second, Grace: 30 * time.Second}.Message()},
		{"3 signals", protocol.GapBody{Lost: 3}.Message()},
		{"deadline, maybe executed", protocol.FailureDeadline.Failure().Message(id)},
		{"", protocol.Message{Kind: protocol.SessionCreated, Payload: protocol.Text(`{"k":"key"}`)}},
		{"", protocol.Message{Kind: protocol.SessionClosed}},
		{"60 s, 4 MiB, credit 64 KiB, 128 requests", protocol.Conf{
			Version: protocol.V3_0, ReadTimeout: time.Minute, MessageSize: 4 << 20, StreamCredit: 64 << 10, Requests: 128,
		}.Message()},
		{"1 MiB, credit 64 KiB, 16 requests, credentials `t`", protocol.HelloBody{
			MessageSize: 1 << 20, StreamCredit: 64 << 10, Requests: 16, Head: protocol.Head(nil).AppendCredentials([]byte("t")),
		}.Message()},
		{"the same without credentials, attempt 2 to resume, received 41, first kept 7", protocol.HelloBody{
			MessageSize: 1 << 20, StreamCredit: 64 << 10, Requests: 16,
			Resume: &protocol.Resume{Conn: conn, Secret: secret, Attempt: 2, Received: 41, FirstKept: 7},
		}.Message()},
		{"resumed, 2 min, ring 256 KiB, received 6, from 42, 1 late", protocol.WelcomeBody{
			Outcome: protocol.OutcomeResumed, Conn: conn, Secret: secret, Window: 2 * time.Minute, Ring: 256 << 10,
			Received: 6, From: 42, Late: 1,
		}.Message()},
		{"", protocol.Message{Kind: protocol.CloseSession, ID: n}},
		{"key `key`", protocol.Message{Kind: protocol.RestoreSession, ID: n, Payload: protocol.Text("key")}},
		{"ref 7, since epoch 5, offset 9, topic `news`", protocol.SubscribeBody{
			ID: n, Ref: 7, Since: &protocol.Position{Epoch: 5, Offset: 9}, Topic: "news",
		}.Message()},
		{"ref 7", protocol.Message{Kind: protocol.Unsubscribe, Ref: 7}},
		{"binary, name `A`, payload `ff 00`", with(protocol.Signal, named, bytes)},
		{"UTF-8, name `A`, payload `x`", with(protocol.Signal, named, x)},
		{"UTF-16, name `A`, payload `x`", with(protocol.Signal, named, x16)},
		{"binary, payload `ff 00`", with(protocol.Item, protocol.Message{ID: id}, bytes)},
		{"UTF-8, payload `x`", with(protocol.Item, protocol.Message{ID: id}, x)},
		{"UTF-16, payload `x`", with(protocol.Item, protocol.Message{ID: id}, x16)},
		{"binary, ref 7, offset 9, name `A`, payload `ff 00`", with(protocol.Publication, published, bytes)},
		{"UTF-8, the same, payload `x`", with(protocol.Publication, published, x)},
		{"UTF-16, the same, payload `x`", with(protocol.Publication, published, x16)},
		{"ref 7, enter", protocol.PresenceBody{Ref: 7, Op: protocol.PresenceEnter, Data: []byte(`{"id":"a"}`)}.Message()},
		{"binary, name `A`, payload `ff 00`", with(protocol.Request, named, bytes)},
		{"UTF-8, name `A`, payload `x`, deadline 5 s, trace, metadata `k` = `v`, stream", protocol.Message{
			Kind: protocol.Request, ID: id, Name: "A", Payload: x,
			Head: protocol.Head(nil).AppendDeadline(5*time.Second).AppendTrace(trace).AppendMetadata("k", "v").AppendStream(),
		}},
		{"UTF-16, name `A`, payload `x`", with(protocol.Request, named, x16)},
		{"binary, empty", protocol.Message{Kind: protocol.Reply, ID: id}},
		{"UTF-8, payload `x`", with(protocol.Reply, protocol.Message{ID: id}, x)},
		{"UTF-16, payload `x`", with(protocol.Reply, protocol.Message{ID: id}, x16)},
	}
}

func TestDocumentExamples(t *testing.T) {
	var rows strings.Builder
	types := map[byte]bool{}
	for _, e := range examples3() {
		b, err := protocol.V3_0.Append(nil, e.message)
		if err != nil {
			t.Fatalf("%v: %v", e.message, err)
		}
		types[b[0]] = true
		about := e.message.Kind.String()
		if e.about != "" {
			about += ": " + e.about
		}
		fmt.Fprintf(&rows, "| %s | `% x` |\n", about, b)
	}
	for _, c := range validVectors3() {
		if !types[c.wire[0]] {
			t.Errorf("no example of type %d", c.wire[0])
		}
	}
	text := readDocument(t)
	before, rest, ok := strings.Cut(text, examplesBegin)
	_, after, ok2 := strings.Cut(rest, examplesEnd)
	if !ok || !ok2 {
		t.Fatal("there is no place for the examples")
	}
	want := before + examplesBegin + rows.String() + "\n" + examplesEnd + after
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if text != want {
		t.Errorf("the examples in %s are not what the codec writes: run with -update", document)
	}
}

func readDocument(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// section returns a section of the document.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(readDocument(t), "\n### "+heading+"\n")
	if !ok {
		t.Fatalf("there is no section %s", heading)
	}
	text, _, _ := strings.Cut(rest, "\n### ")
	return text
}

var messageRow = regexp.MustCompile(`(?m)^\| ([\d, ]+) \| ([^|:]+)[^|]* \| (\w+) \| (C?) ?\| .* \| (=|≥) (\d+) \|$`)

// The table of messages has all types, and says the truth about the sender, about
// counting and about lengths.
func TestDocumentMessages(t *testing.T) {
	v := protocol.V3_0
	found := map[byte]bool{}
	for _, row := range messageRow.FindAllStringSubmatch(section(t, "11.2 Messages"), -1) {
		least, _ := strconv.Atoi(row[6])
		shortest := 1 << 20
		for _, text := range strings.Split(row[1], ", ") {
			n, _ := strconv.Atoi(text)
			typ := byte(n)
			found[typ] = true
			for _, c := range validVectors3() {
				if c.wire[0] != typ {
					continue
				}
				shortest = min(shortest, len(c.wire))
				m, err := v.Parse([]byte(c.wire))
				if err != nil {
					t.Fatal(err)
				}
				sender := "server"
				switch {
				case v.FromClient(m.Kind) && v.FromServer(m.Kind):
					sender = "both"
				case v.FromClient(m.Kind):
					sender = "client"
				}
				if row[2] != m.Kind.String() || row[3] != sender || (row[4] == "C") != v.Counted(m.Kind) {
					t.Errorf("%s: a %v, sent by %s, counted %v", row[0], m.Kind, sender, v.Counted(m.Kind))
				}
				if len(c.wire) < least || row[5] == "=" && len(c.wire) > least {
					t.Errorf("%s: %s has %d bytes", row[0], c.name, len(c.wire))
				}
			}
		}
		// Vectors have the shortest messages, except where the content is text.
		if shortest != least && !slices.Contains([]string{"session created", "restore session", "error reply"}, row[2]) {
			t.Errorf("%s: the shortest has %d bytes", row[0], shortest)
		}
	}
	for _, c := range validVectors3() {
		if !found[c.wire[0]] {
			t.Errorf("type %d is not in the table", c.wire[0])
		}
	}
}

var failureRow = regexp.MustCompile("(?m)^\\| (\\d+) \\| .* \\| (no|yes|maybe|no if .*) \\| `(\\w+\\.)?(\\w+)`(.*) \\|$")

// The table of failures says what the codec's table does.
func TestDocumentFailures(t *testing.T) {
	rows := failureRow.FindAllStringSubmatch(section(t, "11.5 Requests and outcomes"), -1)
	if len(rows) != 14 {
		t.Fatalf("%d failures", len(rows))
	}
	for i, row := range rows {
		code := protocol.FailureCode(i + 1)
		executed, _, conditional := strings.Cut(row[2], " ")
		usual := code.Failure().Executed.String()
		if row[1] != strconv.Itoa(i+1) || !conditional && usual != executed || conditional && usual != "maybe" {
			t.Errorf("%s: code %d, executed %s", row[0], code, usual)
		}
		if strings.Contains(row[5], "may be sent again") != code.Retryable() {
			t.Errorf("%s: retryable %v", row[0], code.Retryable())
		}
	}
}

// The example of an error reply of 1.2 in PROTOCOL.md is what the codec writes and reads.
func TestDocumentErrorReply(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```json\n(.*?)\n```").FindAllSubmatch(text, -1)
	if len(blocks) != 1 {
		t.Fatalf("%d blocks of JSON, want one", len(blocks))
	}
	want := &protocol.Error{Code: "NO_SUCH_ROOM", Message: "there is no kitchen"}
	data, err := protocol.V1_2.Append(nil, protocol.V1_2.Failure(protocol.NewID(1), want))
	if err != nil || !strings.HasSuffix(string(data), string(blocks[0][1])) {
		t.Errorf("1.2 writes %q, %v, and the example is %s", data, err, blocks[0][1])
	}
	if m, err := protocol.V1_2.Parse(data); err != nil || !errors.Is(m.Err(), want) {
		t.Errorf("1.2 reads %+v, %v", m, err)
	}
}
