package stacks

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/alphapulse/alphapulse-infra/components/room"
)

// Deploy is the Pulumi program: it composes the stack and exports its outputs.
func Deploy(ctx *pulumi.Context) error {
	outputs, err := compose(ctx, (*Stack).look)
	if err != nil {
		return err
	}
	for name, value := range outputs {
		ctx.Export(name, value)
	}
	return nil
}

// Compose checks the whole configuration, then composes the components and
// returns the stack's outputs. It asks no cluster anything.
func Compose(ctx *pulumi.Context) (pulumi.Map, error) {
	return compose(ctx, func(*Stack, *pulumi.Context, Previous) error { return nil })
}

// compose lets look ask where the stack is about to run, before anything is registered.
func compose(ctx *pulumi.Context, look func(*Stack, *pulumi.Context, Previous) error) (pulumi.Map, error) {
	before, err := previous(ctx)
	if err != nil {
		return nil, err
	}
	values, secretKeys, err := configuration(ctx)
	if err != nil {
		return nil, err
	}
	s, err := Parse(ctx.Stack(), values, secretKeys, before)
	if err != nil {
		return nil, err
	}
	for _, warning := range s.Warnings {
		if err := ctx.Log.Warn(warning, nil); err != nil {
			return nil, err
		}
	}
	if err := look(s, ctx, before); err != nil {
		return nil, err
	}
	if s.Target == room.Addons {
		return s.deployAddons(ctx)
	}
	s.arrange()
	all, err := newRegistry(ctx)
	if err != nil {
		return nil, err
	}
	if s.Target == room.DockerHost {
		return deployDocker(ctx, s, all)
	}
	return deployKubernetes(ctx, s, all)
}

// configuration returns what the stack sets, without the project's name in the
// keys. The SDK hands out known keys one by one only, so that the unknown ones,
// which must be reported, come from the environment that the engine fills.
func configuration(ctx *pulumi.Context) (values map[string]string, secretKeys []string, err error) {
	prefix := ctx.Project() + ":"
	all := map[string]string{}
	if raw := os.Getenv(pulumi.EnvConfig); raw != "" {
		if err := json.Unmarshal([]byte(raw), &all); err != nil {
			return nil, nil, fmt.Errorf("reading %s: %w", pulumi.EnvConfig, err)
		}
	}
	values = map[string]string{}
	for key, v := range all {
		if name, ours := strings.CutPrefix(key, prefix); ours {
			values[name] = v
		}
	}
	for _, s := range Settings() {
		if v, ok := ctx.GetConfig(prefix + s.Key); ok {
			values[s.Key] = v
		}
	}
	for key := range values {
		if ctx.IsConfigSecret(prefix + key) {
			secretKeys = append(secretKeys, key)
		}
	}
	return values, secretKeys, nil
}
