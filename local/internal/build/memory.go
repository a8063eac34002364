package build

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// assumedMemory stands for the memory of a machine that does not tell.
const assumedMemory = 8 * gib

// availableMemory returns how much memory programs can still take, in bytes.
func availableMemory() int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return assumedMemory
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		rest, ok := strings.CutPrefix(s.Text(), "MemAvailable:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil {
			return assumedMemory
		}
		return kib << 10
	}
	return assumedMemory
}
