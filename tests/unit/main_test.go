package unit

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets more garbage lie: hundreds of runs of the whole program, each of which
// leaves nothing behind, spent a third of their time on collecting it.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}
