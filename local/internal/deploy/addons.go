package deploy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/alphapulse/alphapulse-infra/local/internal/images"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
	"github.com/alphapulse/alphapulse-infra/local/internal/progress"
	"github.com/alphapulse/alphapulse-infra/local/internal/toolchain"
)

// addonStack is the stack of what belongs to the cluster.
const addonStack = "addons"

// addon is one that the local cluster can have.
type addon struct {
	// images are those that only it needs, by their names in the table of package images.
	images []string
	// settings are those that ask for it, and that it needs here.
	settings map[string]any
	// files makes what other clusters fetch in a folder, which settings name by the files'
	// places below it; nil where it is nothing.
	files func(ctx context.Context, s *progress.Step, to string) error
	// places are such settings.
	places map[string]string
}

// The ports of the nodes on which the controller of Gateways takes connections, as the
// local cluster has no load balancers.
const (
	gatewayHTTPPort  = 30081
	gatewayHTTPSPort = 30444
)

// addons by their names.
var addons = map[string]addon{
	"certManager": {
		images:   []string{"cert-manager-controller", "cert-manager-webhook", "cert-manager-cainjector", "cert-manager-acmesolver"},
		settings: map[string]any{"certManager": true},
		files: func(ctx context.Context, s *progress.Step, to string) error {
			return images.CertManagerChart(ctx, filepath.Join(to, chartFolder), s.Writer())
		},
		places: map[string]string{"certManagerChart": chartFolder},
	},
	"gateway": {
		images: []string{"traefik"},
		settings: map[string]any{
			"gatewayController": "traefik", "gatewayControllerReplicas": 1,
			"gatewayControllerService": "NodePort", "gatewayControllerHttpNodePort": gatewayHTTPPort, "gatewayControllerHttpsNodePort": gatewayHTTPSPort,
		},
		files: func(ctx context.Context, s *progress.Step, to string) error {
			if err := images.TraefikChart(filepath.Join(to, chartFolder)); err != nil {
				return err
			}
			return images.GatewayDefinitions(ctx, filepath.Join(to, definitionsFile), s.Writer())
		},
		places: map[string]string{"gatewayControllerChart": chartFolder, "gatewayDefinitions": definitionsFile},
	},
	"kubeletMetrics": {
		settings: map[string]any{"kubeletMetricsNamespaces": []string{"alphapulse-" + Stack}},
	},
	"logAgent": {
		images:   []string{"otelcol"},
		settings: map[string]any{"logAgent": true, "logAgentNamespaces": []string{"alphapulse-" + Stack}},
	},
}

// What an add-on has in its folder.
const (
	chartFolder     = "chart"
	definitionsFile = "definitions.yaml"
)

// checkAddons refuses what is not there, and the cluster of somebody else.
func checkAddons(names []string, where target) error {
	for _, name := range names {
		if _, ok := addons[name]; !ok {
			return fmt.Errorf("ADDONS: no add-on is named %q: there is %s", name, strings.Join(sortedNames(), ", "))
		}
	}
	if len(names) > 0 && !where.Local {
		return fmt.Errorf("ADDONS are those of the local cluster, and the stack is deployed to %s: there the stack %s brings them, as docs/addons.md says", where, addonStack)
	}
	return nil
}

func sortedNames() []string {
	var names []string
	for name := range addons {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// addonImages returns the archives of the images that add-ons need.
func addonImages(ctx context.Context, r *progress.Reporter, names []string) ([]string, error) {
	var wanted, files []string
	for _, name := range names {
		wanted = append(wanted, addons[name].images...)
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	made, err := images.EnsureNamed(ctx, r, wanted...)
	for _, a := range made {
		files = append(files, a.Path)
	}
	return files, err
}

// installAddons deploys the stack of add-ons with the named ones, and leaves it as it is
// where none is named.
func installAddons(ctx context.Context, r *progress.Reporter, tools *toolchain.Toolchain, root string, where target, names []string) error {
	if len(names) == 0 {
		return nil
	}
	dir, err := paths.StateDir(addonStack)
	if err != nil {
		return err
	}
	if err := addonFiles(ctx, r, dir, names); err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(root, "Pulumi."+addonStack+".yaml"))
	if err != nil {
		return fmt.Errorf("settings of stack %s: %w", addonStack, err)
	}
	if raw, err = addonSettings(raw, names, dir, where.UID); err != nil {
		return err
	}
	file := filepath.Join(dir, "Pulumi."+addonStack+".yaml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return fmt.Errorf("settings of stack %s: %w", addonStack, err)
	}
	args := []string{"up", "--stack", addonStack, "--config-file", file, "--yes", "--skip-preview", "--suppress-outputs"}
	more, done, err := renewed(r, root, addonStack, where, args)
	if err != nil {
		return err
	}
	defer done()
	if err := selectStack(ctx, r, tools, root, addonStack); err != nil {
		return err
	}
	if err := remember(addonStack, where); err != nil {
		return err
	}
	if err := tools.Run(ctx, root, toolchain.Std(), append(args, more...)...); err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return fmt.Errorf("pulumi up of stack %s: %w", addonStack, err)
	}
	return nil
}

// addonFiles makes what the named add-ons need in folders of their own below dir.
func addonFiles(ctx context.Context, r *progress.Reporter, dir string, names []string) error {
	for _, name := range names {
		if addons[name].files == nil {
			continue
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return fmt.Errorf("add-on %s: %w", name, err)
		}
		s := r.Step("chart of the add-on " + name)
		if err := s.Done(addons[name].files(ctx, s, to)); err != nil {
			return err
		}
	}
	return nil
}

// addonSettings turns the file of the stack of add-ons into that of the local cluster,
// whose UID is told: names are those that are wanted, and dir has their files. Nothing is
// protected, for `make down` ends all of it.
func addonSettings(file []byte, names []string, dir, cluster string) ([]byte, error) {
	var stack struct {
		Config map[string]any `json:"config"`
	}
	if err := yaml.Unmarshal(file, &stack); err != nil {
		return nil, fmt.Errorf("settings of stack %s: %w", addonStack, err)
	}
	stack.Config["alphapulse:protect"] = false
	stack.Config["alphapulse:clusterMoveTo"] = cluster
	for _, name := range names {
		for key, value := range addons[name].settings {
			stack.Config["alphapulse:"+key] = value
		}
		for key, place := range addons[name].places {
			stack.Config["alphapulse:"+key] = filepath.Join(dir, name, place)
		}
	}
	return yaml.Marshal(stack)
}
