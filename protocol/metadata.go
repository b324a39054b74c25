package protocol

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// MetadataMethod is the HTTP method that asks an endpoint for its metadata
// (section 2.2).
const MetadataMethod = "WEBWIRE"

// Metadata is what an endpoint tells about itself before anybody connects.
type Metadata struct {
	// Version is spoken to peers that negotiate nothing.
	Version Version

	// Versions are all that the endpoint speaks, the best first. The published
	// servers do not send them: nil then.
	Versions []Version

	// ReadTimeout is the silence after which the server hangs up, in whole
	// seconds. Sent by endpoints that speak 1.5, among others or alone; zero
	// otherwise.
	ReadTimeout time.Duration
}

type metadataObject struct {
	Version     string   `json:"protocol-version"`
	ReadTimeout uint32   `json:"read-timeout,omitempty"`
	Versions    []string `json:"versions,omitempty"`
}

// MarshalJSON returns m as the endpoint's answer to MetadataMethod.
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

// UnmarshalJSON reads the answer of any endpoint. Versions that this package does
// not know are left out of Versions; if Version is unknown the error wraps
// ErrVersion, if the answer is something else ErrMalformed.
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
