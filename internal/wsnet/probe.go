package wsnet

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// MethodMetadata is the HTTP method that asks an endpoint for its metadata.
const MethodMetadata = "WEBWIRE"

// maxMetadata is the length of the longest metadata, in bytes.
const maxMetadata = 64 << 10

// Probe returns the metadata as the endpoint sent it.
func (e Endpoint) Probe(ctx context.Context) ([]byte, error) {
	h, err := e.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer h.drop()
	metadata, err := h.probe()
	if err != nil {
		return nil, h.describe("probe", err)
	}
	return metadata, nil
}

func (h *Handshake) probe() ([]byte, error) {
	r, err := http.NewRequestWithContext(h.ctx, MethodMetadata, h.URL, nil)
	if err != nil {
		return nil, err
	}
	r.Header, r.Host = h.Header, h.Host
	// Not Client, which is for answers that switch protocols, but like it.
	client := http.Client{Transport: h.transport, CheckRedirect: noRedirect}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, h.refused(resp)
	}
	defer resp.Body.Close()
	metadata, err := io.ReadAll(io.LimitReader(resp.Body, maxMetadata+1))
	if err != nil {
		return nil, err
	}
	if len(metadata) > maxMetadata {
		return nil, fmt.Errorf("more than %d bytes of metadata", maxMetadata)
	}
	return metadata, nil
}
