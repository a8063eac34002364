package deploy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// stackOf returns the stack that a pulumi command line works on, as far as it
// says so itself: by --stack, else by PULUMI_STACK. Else it is empty.
func stackOf(args []string) string {
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--stack="); ok {
			return v
		}
		if v, ok := strings.CutPrefix(a, "-s="); ok {
			return v
		}
		if (a == "--stack" || a == "-s") && i+1 < len(args) {
			return args[i+1]
		}
	}
	return os.Getenv("PULUMI_STACK")
}

// command returns the first word of a pulumi command line that is not an option,
// by its long name.
func command(args []string) string {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case slices.Contains([]string{"-C", "--cwd", "-s", "--stack", "--color", "-v", "--verbose"}, a):
			i++ // its value
		case strings.HasPrefix(a, "-"):
		case a == "update":
			return "up"
		case a == "pre":
			return "preview"
		case a == "down" || a == "dn":
			return "destroy"
		default:
			return a
		}
	}
	return ""
}

// reachesCluster tells whether a pulumi command line talks to the cluster.
func reachesCluster(args []string) bool {
	for _, help := range []string{"-h", "--help"} {
		if slices.Contains(args, help) {
			return false
		}
	}
	return slices.Contains([]string{"up", "preview", "refresh", "destroy", "import", "watch"}, command(args))
}

// removes returns the name of the stack that a pulumi command line, once it has
// succeeded, has taken away from its cluster; empty if none.
func removes(args []string, stack string) string {
	switch command(args) {
	case "destroy":
		for _, a := range args {
			if a == "-t" || strings.HasPrefix(a, "--target") || strings.HasPrefix(a, "--exclude") || a == "--preview-only" {
				return "" // a part of it stays
			}
		}
		return stack
	case "stack":
		i := slices.Index(args, "rm")
		if i < 0 {
			return ""
		}
		// It may be named by its position instead of by an option.
		for _, a := range args[i+1:] {
			if !strings.HasPrefix(a, "-") {
				return a
			}
		}
		return stack
	}
	return ""
}

// onDocker tells whether a stack deploys to a Docker host, by its stack file. A
// stack without a file is taken for one on Kubernetes, the default.
func onDocker(root, stack string) (bool, error) {
	file := filepath.Join(root, "Pulumi."+filepath.Base(stack)+".yaml")
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("stack file: %w", err)
	}
	var s struct {
		Config map[string]any `json:"config"`
	}
	if err := yaml.Unmarshal(raw, &s); err != nil {
		return false, fmt.Errorf("stack file %s: %w", file, err)
	}
	for key, value := range s.Config {
		if _, name, _ := strings.Cut(key, ":"); name == "target" {
			return value == "docker", nil
		}
	}
	return false, nil
}
