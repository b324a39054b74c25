package rfc6455

import (
	"fmt"
	"strings"
)

// largeMessages returns messages up to the limit of their case, in frames of every size.
func largeMessages() (all []testCase) {
	for _, opcode := range []byte{1, 2} {
		for _, total := range []int{64 << 10, 256 << 10, 1 << 20, 4 << 20} {
			msg := strings.Repeat("large message...", total/16)
			for _, size := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, total} {
				if size == total && total == 64<<10 {
					continue // as the size before it
				}
				all = append(all, testCase{section: "5.4",
					name:   fmt.Sprintf("%d KiB of opcode %d in frames of %d bytes", total>>10, opcode, size),
					frames: cut(opcode, msg, size), messages: list(msg), limit: 4 << 20})
			}
		}
	}
	return all
}
