package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/alphapulse/alphapulse-infra/local/internal/node"
	"github.com/alphapulse/alphapulse-infra/local/internal/node/topology"
	"github.com/alphapulse/alphapulse-infra/local/internal/paths"
)

// Setting is the environment variable that says where dev is deployed: "local" is
// the cluster of this machine, "current" the current context of the kubeconfig.
// Empty stays where the stack is, else asks on a terminal, else is local.
const Setting = "CLUSTER"

// answerTime is how long a cluster may take to answer that it is there.
const answerTime = 5 * time.Second

// A target is the cluster, or the Docker engine, that a stack is deployed to.
type target struct {
	Local   bool   `json:"local"`
	Docker  bool   `json:"docker,omitempty"`
	Context string `json:"context,omitempty"` // of the kubeconfig; empty if local
	Server  string `json:"server"`
	// UID tells clusters apart that answer at the same address one after the
	// other. Empty if the cluster did not tell.
	UID string `json:"uid,omitempty"`
}

func (t target) String() string {
	switch {
	case t.Docker:
		return "the local Docker engine"
	case t.Local:
		return "the local cluster"
	}
	return fmt.Sprintf("%s (context %s)", t.Server, t.Context)
}

// same tells whether both are one cluster, as far as can be known.
func (t target) same(o target) bool {
	if t.Local || o.Local {
		return t.Local == o.Local
	}
	if t.UID != "" && o.UID != "" {
		return t.UID == o.UID
	}
	return t.Server == o.Server
}

// A cluster is what the current context of the user's kubeconfig leads to.
type cluster struct {
	target
	err error // why it does not answer
}

// current looks at the current context of KUBECONFIG or ~/.kube/config. It
// returns nil if there is none, or if it is the local cluster.
func current(ctx context.Context) (*cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	raw, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	if raw.CurrentContext == "" {
		return nil, nil
	}
	c := &cluster{target: target{Context: raw.CurrentContext}}
	cfg, err := clientcmd.NewDefaultClientConfig(*raw, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig, context %s: %w", raw.CurrentContext, err)
	}
	if c.Server = cfg.Host; c.Server == topology.Local().APIServer() {
		return nil, nil
	}
	c.UID, c.err = ask(ctx, cfg)
	return c, nil
}

// local returns the local cluster if it answers.
func local(ctx context.Context) (target, string, error) {
	path, err := node.Kubeconfig()
	if err != nil {
		return target{}, path, err
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return target{}, path, fmt.Errorf("kubeconfig of the local cluster: %w", err)
	}
	t := target{Local: true, Server: cfg.Host}
	t.UID, err = ask(ctx, cfg)
	return t, path, err
}

// ask returns the UID of the cluster's oldest namespace, which is that of the
// cluster. The UID is empty if the cluster answers but does not let it be seen.
func ask(ctx context.Context, cfg *rest.Config) (uid string, err error) {
	cfg = rest.CopyConfig(cfg)
	cfg.Timeout = answerTime
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return "", err
	}
	get := func(path string, into any) (int, error) {
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(cfg.Host, "/")+path, nil)
		if err != nil {
			return 0, err
		}
		res, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusOK {
			return res.StatusCode, fmt.Errorf("%s answers %s", req.URL, res.Status)
		}
		return res.StatusCode, json.NewDecoder(res.Body).Decode(into)
	}
	var version struct {
		GitVersion string `json:"gitVersion"`
	}
	if _, err := get("/version", &version); err != nil {
		return "", err
	}
	var ns struct {
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
	}
	if status, err := get("/api/v1/namespaces/kube-system", &ns); err != nil && status == 0 {
		return "", err
	}
	return ns.Metadata.UID, nil
}

// targetFile is where the cluster of a stack is remembered.
func targetFile(stack string) (string, error) {
	return paths.State("targets", filepath.Base(stack)+".json")
}

// remembered returns the cluster that a stack was last deployed to, or nil.
func remembered(stack string) (*target, error) {
	file, err := targetFile(stack)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("target of stack %s: %w", stack, err)
	}
	var t target
	if err := json.Unmarshal(raw, &t); err != nil {
		return nil, fmt.Errorf("target of stack %s: %s: %w: remove the file if the stack is not deployed", stack, file, err)
	}
	return &t, nil
}

func remember(stack string, t target) error {
	if _, err := paths.StateDir("targets"); err != nil {
		return err
	}
	file, err := targetFile(stack)
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("target of stack %s: %w", stack, err)
	}
	return nil
}

func forget(stack string) error {
	file, err := targetFile(stack)
	if err != nil {
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("target of stack %s: %w", stack, err)
	}
	return nil
}

// stacks returns the names of the stacks whose cluster is remembered.
func stacks() ([]string, error) {
	dir, err := paths.State("targets")
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".json"))
	}
	return names, nil
}
