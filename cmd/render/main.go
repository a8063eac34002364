// Command render writes the objects of a stack as YAML, one file each: those of
// Kubernetes, or the containers, volumes and networks of a Docker host. It needs no
// cluster, no engine and no credential: secret values are left out.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"sigs.k8s.io/yaml"

	"github.com/alphapulse/alphapulse-infra/tests/recorder"
)

func main() {
	log.SetFlags(0)
	stack := flag.String("stack", "dev", "the stack to render")
	out := flag.String("out", "", "the directory to write to; it is created")
	flag.Parse()
	if *out == "" {
		log.Fatal("render: -out is missing: name the directory to write to")
	}
	n, err := render(*stack, *out)
	if err != nil {
		log.Fatalf("render: %v", err)
	}
	fmt.Printf("%d objects of stack %s in %s\n", n, *stack, *out)
}

func render(stack, out string) (int, error) {
	config, err := recorder.StackConfig(stack)
	if err != nil {
		return 0, err
	}
	recording, err := recorder.Run(recorder.Options{Stack: stack, Config: config})
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return 0, err
	}
	n := 0
	for _, r := range recording.Resources {
		docker := strings.HasPrefix(r.Type, "docker:")
		if !r.Kubernetes() && !docker {
			continue
		}
		object := Public(r.Inputs)
		if status, ok := object["metadata"].(map[string]any); ok {
			delete(status, "creationTimestamp")
		}
		text, err := yaml.Marshal(object)
		if err != nil {
			return n, fmt.Errorf("%s: %w", r.Label(), err)
		}
		// The logical name stays when a content-named object gets new content, so
		// that two renderings differ in the file's content, not in its name.
		kind, _, _ := strings.Cut(r.Label(), "/")
		file := filepath.Join(out, strings.ToLower(kind)+"-"+r.Name+".yaml")
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Public is a plain copy of the inputs in which every secret value is replaced.
func Public(inputs resource.PropertyMap) map[string]any {
	redacted := inputs.MapRepl(nil, func(v resource.PropertyValue) (any, bool) {
		if v.IsSecret() {
			return redact(v.SecretValue().Element), true
		}
		return nil, false
	})
	return redacted
}

// redact keeps the keys of a secret object, so that a reader sees what is set.
func redact(v resource.PropertyValue) any {
	switch {
	case v.IsObject():
		out := map[string]any{}
		for k, x := range v.ObjectValue() {
			out[string(k)] = redact(x)
		}
		return out
	case v.IsSecret():
		return redact(v.SecretValue().Element)
	default:
		return "(secret)"
	}
}
