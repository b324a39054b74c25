package interop_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/webwire-go/webwire/internal/check/interop"
	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/protocol"
)

// The published clients of each version, byte by byte as they are on the wire.

func start(t *testing.T, v protocol.Version) (addr string) {
	t.Helper()
	s, err := interop.Start(interop.Options{Version: v, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s.Addr()
}

// published connects as a published client of the version does.
func published(t *testing.T, addr string, v protocol.Version) *rawClient {
	t.Helper()
	if v != protocol.V2_0 {
		_, body := request(t, addr, "WEBWIRE / HTTP/1.1\r\nHost: x\r\nUser-Agent: Go-http-client/1.1\r\nConnection: close\r\n\r\n")
		var meta struct {
			Version string `json:"protocol-version"`
		}
		if err := json.Unmarshal([]byte(body), &meta); err != nil || meta.Version != v.String() {
			t.Fatalf("metadata %q: %v", body, err)
		}
	}
	c := dialRaw(t, addr)
	if v == protocol.V2_0 {
		c.expect("17 02 00 60ea0000 00200000")
	}
	return c
}

// IDs of the first requests of the published clients.
const (
	goID = "0100000000000000"
	jsID = "0000000001000000"
)

// each runs a test in each version that published clients speak.
func each(t *testing.T, test func(t *testing.T, v protocol.Version)) {
	for _, v := range protocol.Versions() {
		if v == protocol.V3_0 {
			continue
		}
		t.Run(v.String(), func(t *testing.T) { test(t, v) })
	}
}

func TestPublishedRequests(t *testing.T) {
	each(t, func(t *testing.T, v protocol.Version) {
		c := published(t, start(t, v), v)
		c.send("80", jsID, "04", "'echohé")
		c.expect("c0", jsID, "'hé")
		c.send("7f", goID, "00", "00ff")
		c.expect("bf", goID, "00ff")
		c.send("81", goID, "05", "'echo5", "00", "3dd8 00de")
		c.expect("c1", goID, "00", "3dd8 00de")
		c.send("81", goID, "04", "'echo", "6100")
		c.expect("c1", goID, "00", "6100")
		c.send("80", jsID, "05", "'empty", "'x")
		c.expect("bf", jsID)
		c.send("80", jsID, "0a", "'empty-utf8", "'x")
		c.expect("c0", jsID)
		c.send("80", jsID, "0b", "'empty-utf16", "'x")
		c.expect("c1", jsID, "00")
		c.send("80", jsID, "08", "'internal", "'x")
		c.expect("02", jsID)
		c.send("80", jsID, "05", "'error", "'CODE|a<b")
		if v == protocol.V1_2 {
			c.expect("00", jsID, `'{"c":"CODE","m":"a\u003cb"}`)
		} else {
			c.expect("00", jsID, "04", "'CODEa<b")
		}
		c.send("80", jsID, "05", "'error", "'CODE")
		if v == protocol.V1_2 {
			c.expect("00", jsID, `'{"c":"CODE"}`)
		} else {
			c.expect("00", jsID, "04", "'CODE")
		}
		c.send("80", jsID, "07", "'inspect", "'é")
		c.expect("c0", jsID, `'{"name":"inspect","encoding":"utf8","hex":"c3a9","len":2}`)
		if v != protocol.V1_2 {
			c.send("80", jsID, "04", "'echo")
			c.expect("c0", jsID)
			c.send("81", jsID, "05", "'echo5", "00")
			c.expect("c1", jsID, "00")
		}
	})
}

func TestPublishedSignals(t *testing.T) {
	each(t, func(t *testing.T, v protocol.Version) {
		c := published(t, start(t, v), v)
		c.send("3f", "00", "ff")
		c.send("40", "01", "'n", "'text")
		c.send("41", "01", "'n", "00", "6100")
		all := []string{
			`{"name":"","encoding":"binary","hex":"ff"}`,
			`{"name":"n","encoding":"utf8","hex":"74657874"}`,
			`{"name":"n","encoding":"utf16","hex":"6100"}`,
		}
		if v == protocol.V2_0 {
			c.send("40", "01", "'n")
			all = append(all, `{"name":"n","encoding":"utf8","hex":""}`)
		}
		c.send("80", goID, "0c", "'last-signals", "'x")
		c.expect("c0", goID, "'["+strings.Join(all, ",")+"]")

		c.send("80", goID, "09", "'signal-me", `'{"name":"odd","encoding":"utf16","hex":"6100"}`)
		c.expect("41", "03", "'odd", "00", "6100")
		c.expect("bf", goID)
		c.send("80", goID, "09", "'signal-me", `'{"name":"","encoding":"utf8","hex":"c3a9"}`)
		c.expect("40", "00", "'é")
		c.expect("bf", goID)
	})
}

// fields are what the session objects of a version have.
var fields = map[protocol.Version][]string{
	protocol.V1_2: {"crt", "inf", "key"},
	protocol.V1_3: {"c", "crt", "i", "inf", "k", "key", "l"},
	protocol.V1_4: {"c", "i", "k", "l"},
	protocol.V1_5: {"c", "i", "k", "l"},
	protocol.V2_0: {"c", "i", "k", "l"},
}

// checkSession looks into a session object as a client of the version does.
func checkSession(t *testing.T, v protocol.Version, object, key string) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(object), &got); err != nil {
		t.Fatal(err)
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, fields[v]) {
		t.Fatalf("session object with %v, want %v", names, fields[v])
	}
	for _, name := range []string{"k", "key"} {
		if got, ok := got[name]; ok && got != key {
			t.Errorf("%s of the session is not its key", name)
		}
	}
	for _, name := range []string{"i", "inf"} {
		if info, ok := got[name].(map[string]any); got[name] != nil && (!ok || info["user"] != "é") {
			t.Errorf("%s of the session is %v", name, got[name])
		}
	}
	for _, name := range []string{"c", "crt", "l"} {
		if text, ok := got[name].(string); ok {
			if at, err := time.Parse(time.RFC3339Nano, text); err != nil || time.Since(at).Abs() > time.Minute {
				t.Errorf("%s of the session is %q", name, text)
			}
		}
	}
}

func TestPublishedSessions(t *testing.T) {
	each(t, func(t *testing.T, v protocol.Version) {
		addr := start(t, v)
		c := published(t, addr, v)
		c.send("1f", goID) // there is none: nothing but the reply
		c.expect("bf", goID)
		c.send("20", goID, "'unknown-key")
		c.expect("03", goID)

		c.send("80", goID, "05", "'login", `'{"user":"é"}`)
		object := c.expectPrefix("15")
		key := c.expectPrefix("c0", goID)
		checkSession(t, v, object, key)

		other := published(t, addr, v)
		other.send("20", jsID, "'"+key)
		checkSession(t, v, other.expectPrefix("c0", jsID), key)
		other.send("80", jsID, "0d", "'session-conns", "'"+key)
		other.expect("c0", jsID, "'2")

		c.send("1f", goID)
		if v != protocol.V2_0 {
			c.expect("16")
		}
		c.expect("bf", goID)
		other.expect("16")
		other.send("20", jsID, "'"+key)
		other.expect("03", jsID)

		other.send("80", jsID, "05", "'login", `'{"user":"é"}`)
		other.expectPrefix("15")
		other.expectPrefix("c0", jsID)
		other.send("80", jsID, "06", "'logout", "'x")
		other.expect("16")
		other.expect("c0", jsID, "'closed")
	})
}

func TestPublishedSessionRefusals(t *testing.T) {
	each(t, func(t *testing.T, v protocol.Version) {
		addr := start(t, v)
		c := published(t, addr, v)
		c.send("80", goID, "05", "'spawn", `'{"sessions":false}`)
		none := published(t, c.expectPrefix("c0", goID), v)
		none.send("20", goID, "'key")
		none.expect("05", goID)
		none.send("1f", goID)
		none.expect("05", goID)

		c.send("80", goID, "05", "'spawn", `'{"sessions":true,"maxSessionConns":1}`)
		one := c.expectPrefix("c0", goID)
		owner, late := published(t, one, v), published(t, one, v)
		owner.send("80", goID, "05", "'login", "'{}")
		owner.expectPrefix("15")
		key := owner.expectPrefix("c0", goID)
		late.send("20", goID, "'"+key)
		late.expect("04", goID)
	})
}

func TestPublishedShutdown(t *testing.T) {
	each(t, func(t *testing.T, v protocol.Version) {
		addr := start(t, v)
		c := published(t, addr, v)
		c.send("80", goID, "05", "'spawn", `'{"sessions":true}`)
		spawned := c.expectPrefix("c0", goID)
		busy, idle := published(t, spawned, v), published(t, spawned, v)
		busy.send("80", goID, "05", "'sleep", "'3600000") // holds the shutdown up until its connection is lost
		busy.send("80", jsID, "08", "'shutdown", "'x")
		busy.expect("c0", jsID, "'ok")
		for began := false; !began; {
			resp, _ := request(t, spawned, "OPTIONS / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			began = resp.StatusCode == http.StatusServiceUnavailable
		}
		for _, msg := range [][]string{{"80", jsID, "04", "'echo", "'x"}, {"1f", jsID}, {"20", jsID, "'key"}} {
			idle.send(msg...)
			idle.expect("01", jsID)
		}
		idle.send("40", "00", "'x")
		for _, method := range []string{"WEBWIRE", "OPTIONS", "GET"} {
			resp, body := request(t, spawned, method+" / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			if resp.StatusCode != http.StatusServiceUnavailable || body != "Server shutting down\n" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
				t.Errorf("%s: %s %q", method, resp.Status, body)
			}
		}
		_ = busy.Close()
		if status := idle.expectClose(); status != 1001 {
			t.Errorf("close with status %d", status)
		}
	})
}

func TestPublishedFrames(t *testing.T) {
	each(t, func(t *testing.T, v protocol.Version) {
		addr := start(t, v)
		c := published(t, addr, v)

		// A message in pieces, with a ping between them.
		msg := message(t, []string{"80", jsID, "04", "'echo", "'in pieces"})
		for _, err := range []error{
			c.frame(opBinary, msg[:5]), c.frame(fin|opPing, []byte("ping")),
			c.frame(opContinuation, msg[5:12]), c.frame(fin|opContinuation, msg[12:]),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		var got []string // in any order
		for range 2 {
			first, payload, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%#x %x", first, payload))
		}
		slices.Sort(got)
		want := []string{
			fmt.Sprintf("%#x %x", fin|opBinary, message(t, []string{"c0", jsID, "'in pieces"})),
			fmt.Sprintf("%#x %x", fin|opPong, "ping"),
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got the frames %v, want %v", got, want)
		}

		if manners.Of(v).Heartbeats {
			for range 1000 { // some published clients send them without a pause
				c.send("21")
			}
			c.send("80", jsID, "04", "'echo", "'alive")
			c.expect("c0", jsID, "'alive")
		}

		if err := c.frame(fin|opClose, []byte{0x0f, 0xa0, 'b', 'y', 'e'}); err != nil {
			t.Fatal(err)
		}
		if status := c.expectClose(); status != 4000 {
			t.Errorf("the close was answered with status %d", status)
		}

		c = published(t, addr, v)
		if err := c.frame(fin|opText, message(t, []string{"80", jsID, "04", "'echo", "'text"})); err != nil {
			t.Fatal(err)
		}
		if v == protocol.V2_0 {
			c.expectClose()
		} else {
			c.expect("c0", jsID, "'text")
		}

		c = published(t, addr, v)
		c.send("80", jsID, "04", "'kill", "'x")
		if first, payload, err := c.next(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after kill: frame %#x %q, %v", first, payload, err)
		}
	})
}

// The reactions of section 9 of PROTOCOL.md on a WebSocket.
func TestPublishedViolations(t *testing.T) {
	each(t, func(t *testing.T, v protocol.Version) {
		addr := start(t, v)
		for name, msg := range map[string]string{
			"short request": "800102", "request without name": "80" + jsID, "odd text": "81" + jsID + "0041",
			"short restore": "20" + jsID, "long close": "1f" + jsID + "00",
			"short signal": "3f", "unknown type": "99" + jsID, "empty": "",
		} {
			c := published(t, addr, v)
			c.send(msg)
			wantsReply := strings.HasPrefix(msg, "8") || strings.HasPrefix(msg, "20") || strings.HasPrefix(msg, "1f")
			id := "0000000000000000"
			if wantsReply && len(msg) >= 18 {
				id = jsID
			}
			switch {
			case v == protocol.V1_2 || v == protocol.V2_0:
				if status := c.expectClose(); status != 1002 {
					t.Errorf("%s: close with status %d", name, status)
				}
				continue
			case v == protocol.V1_3:
				c.expect("02", id)
			case wantsReply:
				c.expect("06", id)
			}
			c.send("80", jsID, "04", "'echo", "'still there")
			c.expect("c0", jsID, "'still there")
		}
	})
}

// Messages of 2.0 may have 8192 bytes, and no more.
func TestPublishedMessageSize(t *testing.T) {
	v := protocol.V2_0
	addr := start(t, v)
	c := published(t, addr, v)
	head := []string{"80", jsID, "04", "'echo"}
	longest := "'" + strings.Repeat("x", 8192-14)
	c.send(append(head, longest)...)
	c.expect("c0", jsID, longest)
	c.send("80", jsID, "03", "'big", "'8183")
	c.expect("bf", jsID, "'"+strings.Repeat("a", 8183))
	c.send("80", jsID, "03", "'big", "'8184")
	c.expect("00", jsID, "07", "'TOO_BIGthe reply has 8193 bytes, this client takes messages of at most 8192")
	c.send(append(head, longest+"x")...)
	if status := c.expectClose(); status != 1009 {
		t.Errorf("close with status %d", status)
	}
}

// The server pings peers of every version, and a peer that answers pings lives. One that
// does not is dropped after the read timeout, without a close frame: nobody would read it.
func TestPublishedSilence(t *testing.T) {
	t.Parallel() // it waits most of the time
	const readTimeout = 3 * time.Second
	var all sync.WaitGroup
	for _, v := range []protocol.Version{protocol.V1_2, protocol.V1_5, protocol.V2_0} {
		test := func(t *testing.T) {
			s, err := interop.Start(interop.Options{Version: v, ReadTimeout: readTimeout, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			began := time.Now()
			dead, alive := dialRaw(t, s.Addr()), dialRaw(t, s.Addr())
			if v == protocol.V2_0 {
				dead.expectPrefix("17 02 00 b80b0000")
				alive.expectPrefix("17 02 00 b80b0000")
			}
			for time.Since(began) < 2*readTimeout {
				first, payload, err := alive.next()
				if err != nil || first != fin|opPing {
					t.Fatalf("frame %#x %q, %v, want a ping", first, payload, err)
				}
				if err := alive.frame(fin|opPong, payload); err != nil {
					t.Fatal(err)
				}
			}
			alive.send("80", goID, "04", "'echo", "'alive")
			alive.expect("c0", goID, "'alive")
			for {
				first, payload, err := dead.next()
				if err != nil {
					break
				}
				if first != fin|opPing {
					t.Fatalf("frame %#x %q, want pings and the end", first, payload)
				}
			}
		}
		all.Go(func() { t.Run(v.String(), test) })
	}
	all.Wait()
}
