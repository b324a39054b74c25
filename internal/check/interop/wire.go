package interop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// wire is the client's end of a socket of 3.0 without a client: a step decides what is
// sent, and sees all that arrives.
type wire struct {
	transport.Conn
	run     *run
	conf    protocol.Conf
	welcome protocol.WelcomeBody
	last    uint64 // id that was used
}

// socket opens a socket and says nothing on it. It is dropped at the end of the step.
func (r *run) socket(addr string) (*wire, error) {
	conn, err := r.Network.Dialer(addr).Dial(r.ctx, transport.DialOptions{
		Protocols: []string{r.Version.Token()},
		Limits:    transport.Limits{MaxMessageSize: MaxMessageSize},
	})
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	context.AfterFunc(r.ctx, func() { _ = conn.Abort() })
	w := &wire{Conn: conn, run: r}
	m, err := w.receive()
	if err == nil && m.Kind != protocol.AcceptConf {
		err = errors.New("another message comes first")
	}
	if err == nil {
		w.conf, err = m.Conf()
	}
	if err != nil {
		return nil, fmt.Errorf("accept-conf: %w", err)
	}
	return w, nil
}

// someHello is a hello of a client that takes as much as most do.
func someHello() protocol.HelloBody {
	return protocol.HelloBody{MessageSize: MaxMessageSize, StreamCredit: 64 << 10, Requests: 16}
}

// wire opens a socket of 3.0 and waits for the welcome.
func (r *run) wire(addr string, hello protocol.HelloBody) (*wire, error) {
	w, err := r.socket(addr)
	if err != nil {
		return nil, err
	}
	if err := w.send(hello.Message()); err != nil {
		return nil, err
	}
	m, err := w.receive()
	if err == nil {
		w.welcome, err = m.Welcome()
	}
	if err != nil {
		return nil, fmt.Errorf("welcome: %w", err)
	}
	return w, nil
}

// id returns a new id.
func (w *wire) id() protocol.ID {
	w.last++
	return protocol.NewID(w.last)
}

// send sends messages in one write.
func (w *wire) send(msgs ...protocol.Message) error {
	var encoded [][]byte
	for _, m := range msgs {
		b, err := protocol.V3_0.Append(nil, m)
		if err != nil {
			return fmt.Errorf("%v: %w", m.Kind, err)
		}
		encoded = append(encoded, b)
	}
	return w.Write(encoded...)
}

// request sends a request with a text and returns its id.
func (w *wire) request(name, text string, head protocol.Head) (protocol.ID, error) {
	id := w.id()
	return id, w.send(protocol.Message{Kind: protocol.Request, ID: id, Name: name, Head: head, Payload: protocol.Text(text)})
}

// read returns the next message.
func (w *wire) read() (protocol.Message, error) {
	b, err := w.Read(nil)
	if err != nil {
		if w.run.ctx.Err() != nil {
			err = w.run.ctx.Err()
		}
		return protocol.Message{}, err
	}
	m, err := protocol.V3_0.Parse(b)
	if err != nil {
		return m, fmt.Errorf("%.100x: %w", b, err)
	}
	return m, nil
}

// receive returns the next message that is not an ack.
func (w *wire) receive() (protocol.Message, error) {
	for {
		if m, err := w.read(); err != nil || m.Kind != protocol.Ack {
			return m, err
		}
	}
}

// reply waits for the reply to a request, which must be the next message.
func (w *wire) reply(id protocol.ID) (string, error) {
	m, err := w.receive()
	if err != nil || m.Kind != protocol.Reply || m.ID != id {
		return "", instead(m, err, fmt.Sprintf("reply of %x", id))
	}
	return m.Payload.Text(), nil
}

// instead returns the error of a step that got a message, or an error, instead of what it
// wants.
func instead(m protocol.Message, err error, want string) error {
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", want, err)
	}
	return fmt.Errorf("%v of %x %q %.100q comes instead of %s", m.Kind, m.ID, m.Name, m.Payload.Data, want)
}

// ask is request and reply.
func (w *wire) ask(name, text string) (string, error) {
	id, err := w.request(name, text, nil)
	if err != nil {
		return "", err
	}
	got, err := w.reply(id)
	if err != nil {
		return "", fmt.Errorf("request %s: %w", name, err)
	}
	return got, nil
}

// expect is ask for a reply that is known.
func (w *wire) expect(name, want string) error {
	got, err := w.ask(name, "x")
	if err == nil && got != want {
		err = fmt.Errorf("request %s: reply %.100q, want %q", name, got, want)
	}
	return err
}

// works sees to it that nothing but the reply to a request comes next.
func (w *wire) works() error {
	got, err := w.ask("echo", "still there")
	if err == nil && got != "still there" {
		err = fmt.Errorf("request echo: reply %.100q", got)
	}
	return err
}

// failure waits for the failure of a request, which must be the next message.
func (w *wire) failure(id protocol.ID, code protocol.FailureCode, executed ...protocol.Executed) error {
	m, err := w.receive()
	if err != nil {
		return fmt.Errorf("waiting for failure %d: %w", code, err)
	}
	f, err := m.Failure()
	if err != nil || m.ID != id {
		return fmt.Errorf("%v of %x comes instead of failure %d of %x", m.Kind, m.ID, code, id)
	}
	if f.Code != code {
		return fmt.Errorf("failure %d, want %d", f.Code, code)
	}
	for _, e := range executed {
		if f.Executed == e {
			return nil
		}
	}
	return fmt.Errorf("failure %d says executed %d, want one of %d", code, f.Executed, executed)
}

// closed waits until the server closes the socket with a status. Nothing but answers to
// what was sent before may come first.
func (w *wire) closed(want transport.Status) error {
	for {
		_, err := w.read()
		if err == nil {
			continue
		}
		var closed *transport.CloseError
		if !errors.As(err, &closed) || closed.Local || closed.Status != want {
			return fmt.Errorf("the socket ends with %v, want status %d", err, want)
		}
		return nil
	}
}

// rest is how long a step waits to see that nothing happens.
const rest = 200 * time.Millisecond

// quiet sees to it that nothing comes for a while, and that the connection works.
func (w *wire) quiet() error {
	if err := pause(w.run.ctx, rest); err != nil {
		return err
	}
	return w.works()
}
