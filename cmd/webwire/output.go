package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// longest is how much of a payload or a text a line shows, in bytes.
const longest = 200

// event is one line of serve, listen and subscribe: something that happened on a connection.
type event struct {
	Time     time.Time       `json:"time"`
	Conn     int             `json:"conn,omitempty"` // its number
	Event    string          `json:"event"`
	Name     *string         `json:"name,omitempty"` // of a request, a signal, a publication, or of a topic
	Payload  *payload        `json:"payload,omitempty"`
	Session  string          `json:"session,omitempty"` // a fingerprint of its key
	Member   string          `json:"member,omitempty"`  // the ID of a member of a topic
	Info     json.RawMessage `json:"info,omitempty"`    // what the server tells of it
	Detail   string          `json:"detail,omitempty"`
	Position string          `json:"position,omitempty"` // in the history of a topic
}

// payload is the JSON form of a payload: the encoding, and its text or bytes.
type payload struct {
	Encoding string  `json:"encoding"`
	Text     *string `json:"text,omitempty"`
	Base64   []byte  `json:"base64,omitempty"`
	wire     protocol.Payload
}

func newPayload(p protocol.Payload) *payload {
	out := &payload{Encoding: p.Encoding.String(), wire: p}
	if p.Encoding == protocol.Binary {
		out.Base64 = p.Data
	} else {
		text := p.Text()
		out.Text = &text
	}
	return out
}

// printer prints lines, of any goroutine.
type printer struct {
	mu    sync.Mutex
	w     io.Writer
	json  bool
	color bool
}

func newPrinter(w io.Writer, json bool) *printer {
	return &printer{w: w, json: json, color: !json && colored(w)}
}

// terminal reports whether w is a terminal.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// colored reports whether w shows colors: a terminal of a user who has not refused them,
// see no-color.org.
func colored(w io.Writer) bool {
	return terminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	cyan  = "36"
)

// paint returns the text in a color, if there are colors.
func (p *printer) paint(color, text string) string {
	if !p.color || color == "" || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// line prints a line.
func (p *printer) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, format+"\n", args...)
}

// object prints v as one line of JSON.
func (p *printer) object(v any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	enc := json.NewEncoder(p.w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // whoever reads has gone
}

// event prints an event that happens now.
func (p *printer) event(e event) {
	e.Time = time.Now()
	if p.json {
		p.object(e)
		return
	}
	words := []string{p.paint(dim, e.Time.Format("15:04:05.000"))}
	if e.Conn > 0 {
		words = append(words, p.paint(cyan, "#"+strconv.Itoa(e.Conn)))
	}
	words = append(words, p.paint(eventColors[e.Event], e.Event))
	if e.Name != nil {
		words = append(words, p.paint(bold, quoted([]byte(*e.Name))))
	}
	if e.Payload != nil {
		words = append(words, show(e.Payload.wire))
	}
	if e.Session != "" {
		words = append(words, e.Session)
	}
	if e.Member != "" {
		words = append(words, p.paint(bold, quoted([]byte(e.Member))))
	}
	if len(e.Info) > 0 {
		words = append(words, printable(string(e.Info)))
	}
	if e.Detail != "" {
		words = append(words, printable(e.Detail))
	}
	if e.Position != "" {
		words = append(words, p.paint(dim, "at "+e.Position))
	}
	p.line("%s", strings.Join(words, " "))
}

var eventColors = map[string]string{
	"connected": green, "disconnected": red, "refused": red, "failed": red, "connect error": red, "session error": red,
}

// fingerprint returns what stands for the key of a session, which is a secret.
func fingerprint(s protocol.Session) string { return strings.TrimPrefix(s.String(), "session ") }

// ending returns why a connection ended, in a line.
func ending(reason error) string {
	var end *transport.CloseError
	if !errors.As(reason, &end) {
		return reason.Error()
	}
	text := "by the peer, " + end.Status.String()
	if end.Local {
		text = "by this end, " + end.Status.String()
	}
	if end.Reason != "" {
		text += ": " + end.Reason
	}
	return text
}

// show returns a payload in one line: its encoding, its size and how it begins.
func show(p protocol.Payload) string {
	if len(p.Data) == 0 {
		return p.Encoding.String() + ", empty"
	}
	head := fmt.Sprintf("%v, %s: ", p.Encoding, bytesCount(len(p.Data)))
	switch p.Encoding {
	case protocol.UTF8:
		return head + quoted(p.Data)
	case protocol.UTF16:
		return head + quoted([]byte(p.Text()))
	}
	if len(p.Data) > longest/4 {
		return head + hex.EncodeToString(p.Data[:longest/4]) + "..."
	}
	return head + hex.EncodeToString(p.Data)
}

func bytesCount(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return strconv.Itoa(n) + " bytes"
}

// quoted returns text as a Go string that a terminal can show, between backquotes if that
// saves escapes: JSON. A long text is cut.
func quoted(text []byte) string {
	cut, more := len(text), ""
	if cut > longest {
		cut, more = longest, "..."
		for cut > longest-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
			cut--
		}
	}
	shown := string(text[:cut])
	if strings.ContainsAny(shown, `"\`) && utf8.ValidString(shown) && !strings.ContainsFunc(shown, needsEscape) {
		return "`" + shown + "`" + more
	}
	return strconv.Quote(shown) + more
}

func needsEscape(r rune) bool { return r == '`' || !unicode.IsPrint(r) }

// printable returns text of a peer without what would control a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// reply prints the payload of a reply by itself: to a terminal in a form that it can
// show, elsewhere the bytes of a binary one, and text in UTF-8 with a newline at its end.
func reply(w io.Writer, p protocol.Payload) error {
	var out []byte
	switch tty := terminal(w); {
	case p.Encoding == protocol.Binary && tty:
		out = []byte(hex.Dump(p.Data))
	case p.Encoding == protocol.Binary:
		out = p.Data
	default:
		text := p.Text()
		if tty {
			text = printable(text)
		}
		if out = []byte(text); !bytes.HasSuffix(out, []byte("\n")) {
			out = append(out, '\n')
		}
	}
	_, err := w.Write(out)
	return err
}
