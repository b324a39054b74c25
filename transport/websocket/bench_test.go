package websocket_test

//lint:file-ignore SA1019 the library is here to compare with.

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	library "nhooyr.io/websocket"

	"github.com/webwire-go/webwire/transport"
)

// BenchmarkEcho sends 32 bytes there and back, one message at a time and 64 at
// a time, with the library alone and with this package. Absolute figures say
// little; the ratio within one run does.
func BenchmarkEcho(b *testing.B) {
	b.Run("1x1/library", func(b *testing.B) { benchmarkLibrary(b, 1) })
	b.Run("1x1/transport", func(b *testing.B) { benchmarkTransport(b, 1) })
	b.Run("1x64/library", func(b *testing.B) { benchmarkLibrary(b, 64) })
	b.Run("1x64/transport", func(b *testing.B) { benchmarkTransport(b, 64) })
}

const benchSize = 32

// benchmarkTransport echoes what is there as a batch, as a server would.
func benchmarkTransport(b *testing.B, depth int) {
	client, server := suite.Pair(b)
	defer client.Abort()
	echoed := make(chan struct{})
	go func() {
		defer close(echoed)
		defer server.Abort()
		echoBatches(server, depth)
	}()
	batch := make([][]byte, depth)
	for i := range batch {
		batch[i] = make([]byte, benchSize)
	}
	buf := make([]byte, benchSize)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%depth != 0 {
			continue // b.N counts messages
		}
		if err := client.Write(batch...); err != nil {
			b.Fatal(err)
		}
		for range batch {
			var err error
			if buf, err = client.Read(buf); err != nil {
				b.Fatal(err)
			}
		}
	}
	client.Abort()
	<-echoed
}

func echoBatches(conn transport.Conn, depth int) {
	bufs := make([][]byte, depth)
	for {
		for i := range bufs {
			var err error
			if bufs[i], err = conn.Read(bufs[i]); err != nil {
				return
			}
		}
		if conn.Write(bufs...) != nil {
			return
		}
	}
}

// benchmarkLibrary uses the library as well as it can be used.
func benchmarkLibrary(b *testing.B, depth int) {
	ctx := context.Background()
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := library.Accept(w, r, nil)
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.CloseNow()
		buf := make([]byte, benchSize)
		for {
			if readInto(conn, buf) != nil || conn.Write(ctx, library.MessageBinary, buf) != nil {
				return
			}
		}
	}))
	defer host.Close()
	conn, _, err := library.Dial(ctx, host.URL, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.CloseNow()
	msg, buf := make([]byte, benchSize), make([]byte, benchSize)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%depth != 0 {
			continue
		}
		for range depth {
			if err := conn.Write(ctx, library.MessageBinary, msg); err != nil {
				b.Fatal(err)
			}
		}
		for range depth {
			if err := readInto(conn, buf); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func readInto(conn *library.Conn, buf []byte) error {
	_, r, err := conn.Reader(context.Background())
	if err != nil {
		return err
	}
	if _, err := io.ReadFull(r, buf); err != nil {
		return err
	}
	_, err = r.Read(buf[:1])
	if err == io.EOF {
		return nil
	}
	return err
}
