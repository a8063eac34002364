package toolchain

import (
	"encoding/json"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// targetEnv names to the pinned language host the file that the program is built as:
// language-host in local/modules/helpers says why.
const targetEnv = "PULUMI_GO_BUILD_TARGET"

// environ is the environment of a pulumi command in dir.
func (t *Toolchain) environ(dir string) []string {
	env := append(os.Environ(), t.env...)
	if target := buildTarget(dir); target != "" && t.Pinned {
		env = append(env, targetEnv+"="+target)
	}
	return env
}

// buildTarget returns the absolute path of the file that the project in dir wants its
// program to be built as, by the option buildTarget of its runtime, a path relative to
// dir; empty if it names none. What is wrong with the project's file is left to Pulumi to tell.
func buildTarget(dir string) string {
	raw, err := os.ReadFile(filepath.Join(dir, "Pulumi.yaml"))
	if err != nil {
		return ""
	}
	var project struct {
		Runtime json.RawMessage `json:"runtime"`
	}
	var runtime struct {
		Options struct {
			BuildTarget string `json:"buildTarget"`
		} `json:"options"`
	}
	// The runtime is a name alone where it has no options.
	if yaml.Unmarshal(raw, &project) != nil || json.Unmarshal(project.Runtime, &runtime) != nil || runtime.Options.BuildTarget == "" {
		return ""
	}
	target, err := filepath.Abs(filepath.Join(dir, runtime.Options.BuildTarget))
	if err != nil {
		return ""
	}
	return target
}
