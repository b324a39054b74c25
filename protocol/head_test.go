package protocol_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/webwire-go/webwire/protocol"
)

// sent returns the head as the other end reads it.
func sent(t *testing.T, h protocol.Head) protocol.Head {
	t.Helper()
	m := request("n", protocol.Payload{})
	m.Head = h
	b, err := protocol.V3_0.Append(nil, m)
	if err != nil {
		t.Fatalf("%x: %v", h, err)
	}
	got, err := protocol.V3_0.Parse(b)
	if err != nil || string(got.Head) != string(h) {
		t.Fatalf("%x comes back as %x, %v", h, got.Head, err)
	}
	return got.Head
}

func TestHead(t *testing.T) {
	trace, err := protocol.ParseTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if err != nil {
		t.Fatal(err)
	}
	h := sent(t, protocol.Head(nil).
		AppendMetadata("tenant", "7").
		AppendDeadline(1500*time.Millisecond).
		AppendTrace(trace).
		AppendTraceState("a=b").
		AppendBaggage("c=d").
		AppendStream().
		AppendCredentials([]byte("token")).
		AppendClient("name", "1.0").
		Append(40, []byte("unknown")).
		AppendMetadata("tenant", "x\x00y").
		Append(127, []byte("k\x00")))
	if d, ok := h.Deadline(); d != 1500*time.Millisecond || !ok {
		t.Error(d, ok)
	}
	if got, ok := h.Trace(); got != trace || !ok {
		t.Error(got, ok)
	}
	if h.TraceState() != "a=b" || h.Baggage() != "c=d" || !h.Stream() {
		t.Errorf("%q, %q, %v", h.TraceState(), h.Baggage(), h.Stream())
	}
	if c, ok := h.Credentials(); string(c) != "token" || !ok {
		t.Errorf("%q, %v", c, ok)
	}
	if name, version := h.Client(); name != "name" || version != "1.0" {
		t.Error(name, version)
	}
	var metadata []string
	for key, value := range h.Metadata() {
		metadata = append(metadata, fmt.Sprintf("%s=%q", key, value))
	}
	if want := []string{`tenant="7"`, `tenant="x\x00y"`, `k=""`}; !reflect.DeepEqual(metadata, want) {
		t.Errorf("%q, want %q", metadata, want)
	}
	for range h.Metadata() {
		break // as for any iterator
	}
	if tag, ok := h.Unsupported(); ok {
		t.Errorf("field %d is not critical", tag)
	}
	if tag, ok := sent(t, h.Append(200, nil)).Unsupported(); tag != 200 || !ok {
		t.Error(tag, ok)
	}
}

func TestEmptyHead(t *testing.T) {
	var h protocol.Head
	_, deadline := h.Deadline()
	_, trace := h.Trace()
	_, credentials := h.Credentials()
	_, unsupported := h.Unsupported()
	name, version := h.Client()
	if deadline || trace || credentials || unsupported || h.Stream() || name+version+h.TraceState()+h.Baggage() != "" {
		t.Error("an empty head has something")
	}
	for range h.Fields() {
		t.Error("an empty head has a field")
	}
	for range h.Metadata() {
		t.Error("an empty head has metadata")
	}
}

// The first field of a tag counts.
func TestHeadRepeats(t *testing.T) {
	h := sent(t, protocol.Head(nil).AppendDeadline(time.Second).AppendDeadline(time.Minute))
	if d, _ := h.Deadline(); d != time.Second {
		t.Error(d)
	}
}

func TestDeadlines(t *testing.T) {
	const most = (1<<32 - 1) * time.Millisecond
	for d, want := range map[time.Duration]time.Duration{
		-time.Hour: 0, 0: 0, 1: time.Millisecond, time.Millisecond: time.Millisecond,
		time.Millisecond + 1: 2 * time.Millisecond, most: most, most + time.Hour: most, 1<<63 - 1: most,
	} {
		if got, ok := sent(t, protocol.Head(nil).AppendDeadline(d)).Deadline(); got != want || !ok {
			t.Errorf("%v comes back as %v, %v, want %v", d, got, ok, want)
		}
	}
}

// What cannot be a head is not sent.
func TestUnsendableHeads(t *testing.T) {
	var none protocol.Head
	huge := strings.Repeat("x", 1<<20)
	for name, h := range map[string]protocol.Head{
		"no key":         none.AppendMetadata("", "value"),
		"NUL in key":     none.AppendMetadata("a\x00b", "value"),
		"no client name": none.AppendClient("", "1.0"),
		"no deadline":    none.Append(protocol.TagDeadline, nil),
		"long field":     none.Append(40, []byte(huge)),
		"long text":      none.AppendBaggage(huge),
		"long state":     none.AppendTraceState(huge[:8<<10-2]),
		"long metadata":  none.AppendMetadata("k", huge),
		"long key":       none.AppendMetadata(huge, ""),
		"long in all":    none.Append(40, []byte(huge[:5000])).Append(40, []byte(huge[:5000])),
		"no head":        protocol.Head("x"),
	} {
		m := request("n", protocol.Payload{})
		m.Head = h
		if b, err := protocol.V3_0.Append([]byte("kept"), m); !errors.Is(err, protocol.ErrMalformed) || string(b) != "kept" {
			t.Errorf("%s: %.20q, %v", name, b, err)
		}
		for _, v := range protocol.Versions() {
			if _, err := v.Append(nil, m); v != protocol.V1_2 && v < protocol.V3_0 && err != nil {
				t.Errorf("%s: %v has no heads: %v", name, v, err)
			}
		}
	}
	longest := none.AppendBaggage(huge[:8<<10-3])
	if len(longest) != 8<<10 || sent(t, longest).Baggage() != huge[:8<<10-3] {
		t.Errorf("the longest head has %d bytes", len(longest))
	}
}

// A field that Parse would have rejected is none.
func TestUncheckedHeads(t *testing.T) {
	for _, h := range []protocol.Head{
		protocol.Head("\x01"), protocol.Head("\x01\xff\xffxxxx"), protocol.Head("\x02\x01\x00x"),
		protocol.Head("\x01\x01\x00x"), protocol.Head("\x40\x01\x00x"), protocol.Head("\x80"),
	} {
		_, deadline := h.Deadline()
		_, trace := h.Trace()
		_, unsupported := h.Unsupported()
		if deadline || trace || unsupported {
			t.Errorf("%x has a field", h)
		}
		for range h.Metadata() {
			t.Errorf("%x has metadata", h)
		}
	}
}

func TestTraceparent(t *testing.T) {
	const text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	tc, err := protocol.ParseTraceparent(text)
	if err != nil || tc.String() != text || !tc.Valid() || tc.Flags != 1 {
		t.Errorf("%v, %v", tc, err)
	}
	if later, err := protocol.ParseTraceparent("cc" + text[2:] + "-what-comes"); err != nil || later != tc {
		t.Errorf("a later version is %v, %v", later, err)
	}
	for name, bad := range map[string]string{
		"empty":           "",
		"short":           text[:54],
		"long":            text + "-x",
		"later, no dash":  "01" + text[2:] + "x",
		"version ff":      "ff" + text[2:],
		"upper case":      strings.ToUpper(text),
		"no trace id":     "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"no span id":      "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"other separator": strings.Replace(text, "-", "_", 1),
		"no digit":        strings.Replace(text, "4b", "g0", 1),
	} {
		if tc, err := protocol.ParseTraceparent(bad); !errors.Is(err, protocol.ErrMalformed) || tc != (protocol.TraceContext{}) {
			t.Errorf("%s: %v, %v", name, tc, err)
		}
	}
	// A trace context without ids is ignored, not an error.
	if tc, ok := sent(t, protocol.Head(nil).AppendTrace(protocol.TraceContext{Flags: 1})).Trace(); ok || tc.Flags != 0 {
		t.Errorf("%v, %v", tc, ok)
	}
}

func TestHeadsDoNotAllocate(t *testing.T) {
	h := make(protocol.Head, 0, 1000)
	n := testing.AllocsPerRun(100, func() {
		h = h[:0].AppendDeadline(time.Second).AppendTrace(protocol.TraceContext{}).AppendTraceState("a=b").
			AppendStream().AppendCredentials([]byte("token")).AppendClient("name", "1").AppendMetadata("key", "value")
		size := 0
		for _, value := range h.Fields() {
			size += len(value)
		}
		for key, value := range h.Metadata() {
			size += len(key) + len(value)
		}
		_, _ = h.Deadline()
		_, _ = h.Trace()
		_, _ = h.Credentials()
		_, _ = h.Unsupported()
		if size == 0 || !h.Stream() {
			t.Fatal("head is empty")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
