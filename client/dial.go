package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/webwire-go/webwire/internal/link"
	"github.com/webwire-go/webwire/internal/manners"
	"github.com/webwire-go/webwire/internal/tasks"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/transport"
)

// opening is a socket on which both ends know how to speak.
type opening struct {
	conf    link.Config
	welcome *protocol.WelcomeBody // if the client asked to go on with a connection, and the server speaks 3.0
}

// dial opens a socket and agrees with the server on how to speak (section 2 of
// PROTOCOL.md). If resume is not nil it asks to go on with a connection. No other message
// was sent when it returns.
func (c *Client) dial(ctx context.Context, resume *protocol.Resume) (*opening, error) {
	header, err := c.callHeader(ctx)
	if err != nil {
		return nil, fmt.Errorf("client: header: %w", err)
	}
	conn, err := c.callDial(ctx, header)
	if err != nil {
		return nil, fmt.Errorf("client: dial: %w", c.explain(ctx, header, err))
	}
	o, err := c.agree(ctx, conn, header, resume)
	if err != nil {
		_ = conn.Close(transport.StatusProtocolError, "no agreement on the protocol") // err says why
		return nil, err
	}
	return o, nil
}

func (c *Client) tokens() []string {
	tokens := make([]string, len(c.opts.Versions))
	for i, v := range c.opts.Versions {
		tokens[i] = v.Token()
	}
	return tokens
}

// explain finds out whether an endpoint refused a connection because of the
// version: some tell so only when asked for their metadata.
func (c *Client) explain(ctx context.Context, header http.Header, err error) error {
	prober, ok := c.dialer.(transport.Prober)
	if !ok || !noSuchEndpoint(err) {
		return err
	}
	meta, probeErr := c.probe(ctx, prober, header)
	if probeErr != nil && !errors.Is(probeErr, protocol.ErrVersion) {
		return err
	}
	if c.common(meta) {
		return err
	}
	return &VersionError{Server: spoken(meta), Client: c.opts.Versions, Cause: err}
}

// common reports whether the endpoint speaks a version that the client may.
func (c *Client) common(meta protocol.Metadata) bool {
	return slices.ContainsFunc(spoken(meta), func(v protocol.Version) bool {
		return slices.Contains(c.opts.Versions, v)
	})
}

func spoken(meta protocol.Metadata) []protocol.Version {
	all := meta.Versions
	if meta.Version.Known() && !slices.Contains(all, meta.Version) {
		all = append(all, meta.Version)
	}
	return all
}

func (c *Client) probe(ctx context.Context, p transport.Prober, header http.Header) (meta protocol.Metadata, err error) {
	body, err := c.callProbe(ctx, p, header)
	if err != nil {
		return meta, err
	}
	err = json.Unmarshal(body, &meta)
	return meta, err
}

// agree finds out which version to speak on a connection and what the server
// wants to be known.
func (c *Client) agree(ctx context.Context, conn transport.Conn, header http.Header, resume *protocol.Resume) (*opening, error) {
	version, meta, err := c.version(ctx, conn, header)
	if err != nil {
		return nil, err
	}
	if !version.Known() {
		return nil, &VersionError{Server: []protocol.Version{version}, Client: protocol.Versions()}
	}
	rules := manners.Of(version)
	unanswered := pingsIgnored(conn, c.dialer, version)
	if unanswered {
		if s, ok := transport.As[transport.SilenceAllower](conn); ok {
			s.AllowSilence()
		}
	}

	conf := protocol.Conf{ReadTimeout: meta.ReadTimeout}
	o := &opening{conf: link.Config{Conn: conn, Version: version, Heartbeat: rules.Heartbeats}}
	into := &o.conf
	switch {
	case rules.Hello:
		conf, o.welcome, err = c.greet(ctx, conn, into, resume)
	case rules.Conf:
		conf, into.Opening, err = c.awaitConf(ctx, conn, version)
	}
	if err != nil {
		return nil, err
	}
	silence := c.opts.ReadTimeout
	if conf.ReadTimeout > 0 {
		silence = min(silence, conf.ReadTimeout)
	}
	into.MaxMessage = conf.MessageSize
	into.Limits = &link.Limits{
		OutboxSize:   c.opts.OutboxSize,
		WriteTimeout: c.opts.WriteTimeout,
		KeepAlive:    silence / 3,
		WakeCheck:    true,
		Unanswered:   unanswered,
		Tasks:        tasks.Limits{Concurrency: requestsAtOnce, Budget: c.opts.InboxSize},
		Survives:     survives,
	}
	return o, nil
}

// version returns the version to speak on a connection: the one that both ends
// agreed on, or that of an endpoint that negotiates nothing.
func (c *Client) version(ctx context.Context, conn transport.Conn, header http.Header) (protocol.Version, protocol.Metadata, error) {
	var meta protocol.Metadata
	if token := conn.Protocol(); token != "" {
		v, err := protocol.ParseToken(token)
		if err != nil || !slices.Contains(c.opts.Versions, v) {
			return v, meta, &VersionError{Client: c.opts.Versions, Cause: fmt.Errorf("server chose %q, which was not offered", token)}
		}
		return v, meta, nil
	}
	prober, ok := c.dialer.(transport.Prober)
	if !ok {
		v, err := c.unprobed(conn)
		return v, meta, err
	}
	meta, err := c.probe(ctx, prober, header)
	var refused *transport.RefusedError
	switch {
	case noSuchEndpoint(err), errors.As(err, &refused) && refused.StatusCode == http.StatusNotImplemented:
		// Published servers of 2.0 have no metadata, but tell on the connection.
		if slices.Contains(c.opts.Versions, protocol.V2_0) {
			return protocol.V2_0, meta, nil
		}
		return 0, meta, &VersionError{Server: []protocol.Version{protocol.V2_0}, Client: c.opts.Versions, Cause: err}
	case errors.Is(err, protocol.ErrVersion):
		return 0, meta, &VersionError{Server: spoken(meta), Client: c.opts.Versions, Cause: err}
	case err != nil:
		return 0, meta, fmt.Errorf("client: metadata: %w", err)
	case !slices.Contains(c.opts.Versions, meta.Version):
		return 0, meta, &VersionError{Server: []protocol.Version{meta.Version}, Client: c.opts.Versions}
	}
	return meta.Version, meta, nil
}

// unprobed returns the version to speak on a connection without an agreement to a server
// without metadata: there is one only if the connection does not negotiate.
func (c *Client) unprobed(conn transport.Conn) (v protocol.Version, err error) {
	negotiator, ok := transport.As[transport.Negotiator](conn)
	if !ok {
		return c.opts.Versions[0], nil
	}
	supported, err := negotiator.PeerProtocols()
	if err != nil {
		return v, fmt.Errorf("client: dial: %w", err)
	}
	if supported == nil {
		return c.opts.Versions[0], nil
	}
	failed := &VersionError{Client: c.opts.Versions}
	if len(supported) == 0 {
		failed.Cause = errors.New("server supports no protocol")
	}
	for _, token := range supported {
		if v, err := protocol.ParseToken(token); err == nil {
			failed.Server = append(failed.Server, v)
		}
	}
	return v, failed
}

// awaitConf reads the message with which a server opens a connection (section 7.1),
// and returns its length, too.
func (c *Client) awaitConf(ctx context.Context, conn transport.Conn, v protocol.Version) (conf protocol.Conf, size int, err error) {
	stop := context.AfterFunc(ctx, func() {
		_ = conn.Abort() // ends the Read, which reports it
	})
	b, err := conn.Read(nil)
	if !stop() {
		return conf, 0, fmt.Errorf("client: server did not open the connection: %w", context.Cause(ctx))
	}
	if err != nil {
		return conf, 0, fmt.Errorf("client: server did not open the connection: %w", err)
	}
	m, err := v.Parse(b)
	if err != nil {
		return conf, 0, fmt.Errorf("client: server did not open the connection: %w", err)
	}
	if conf, err = m.Conf(); err != nil {
		return conf, 0, err
	}
	return conf, len(b), c.checkConf(conf, v)
}

// checkConf returns an error if the client cannot speak to a server that sent conf.
func (c *Client) checkConf(conf protocol.Conf, v protocol.Version) error {
	if conf.Version.Major() != v.Major() {
		return &VersionError{Server: []protocol.Version{conf.Version}, Client: c.opts.Versions}
	}
	if conf.SubProtocol != c.opts.SubProtocol {
		return &VersionError{
			Server: []protocol.Version{conf.Version},
			Client: c.opts.Versions,
			Cause:  fmt.Errorf("sub-protocol of the server is %q, not %q", conf.SubProtocol, c.opts.SubProtocol),
		}
	}
	return nil
}

// pingsIgnored reports whether the peer is one of the published servers that do not
// answer pings (section 10): nothing shows then that an idle one is still there.
func pingsIgnored(conn transport.Conn, d transport.Dialer, v protocol.Version) bool {
	_, negotiates := d.(transport.Prober)
	return negotiates && conn.Protocol() == "" && v != protocol.V1_2 && v != protocol.V1_3
}
