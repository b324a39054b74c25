package messages_test

import (
	"fmt"
	"testing"

	"github.com/webwire-go/webwire/internal/check/messages"
)

func TestSplit(t *testing.T) {
	joined := messages.Join([]byte("one"), nil, []byte("two"))
	for cut, want := range map[int]string{0: `["one" "" "two"]`, 1: `["one" "" "tw"]`, 3: `["one" ""]`, len(joined): `[]`} {
		if got := fmt.Sprintf("%q", messages.Split(joined[:len(joined)-cut])); got != want {
			t.Errorf("without the last %d bytes: %s, want %s", cut, got, want)
		}
	}
}
