package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"

	"github.com/webwire-go/webwire/client"
	"github.com/webwire-go/webwire/protocol"
	"github.com/webwire-go/webwire/server"
	"github.com/webwire-go/webwire/transport/websocket"
)

func heap() uint64 {
	for range 4 { runtime.GC() }
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func main() {
	runtime.MemProfileRate = 1
	for _, v := range []protocol.Version{protocol.V2_0, protocol.V3_0} {
		s := server.New(server.Options{Upgrader: websocket.Upgrader{}, Hooks: server.Hooks{
			OnRequest: func(ctx context.Context, r *server.Request) (protocol.Payload, error) { return r.Payload, nil },
		}})
		l, _ := net.Listen("tcp", "127.0.0.1:0")
		go http.Serve(l, s)
		const n = 1000
		h0 := heap()
		var all []*client.Client
		for range n {
			c := client.New(websocket.Dialer{URL: "ws://" + l.Addr().String()}, client.Options{Versions: []protocol.Version{v}})
			if err := c.Connect(context.Background()); err != nil { panic(err) }
			all = append(all, c)
		}
		h1 := heap()
		fmt.Println(v, float64(h1-h0)/n, "bytes per pair")
		f, _ := os.Create(fmt.Sprintf("/tmp/zi.%v.prof", v))
		pprof.WriteHeapProfile(f)
		f.Close()
		for _, c := range all { c.Close() }
		s.Close()
	}
}
