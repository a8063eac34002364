// Command language-host stands where Pulumi looks for its Go language host and becomes
// the genuine one, which lies in the folder host beside it. Pulumi tells a host the
// options of a project when it runs the program; the genuine host here is of a time in
// which they were arguments, and would else link the program anew for every run.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// target is the environment variable that names the file that the program is built as.
// The compiler leaves it alone while no source is newer.
const target = "PULUMI_GO_BUILD_TARGET"

func main() {
	self, err := os.Executable()
	if err == nil {
		host := genuine(self)
		err = syscall.Exec(host, arguments(host, os.Args[1:], os.Getenv(target)), os.Environ())
	}
	fmt.Fprintln(os.Stderr, "language-host:", err)
	os.Exit(1)
}

// genuine returns the path of the genuine host beside the program at self.
func genuine(self string) string {
	return filepath.Join(filepath.Dir(filepath.Dir(self)), "host", "pulumi-language-go")
}

// arguments returns the genuine host's, from those that Pulumi gave.
func arguments(host string, given []string, target string) []string {
	args := []string{host}
	if target != "" {
		args = append(args, "-buildTarget="+target)
	}
	return append(args, given...)
}
