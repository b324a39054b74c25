package interop

import (
	"fmt"
	"slices"

	"github.com/webwire-go/webwire/protocol"
)

// ParseVersion returns the version with the given name, such as "1.2", if servers and
// clients speak it.
func ParseVersion(text string) (protocol.Version, error) {
	v, err := protocol.ParseVersion(text)
	if err == nil && !slices.Contains(protocol.Versions(), v) {
		err = fmt.Errorf("version %v is not spoken", v)
	}
	return v, err
}
