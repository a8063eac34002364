package build

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// compiled counts the programs that this process had to build.
var compiled atomic.Int64

// Floor tells, after programs were built, how near the time that this process took is
// to the least that its work can take: the CPU time of everything that it ran to the
// end, shared evenly by all cores. It is empty if nothing was built.
func Floor(took time.Duration) string {
	n := compiled.Load()
	var self, children syscall.Rusage
	if n == 0 || syscall.Getrusage(syscall.RUSAGE_SELF, &self) != nil || syscall.Getrusage(syscall.RUSAGE_CHILDREN, &children) != nil {
		return ""
	}
	var used time.Duration
	for _, t := range []syscall.Timeval{self.Utime, self.Stime, children.Utime, children.Stime} {
		used += time.Duration(t.Nano())
	}
	return floor(n, took, used, runtime.NumCPU())
}

func floor(n int64, took, used time.Duration, cores int) string {
	least := used / time.Duration(cores)
	return fmt.Sprintf("%d programs were built: %s in all; %s of CPU on %d cores take %s at least, so the ratio is %.2f",
		n, took.Round(time.Second), used.Round(time.Second), cores, least.Round(time.Second), took.Seconds()/max(least.Seconds(), 1))
}
