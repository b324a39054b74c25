package protocol

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// MetadataMethod is the HTTP method with which an endpoint returns its metadata
// (section 2.2).
const MetadataMethod = "WEBWIRE"

// Metadata describes an endpoint to clients that are not connected yet.
type Metadata struct {
	// Version is spoken to peers that do not negotiate a version.
	Version Version

	// Versions are all versions that the endpoint speaks, in order of preference.
	// Nil for the published servers, which do not send them.
	Versions []Version

	// ReadTimeout is the time after which the server closes a silent connection, in
	// whole seconds. Only endpoints that speak 1.5 send it; zero otherwise.
	ReadTimeout time.Duration
}

type metadataObject struct {
	Version     string   `json:"protocol-version"`
	ReadTimeout uint32   `json:"read-timeout,omitempty"`
	Versions    []string `json:"versions,omitempty"`
}

// MarshalJSON returns the endpoint's answer to MetadataMethod.
func (m Metadata) MarshalJSON() ([]byte, error) {
	o := metadataObject{Version: m.Version.String()}
	for _, v := range m.Versions {
		o.Versions = append(o.Versions, v.String())
	}
	if m.Version == V1_5 || slices.Contains(m.Versions, V1_5) {
		o.ReadTimeout = max(1, clamp32(int64(m.ReadTimeout/time.Second)))
	}
	return json.Marshal(o)
}

// UnmarshalJSON decodes the answer of an endpoint. Versions that this package does not
// know are left out of Versions. The error wraps ErrVersion if Version is unknown, and
// ErrMalformed if data is not metadata.
func (m *Metadata) UnmarshalJSON(data []byte) error {
	var o metadataObject
	if err := json.Unmarshal(data, &o); err != nil || o.Version == "" {
		return malformed("metadata is not JSON with a protocol-version")
	}
	*m = Metadata{ReadTimeout: time.Duration(o.ReadTimeout) * time.Second}
	for _, text := range o.Versions {
		if v, err := ParseVersion(text); err == nil {
			m.Versions = append(m.Versions, v)
		}
	}
	var err error
	if m.Version, err = ParseVersion(o.Version); err != nil {
		return fmt.Errorf("%w in the metadata of the endpoint", err)
	}
	return nil
}
