package main

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// add adds a part of a message that consists of m, as far as it could be parsed.
func (d *decoded) add(v protocol.Version, m protocol.Message, valid bool, offset int, part protocol.Part) {
	row := partJSON{Offset: offset, Hex: hex.EncodeToString(part.Bytes), Part: part.Name}
	switch part.Name {
	case "type":
		row.Means = "unknown"
		if m.Kind != 0 {
			row.Means = m.Kind.String()
		}
		if valid && hasEncoding(m.Kind) {
			row.Means += ", payload is " + m.Payload.Encoding.String()
		}
	case "name length":
		row.Means = bytesCount(int(part.Bytes[0]))
	case "name":
		row.Means = quoted(part.Bytes)
	case "pad":
		row.Means = "before UTF-16 at an odd offset"
	}
	if !valid {
		d.Parts = append(d.Parts, row)
		return
	}
	switch part.Name {
	case "id":
		row.Means = fmt.Sprint("request ", m.ID.Uint64())
	case "ref":
		row.Means = fmt.Sprint("subscription ", m.Ref)
	case "number":
		row.Means = fmt.Sprint(m.Number)
	case "head length":
		row.Means = bytesCount(len(m.Head))
	case "head":
		d.addHead(m, offset)
		return
	case "payload":
		row.Means = payloadMeans(v, m)
	case "rest":
		row.Means = "ignored"
	}
	d.Parts = append(d.Parts, row)
}

// hasEncoding reports whether messages of the kind differ in the encoding of the payload.
func hasEncoding(k protocol.Kind) bool {
	switch k {
	case protocol.Request, protocol.Reply, protocol.Signal, protocol.Item, protocol.Publication:
		return true
	}
	return false
}

// addHead adds the fields of a head.
func (d *decoded) addHead(m protocol.Message, offset int) {
	for tag, value := range m.Head.Fields() {
		size := len(value)
		start := []byte{byte(tag), byte(size), byte(size >> 8)}
		d.Parts = append(d.Parts, partJSON{offset, hex.EncodeToString(start), "field", tagName(tag) + ", " + bytesCount(size)})
		offset += len(start)
		if size > 0 {
			d.Parts = append(d.Parts, partJSON{offset, hex.EncodeToString(value), "value", fieldMeans(tag, value)})
		}
		offset += size
	}
}

func tagName(tag protocol.Tag) string {
	names := map[protocol.Tag]string{
		protocol.TagDeadline: "deadline", protocol.TagTrace: "trace context", protocol.TagTraceState: "trace state",
		protocol.TagBaggage: "baggage", protocol.TagStream: "takes a streamed reply",
		protocol.TagCredentials: "credentials", protocol.TagClient: "client",
	}
	switch name := names[tag]; {
	case name != "":
		return name
	case tag >= protocol.TagCritical:
		return "unknown, critical"
	case tag >= protocol.TagMetadata:
		return "metadata"
	}
	return "unknown"
}

func fieldMeans(tag protocol.Tag, value []byte) string {
	one := protocol.Head(nil).Append(tag, value)
	switch tag {
	case protocol.TagDeadline:
		d, _ := one.Deadline()
		return d.String()
	case protocol.TagTrace:
		t, _ := one.Trace()
		return t.String()
	}
	return quoted(value)
}

// payloadMeans returns what a payload says, in one line for each thing.
func payloadMeans(v protocol.Version, m protocol.Message) string {
	text, err := bodyMeans(v, m)
	switch {
	case err != nil:
		return "" // explain says why
	case text != "":
		return text
	case m.Payload.Encoding == protocol.Binary:
		return bytesCount(len(m.Payload.Data))
	}
	return quoted([]byte(m.Payload.Text()))
}

// bodyMeans returns what the payload of a control message says, and nothing for the
// payloads of applications.
func bodyMeans(v protocol.Version, m protocol.Message) (string, error) {
	switch m.Kind {
	case protocol.AcceptConf:
		c, err := m.Conf()
		text := list("version", c.Version, "read timeout", c.ReadTimeout, "message size", limit(c.MessageSize))
		if v == protocol.V3_0 {
			text += list("stream credit", c.StreamCredit, "requests", c.Requests)
		}
		return text + list("subprotocol", quoted([]byte(c.SubProtocol))), err
	case protocol.Hello:
		h, err := m.Hello()
		text := list("message size", limit(h.MessageSize), "stream credit", h.StreamCredit, "requests", h.Requests)
		if r := h.Resume; r != nil {
			text += list("resumes", r.Conn, "secret", hidden, "attempt", r.Attempt, "received", r.Received, "first kept", r.FirstKept)
		}
		return text, err
	case protocol.Welcome:
		w, err := m.Welcome()
		return list("outcome", named(w.Outcome, "new", "resumed", "resumed with a gap", "expired", "node gone", "taken", "", "unavailable"), "connection", w.Conn, "secret", hidden, "window", w.Window, "ring", bytesCount(w.Ring),
			"received", w.Received, "from", w.From, "late", w.Late), err
	case protocol.Cancel:
		c, err := m.Cancel()
		return list("reason", named(c.Reason, "gave up", "deadline", "enough")), err
	case protocol.Drain:
		d, err := m.Drain()
		return list("reason", named(d.Reason, "shutdown", "balance"), "spread", d.Spread, "grace", d.Grace, "endpoint", quoted([]byte(d.Endpoint))), err
	case protocol.Gap:
		g, err := m.Gap()
		return list("lost", g.Lost, "next epoch", g.Next.Epoch, "next offset", g.Next.Offset), err
	case protocol.Subscribe:
		s, err := m.Subscribe()
		text := list("topic", quoted([]byte(s.Topic)), "presence", s.Presence)
		if s.Since != nil {
			text += list("since epoch", s.Since.Epoch, "since offset", s.Since.Offset)
		}
		return text, err
	case protocol.Presence:
		p, err := m.Presence()
		return list("operation", named(p.Op, "part", "end", "enter", "leave", "update"), "data", quoted(p.Data)), err
	case protocol.ReplyFailure:
		f, err := m.Failure()
		if err != nil {
			return "", err
		}
		return list("code", f.Code, "executed", f.Executed, "text", quoted([]byte(f.Text))), nil
	case protocol.SessionCreated:
		s, err := protocol.ParseSession(m.Payload.Data)
		return list("session", fingerprint(s), "created", s.Created.UTC().Format(time.RFC3339), "info", quoted(s.Info)), err
	case protocol.RestoreSession:
		return list("key of session", fingerprint(protocol.Session{Key: m.Payload.Text()})), nil
	}
	return "", nil
}

// named returns a number of the protocol with its name, if it has one.
func named[N ~uint8](n N, names ...string) string {
	if int(n) < len(names) && names[n] != "" {
		return fmt.Sprintf("%d, %s", n, names[n])
	}
	return fmt.Sprintf("%d, unknown", n)
}

// hidden stands for what is secret, and in the bytes anyway.
const hidden = "(secret)"

// list returns names and values, each pair in a line of its own.
func list(pairs ...any) string {
	var text strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&text, "%v: %v\n", pairs[i], pairs[i+1])
	}
	return text.String()
}

// limit returns a number of bytes of which none means any number.
func limit(n int) string {
	if n == 0 {
		return "any"
	}
	return bytesCount(n)
}
