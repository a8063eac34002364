package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestItBecomesTheGenuineHost builds the program beside one that prints its arguments.
func TestItBecomesTheGenuineHost(t *testing.T) {
	home := t.TempDir()
	for _, dir := range []string{"bin", "host"} {
		if err := os.Mkdir(filepath.Join(home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(home, "bin", "pulumi-language-go")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := func(env ...string) (string, error) {
		cmd := exec.Command(program, "-tracing=x", "127.0.0.1:1")
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(); err == nil {
		t.Errorf("without a genuine host it printed %q; want an error", out)
	}
	host := filepath.Join(home, "host", "pulumi-language-go")
	if err := os.WriteFile(host, []byte("#!/bin/sh\necho \"$@\"\nexit 7\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for env, want := range map[string]string{
		target + "=":             "-tracing=x 127.0.0.1:1\n",
		target + "=/a b/program": "-buildTarget=/a b/program -tracing=x 127.0.0.1:1\n",
	} {
		out, err := run(env)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 7 || out != want {
			t.Errorf("with %s: %v, printed %q; want %q and the host's own status", env, err, out, want)
		}
	}
}
