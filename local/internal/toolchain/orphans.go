package toolchain

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// endOrphans ends the plugins of this clone's Pulumi whose engine was killed:
// they would wait for it forever. Where there is no /proc it does nothing.
func endOrphans(home string) {
	exes, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return
	}
	for _, exe := range exes {
		dir := filepath.Dir(exe)
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || !below(home, exe) || strings.HasPrefix(base(exe), "pulumi ") || base(exe) == "pulumi" {
			continue
		}
		// The engine starts its plugins itself, so a plugin with another parent
		// has lost its engine.
		if parent := parentOf(dir); parent > 0 && !below(home, "/proc/"+strconv.Itoa(parent)+"/exe") {
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
	}
}

// below tells whether the symbolic link leads to a file below dir.
func below(dir, link string) bool {
	to, err := os.Readlink(link)
	return err == nil && strings.HasPrefix(to, dir+string(filepath.Separator))
}

func base(link string) string {
	to, err := os.Readlink(link)
	if err != nil {
		return ""
	}
	return filepath.Base(to)
}

// parentOf returns the parent of the process in a folder of /proc; 0 if it ended.
func parentOf(dir string) int {
	raw, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return 0
	}
	// The name, in parentheses, may hold anything.
	_, rest, ok := strings.Cut(string(raw[strings.LastIndexByte(string(raw), ')')+1:]), " ")
	if fields := strings.Fields(rest); ok && len(fields) > 1 {
		pid, _ := strconv.Atoi(fields[1])
		return pid
	}
	return 0
}
