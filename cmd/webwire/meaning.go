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
		row.Means = "so that UTF-16 begins at an even offset"
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
	text := func(body any, err error) string {
		if err != nil {
			return err.Error()
		}
		return fields(fmt.Sprintf("%+v", body))
	}
	switch m.Kind {
	case protocol.AcceptConf:
		c, err := m.Conf()
		if err != nil {
			return err.Error()
		}
		lines := []string{
			"version " + c.Version.String(), fmt.Sprint("read timeout ", c.ReadTimeout), "message size " + limit(c.MessageSize),
		}
		if v == protocol.V3_0 {
			lines = append(lines, "stream credit "+bytesCount(c.StreamCredit), fmt.Sprint("requests ", c.Requests))
		}
		return strings.Join(append(lines, fmt.Sprintf("subprotocol %q", c.SubProtocol)), "\n")
	case protocol.Hello:
		h, err := m.Hello()
		if err != nil {
			return err.Error()
		}
		lines := []string{"message size " + limit(h.MessageSize), "stream credit " + bytesCount(h.StreamCredit), fmt.Sprint("requests ", h.Requests)}
		if r := h.Resume; r != nil {
			lines = append(lines, "resumes "+r.Conn.String(), "secret "+fmt.Sprint(r.Secret), fmt.Sprint("attempt ", r.Attempt),
				fmt.Sprint("received ", r.Received), fmt.Sprint("first kept ", r.FirstKept))
		}
		return strings.Join(lines, "\n")
	case protocol.Welcome:
		return text(m.Welcome())
	case protocol.Cancel:
		return text(m.Cancel())
	case protocol.Drain:
		return text(m.Drain())
	case protocol.Gap:
		return text(m.Gap())
	case protocol.Subscribe:
		s, err := m.Subscribe()
		if err != nil {
			return err.Error()
		}
		lines := []string{fmt.Sprintf("topic %q", s.Topic)}
		if s.Since != nil {
			lines = append(lines, fmt.Sprint("since epoch ", s.Since.Epoch, ", offset ", s.Since.Offset))
		}
		return strings.Join(append(lines, fmt.Sprint("presence ", s.Presence)), "\n")
	case protocol.Presence:
		p, err := m.Presence()
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("operation %d\ndata %s", p.Op, quoted(p.Data))
	case protocol.ReplyFailure:
		f, err := m.Failure()
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%v\nexecuted: %v\ntext %q", f.Code, f.Executed, f.Text)
	case protocol.SessionCreated:
		s, err := protocol.ParseSession(m.Payload.Data)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%v\ncreated %s\ninfo %s", s, s.Created.UTC().Format(time.RFC3339), quoted(s.Info))
	case protocol.RestoreSession:
		return "key of " + protocol.Session{Key: m.Payload.Text()}.String()
	}
	if m.Payload.Encoding == protocol.Binary {
		return bytesCount(len(m.Payload.Data))
	}
	return quoted([]byte(m.Payload.Text()))
}

// limit returns a number of bytes of which none means any number.
func limit(n int) string {
	if n == 0 {
		return "any"
	}
	return bytesCount(n)
}

// fields returns a struct, as %+v prints it, with a line for each field.
func fields(text string) string {
	return strings.ReplaceAll(strings.Trim(text, "{}"), " ", "\n")
}
